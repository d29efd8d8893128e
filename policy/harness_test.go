package policy_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

const day = 24 * time.Hour

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// aged is a key whose one secret was made so long ago, and which expires at
// notAfter; zero is never.
func aged(age time.Duration, notAfter time.Time) store.Key {
	created := now.Add(-age)
	return store.Key{
		ID: "key-1", Workspace: "team-a", Name: "ci",
		Permissions: scope.MustParse("project.list project.read"),
		Secrets:     []store.Secret{{ID: "s1", Created: created}},
		NotAfter:    notAfter,
		Created:     created,
	}
}

// rotated is k with another secret, made now.
func rotated(k store.Key) store.Key {
	k = k.Clone()
	k.Secrets = append(k.Secrets, store.Secret{ID: "s2", Created: now})
	return k
}

// keyCase is one question to a policy about a key.
type keyCase struct {
	name      string
	policy    policy.Policy
	action    policy.Action
	before    store.Key // unused at Create and Import
	after     store.Key
	workspace store.Workspace
	instance  store.Instance

	rule     string // that denies; "" passes
	reason   string // part of the public reason
	limit    int    // after a pass; 0 is not compared
	notAfter time.Time
}

func (c keyCase) request() *policy.KeyRequest {
	facts := policy.KeyRequest{
		Action: c.action, Now: now, Workspace: c.workspace, Instance: c.instance,
		After: &c.after,
	}
	if c.action != policy.Create && c.action != policy.Import {
		facts.Before = &c.before
	}
	return policy.NewKeyRequest(facts)
}

func runKeyCases(t *testing.T, cases []keyCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := c.request()
			checkDenied(t, c.policy.CheckKey(t.Context(), r), c.rule, c.reason)
			if c.rule != "" {
				return
			}
			want := c.after.NotAfter
			if !c.notAfter.IsZero() {
				want = c.notAfter
			}
			if got := r.Result().NotAfter; !got.Equal(want) {
				t.Errorf("the key would expire at %v, want %v", got, want)
			}
			if c.limit != 0 && r.Limit() != c.limit {
				t.Errorf("the limit is %d, want %d", r.Limit(), c.limit)
			}
		})
	}
}

// checkDenied checks that err is a refusal by rule with a reason that holds
// the given part; with rule "", that there is none.
func checkDenied(t *testing.T, err error, rule, reason string) {
	t.Helper()
	if rule == "" {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		return
	}
	var denied *policy.Denied
	if !errors.As(err, &denied) {
		t.Fatalf("got %v, want a refusal by %s", err, rule)
	}
	if denied.Rule != rule {
		t.Errorf("refused by %s, want %s", denied.Rule, rule)
	}
	if !strings.Contains(denied.Reason, reason) {
		t.Errorf("the reason is %q, which lacks %q", denied.Reason, reason)
	}
}

// login is a token about to be issued to k: with what k holds, for an hour.
func login(k store.Key) policy.TokenRequest {
	return policy.TokenRequest{
		Now: now, Address: netip.MustParseAddr("192.0.2.7"),
		Workspace: store.Workspace{ID: k.Workspace},
		Key:       &k, Secret: k.Secrets[len(k.Secrets)-1],
	}
}

func tokenRequest(facts policy.TokenRequest) *policy.TokenRequest {
	return policy.NewTokenRequest(facts, facts.Key.Permissions, facts.Now.Add(time.Hour))
}

// passesLogin checks that p neither denies nor narrows a login with k.
func passesLogin(t *testing.T, p policy.Policy, k store.Key) {
	t.Helper()
	r := tokenRequest(login(k))
	if err := p.CheckToken(t.Context(), r); err != nil {
		t.Errorf("the login was refused: %v", err)
	}
	if !r.NotAfter().Equal(now.Add(time.Hour)) || !r.Granted().Equal(k.Permissions) {
		t.Errorf("the token was narrowed to %v until %v", r.Granted(), r.NotAfter())
	}
}
