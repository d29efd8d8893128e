package policy_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// step returns a policy that appends its name to called when called, and returns err.
func step(called *[]string, name string, err error) policy.Policy {
	return both{
		func(context.Context, *policy.KeyRequest) error { *called = append(*called, name); return err },
		func(context.Context, *policy.TokenRequest) error { *called = append(*called, name); return err },
	}
}

// both shows that a host's policy may be any type.
type both struct {
	policy.KeyFunc
	policy.TokenFunc
}

func (b both) CheckKey(ctx context.Context, r *policy.KeyRequest) error {
	return b.KeyFunc.CheckKey(ctx, r)
}
func (b both) CheckToken(ctx context.Context, r *policy.TokenRequest) error {
	return b.TokenFunc.CheckToken(ctx, r)
}

func TestAll(t *testing.T) {
	no := &policy.Denied{Rule: "no"}
	plain := errors.New("plain")
	var called []string
	yes := func(name string) policy.Policy { return step(&called, name, nil) }
	for _, c := range []struct {
		name   string
		policy policy.Policy
		order  string
		err    error
	}{
		{"none", policy.All(), "", nil},
		{"in order", policy.All(yes("a"), yes("b"), yes("c")), "a b c", nil},
		{"the first denial wins", policy.All(yes("a"), step(&called, "b", no), step(&called, "c", plain)), "a b", no},
		{"an error of any kind denies", policy.All(step(&called, "a", plain), step(&called, "b", no)), "a", plain},
		{"nil is skipped", policy.All(nil, yes("a"), nil, yes("b")), "a b", nil},
		{"nested", policy.All(policy.All(yes("a"), yes("b")), policy.All(step(&called, "c", no)), yes("d")), "a b c", no},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := aged(0, never)
			called = nil
			if err := c.policy.CheckKey(t.Context(), keyCase{action: policy.ActionCreate, after: k}.request()); err != c.err {
				t.Errorf("key: got %v, want %v", err, c.err)
			}
			if got := strings.Join(called, " "); got != c.order {
				t.Errorf("key: called %q, want %q", got, c.order)
			}
			called = nil
			if err := c.policy.CheckToken(t.Context(), tokenRequest(login(k))); err != c.err {
				t.Errorf("token: got %v, want %v", err, c.err)
			}
			if got := strings.Join(called, " "); got != c.order {
				t.Errorf("token: called %q, want %q", got, c.order)
			}
		})
	}
	t.Run("later changes to the arguments have no effect", func(t *testing.T) {
		policies := []policy.Policy{policy.TokenTTL(0)}
		p := policy.All(policies...)
		policies[0] = nil
		checkDenied(t, p.CheckToken(t.Context(), tokenRequest(login(aged(0, never)))), "token_ttl", "")
	})
	t.Run("a policy sees what earlier ones narrowed", func(t *testing.T) {
		list := scope.MustParse("project.list")
		p := policy.All(
			policy.KeyFunc(func(_ context.Context, r *policy.KeyRequest) error {
				r.Drop(list)
				r.ShortenTo(now.Add(day))
				r.LimitKeys(3)
				return nil
			}),
			policy.KeyFunc(func(_ context.Context, r *policy.KeyRequest) error {
				if r.After.Permissions.Has("project.list") || !r.After.NotAfter.Equal(now.Add(day)) || r.Limit() != 3 {
					t.Errorf("sees %v until %v under %d", r.After.Permissions, r.After.NotAfter, r.Limit())
				}
				r.ShortenTo(now.Add(9 * day))
				r.LimitKeys(9)
				return nil
			}),
			policy.TokenFunc(func(_ context.Context, r *policy.TokenRequest) error {
				r.Drop(list)
				r.ShortenTo(now.Add(time.Minute))
				return nil
			}),
			policy.TokenFunc(func(_ context.Context, r *policy.TokenRequest) error {
				if r.Granted().Has("project.list") || !r.NotAfter().Equal(now.Add(time.Minute)) {
					t.Errorf("sees %v until %v", r.Granted(), r.NotAfter())
				}
				r.ShortenTo(now.Add(time.Hour))
				return nil
			}),
		)
		k := keyCase{action: policy.ActionCreate, after: aged(0, never)}.request()
		checkDenied(t, p.CheckKey(t.Context(), k), "", "")
		if got := k.Result(); got.Permissions.String() != "project.read" || !got.NotAfter.Equal(now.Add(day)) || k.Limit() != 3 {
			t.Errorf("the key would hold %v until %v under %d", got.Permissions, got.NotAfter, k.Limit())
		}
		token := tokenRequest(login(aged(0, never)))
		checkDenied(t, p.CheckToken(t.Context(), token), "", "")
		if token.Granted().String() != "project.read" || !token.NotAfter().Equal(now.Add(time.Minute)) {
			t.Errorf("the token would open %v until %v", token.Granted(), token.NotAfter())
		}
	})
}

// list is an error of a type that cannot be compared or hashed.
type list []string

func (l list) Error() string { return strings.Join(l, "; ") }

func TestAsDenied(t *testing.T) {
	denied := &policy.Denied{Rule: "mine", Reason: "No.", Err: errors.New("since")}
	var none *policy.Denied
	unavailable := fmt.Errorf("read: %w", store.ErrUnavailable)
	for _, c := range []struct {
		name string
		err  error
		rule string // "": no denial
		same bool
	}{
		{name: "nil", err: nil},
		{name: "a denial", err: denied, rule: "mine", same: true},
		{name: "a wrapped denial", err: fmt.Errorf("policy: %w", denied), rule: "mine", same: true},
		{name: "a denial joined with others", err: errors.Join(list{"a"}, denied), rule: "mine", same: true},
		{name: "a nil denial denies", err: none, rule: "custom"},
		{name: "a wrapped nil denial denies", err: fmt.Errorf("policy: %w", none), rule: "custom"},
		{name: "a foreign error", err: errors.New("sql: no rows in table tokens"), rule: "custom"},
		{name: "an error of an unhashable type", err: list{"a", "b"}, rule: "custom"},
		{name: "a wrapped error of an unhashable type", err: fmt.Errorf("policy: %w", list{"a"}), rule: "custom"},
		{name: "a canceled context", err: fmt.Errorf("query: %w", context.Canceled)},
		{name: "a context past its deadline", err: fmt.Errorf("query: %w", context.DeadlineExceeded)},
		{name: "an outage", err: store.ErrUnavailable},
		{name: "a wrapped outage", err: unavailable},
		{name: "a denial because of an outage", err: &policy.Denied{Rule: "mine", Err: unavailable}},
		{name: "a wrapped denial because of an outage", err: fmt.Errorf("policy: %w", &policy.Denied{Rule: "mine", Err: unavailable})},
		{name: "a denial joined with an outage", err: errors.Join(denied, unavailable)},
		{name: "an outage joined with others", err: errors.Join(list{"a"}, unavailable)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := policy.AsDenied(c.err)
			if ok != (c.rule != "") || ok != (got != nil) {
				t.Fatalf("got %v, %v", got, ok)
			}
			if !ok {
				return
			}
			if got.Rule != c.rule || c.same && got != denied {
				t.Errorf("got %+v", got)
			}
			if c.rule == "custom" && (strings.Contains(got.Reason, "sql") || got.Reason == "") {
				t.Errorf("the public reason is %q", got.Reason)
			}
			if _, text := got.Unwrap(), got.Error(); text == "" {
				t.Error("no text for the log")
			}
		})
	}
}

func TestDeniedError(t *testing.T) {
	cause := errors.New("quota table says 3")
	for _, c := range []struct {
		denied *policy.Denied
		want   string
	}{
		{&policy.Denied{Rule: "r", Reason: "No.", Err: cause}, "policy r: refused: No.: quota table says 3"},
		{&policy.Denied{Rule: "r", Reason: "No."}, "policy r: refused: No."},
		{&policy.Denied{Rule: "r"}, "policy r: refused"},
		{nil, "policy: refused without a reason"},
	} {
		if got := c.denied.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	if !errors.Is(&policy.Denied{Err: cause}, cause) {
		t.Error("the cause is lost")
	}
}

type ticket struct{}

func TestKeyFuncSees(t *testing.T) {
	ctx := context.WithValue(t.Context(), ticket{}, "T-1")
	before, after := aged(day, never), renamed(aged(day, never))
	facts := policy.KeyRequest{
		Action: policy.ActionUpdate, Now: now, Actor: store.ActorRef{Kind: "owner", ID: "ann"},
		Address: netip.MustParseAddr("192.0.2.7"), Workspace: store.Workspace{ID: "team-a", Keys: 3},
		Instance: store.Instance{KeysOff: true}, Before: &before, After: &after,
	}
	called := false
	p := policy.KeyFunc(func(ctx context.Context, r *policy.KeyRequest) error {
		called = true
		if ctx.Value(ticket{}) != "T-1" || r.Action != facts.Action || r.Now != now || r.Actor != facts.Actor ||
			r.Address != facts.Address || r.Workspace != facts.Workspace || r.Instance != facts.Instance ||
			r.Before.Name != "ci" || r.After.Name != "renamed" {
			t.Errorf("sees %+v", r)
		}
		return &policy.Denied{Rule: "freeze", Reason: "Changes are frozen."}
	})
	checkDenied(t, p.CheckKey(ctx, policy.NewKeyRequest(facts)), "freeze", "frozen")
	if !called {
		t.Error("was not called")
	}
	passesLogin(t, p, before)
}

func TestTokenFuncSees(t *testing.T) {
	ctx := context.WithValue(t.Context(), ticket{}, "T-1")
	k := aged(day, never)
	facts := login(k)
	facts.Requested = scope.MustParse("project.read")
	facts.Workspace.Keys, facts.Instance.Epoch = 3, 4
	called := false
	p := policy.TokenFunc(func(ctx context.Context, r *policy.TokenRequest) error {
		called = true
		if ctx.Value(ticket{}) != "T-1" || r.Now != now || r.Address != facts.Address ||
			r.Workspace != facts.Workspace || r.Instance != facts.Instance || r.Key.ID != k.ID || r.Credential.ID != "s1" ||
			!r.Requested.Equal(facts.Requested) || !r.Granted().Equal(k.Permissions) || !r.NotAfter().Equal(now.Add(time.Hour)) {
			t.Errorf("sees %+v", r)
		}
		return &policy.Denied{Rule: "hours", Reason: "Logins are possible from 8 to 18."}
	})
	checkDenied(t, p.CheckToken(ctx, tokenRequest(facts)), "hours", "8 to 18")
	if !called {
		t.Error("was not called")
	}
	var cases []keyCase
	for _, action := range []policy.Action{policy.ActionCreate, policy.ActionImport, policy.ActionUpdate, policy.ActionRotate, policy.ActionEnable} {
		cases = append(cases, keyCase{name: string(action), policy: p, action: action, before: k, after: k})
	}
	runKeyCases(t, cases)
}
