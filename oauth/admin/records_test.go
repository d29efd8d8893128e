package admin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

func TestRecords(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	r.create("bert", "team-b", "ci")
	r.clock.Advance(time.Minute)
	r.do("max", "PATCH", "/keys/"+m.Key.ID, `{"name":"renamed"}`).Wants(http.StatusOK)
	type event struct {
		ID, Action, Workspace, Key, Note, Address string
		ActorName                                 string    `json:"actor_name"`
		KeyName                                   string    `json:"key_name"`
		Time                                      time.Time `json:"occurred_at"`
		Actor                                     struct{ Kind, ID string }
		Changes                                   []store.FieldChange
	}
	type page struct {
		Events []event `json:"events"`
		Next   *string `json:"next"`
	}
	events := func(actor, path string) []string {
		var p page
		r.do(actor, "GET", path, "").Wants(http.StatusOK).Into(&p)
		found := []string{}
		for _, e := range p.Events {
			found = append(found, e.Actor.ID+" "+e.Action+" "+e.Workspace)
		}
		return found
	}
	require.Equal(t, []string{"max key.update team-a", "olga key.create team-a"}, events("olga", "/workspaces/team-a/events"))
	require.Len(t, events("ada", "/events"), 3)
	require.Equal(t, []string{"max key.update team-a"}, events("ada", "/events?key="+m.Key.ID+"&action=key.update"))
	require.Equal(t, []string{"bert key.create team-b"}, events("ada", "/events?actor=bert&to=2026-07-01T12:00:30Z"))
	require.Equal(t, []string{"max key.update team-a"}, events("ada", "/events?from=2026-07-01T12:00:30Z"))
	var first, second page
	r.do("olga", "GET", "/workspaces/team-a/events?limit=1", "").Wants(http.StatusOK).Into(&first)
	r.do("olga", "GET", "/workspaces/team-a/events?limit=1&cursor="+*first.Next, "").Wants(http.StatusOK).Into(&second)
	require.Equal(t, []store.FieldChange{{Field: "name", Old: "ci", New: "renamed"}}, first.Events[0].Changes)
	require.Equal(t, []string{"renamed", "127.0.0.1", ""}, []string{first.Events[0].KeyName, first.Events[0].Address, first.Events[0].ActorName})
	require.Equal(t, "ci", second.Events[0].KeyName, "its name at that time")
	require.Equal(t, "key.create", second.Events[0].Action)
	require.Nil(t, second.Next)
}

// TestPolicies: the answer names the host's rule. It does not contain the text of other
// errors.
func TestPolicies(t *testing.T) {
	var answer error
	r := newRig(t, func(s *setup) {
		s.keys.Policy = policy.KeyFunc(func(context.Context, *policy.KeyRequest) error { return answer })
		s.keys.Workspaces = func(_ context.Context, workspace string) (bool, error) {
			if workspace == "down" {
				return false, errors.New("canary")
			}
			return workspace != "unknown", nil
		}
	})
	r.do("ada", "POST", "/workspaces/unknown/keys", newKey).problem(http.StatusNotFound, admin.CodeNotFound)
	r.do("ada", "POST", "/workspaces/down/keys", newKey).problem(http.StatusServiceUnavailable, admin.CodeUnavailable)

	answer = &policy.Denied{Rule: "office_hours", Reason: "Not at night.", Err: errors.New("canary")}
	p := r.do("ada", "POST", createA, newKey).problem(http.StatusForbidden, admin.CodePolicy)
	require.Equal(t, []string{"office_hours", "Not at night."}, []string{p.Rule, p.Detail})
	answer = &policy.Denied{Rule: "rate", RetryAfter: 1500 * time.Millisecond}
	got := r.do("ada", "POST", createA, newKey)
	got.problem(http.StatusTooManyRequests, admin.CodePolicy)
	require.Equal(t, "2", got.Header.Get("Retry-After"))
	answer = errors.New("canary")
	r.do("ada", "POST", createA, newKey).problem(http.StatusForbidden, admin.CodePolicy)
	answer = fmt.Errorf("canary: %w", store.ErrUnavailable)
	r.do("ada", "POST", createA, newKey).problem(http.StatusServiceUnavailable, admin.CodeUnavailable)
}

// TestPolicyOutages: a policy's error that wraps an outage is answered with 503, whatever
// else it wraps.
func TestPolicyOutages(t *testing.T) {
	var answer error
	r := newRig(t, func(s *setup) {
		s.keys.Policy = policy.KeyFunc(func(context.Context, *policy.KeyRequest) error { return answer })
	})
	m := r.create("olga", "team-a", "ci")
	disabled := r.create("olga", "team-a", "disabled")
	r.do("olga", "POST", "/keys/"+disabled.Key.ID+"/disable", "").Wants(http.StatusOK)
	before := r.snapshot("team-a")
	for name, err := range map[string]error{
		"a denial because of one":    &policy.Denied{Rule: "quota", Reason: "canary", Err: store.ErrUnavailable},
		"one to try again later":     &policy.Denied{Rule: "quota", RetryAfter: time.Hour, Err: store.ErrUnavailable},
		"a record that is not there": errors.Join(store.ErrNotFound, store.ErrUnavailable),
		"a version conflict":         errors.Join(store.ErrConflict, store.ErrUnavailable),
		"a forbidden act":            errors.Join(&apikey.ForbiddenError{Action: "x"}, store.ErrUnavailable),
		"unauthorized":               errors.Join(&admin.UnauthorizedError{}, store.ErrUnavailable),
		"its own deadline":           fmt.Errorf("canary: %w", context.DeadlineExceeded),
		"a query that was stopped":   fmt.Errorf("canary: %w", context.Canceled),
	} {
		for _, call := range [][3]string{
			{"POST", createA, newKey},
			{"PATCH", "/keys/" + m.Key.ID, `{"name":"renamed"}`},
			{"POST", "/keys/" + m.Key.ID + "/rotate", `{"grace":0}`},
			{"POST", "/keys/" + disabled.Key.ID + "/enable", ""},
		} {
			t.Run(name+": "+call[0]+" "+call[1], func(t *testing.T) {
				answer = err
				defer func() { answer = nil }()
				got := r.at(t).do("olga", call[0], call[1], call[2])
				got.problem(http.StatusServiceUnavailable, admin.CodeUnavailable)
				require.Equal(t, "1", got.Header.Get("Retry-After"))
				require.NotContains(t, got.Body, "canary")
				require.Equal(t, before, r.snapshot("team-a"))
			})
		}
	}
}

// TestPolicySeesTheAddress: policies get the client's address.
func TestPolicySeesTheAddress(t *testing.T) {
	var seen []string
	watch := func(s *setup) {
		s.keys.Policy = policy.KeyFunc(func(_ context.Context, r *policy.KeyRequest) error {
			seen = append(seen, r.Address.String())
			return nil
		})
	}
	newRig(t, watch).create("olga", "team-a", "ci")
	require.Equal(t, []string{"127.0.0.1"}, seen)
	seen = nil
	r := newRig(t, watch, func(s *setup) {
		s.config.ClientAddr = func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.7") }
	})
	m := r.create("olga", "team-a", "ci")
	r.do("olga", "PATCH", "/keys/"+m.Key.ID, `{"name":"renamed"}`).Wants(http.StatusOK)
	r.do("olga", "POST", "/keys/"+m.Key.ID+"/rotate", `{"grace":0}`).Wants(http.StatusOK)
	require.Equal(t, []string{"192.0.2.7", "192.0.2.7", "192.0.2.7"}, seen)
}

func TestUsage(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	day := func(n int) time.Time { return noon.AddDate(0, 0, n) }
	require.NoError(t, r.store.Usage.Add(t.Context(), []store.Count{
		{Workspace: "team-a", Key: m.Key.ID, Day: day(0), Logins: 3, Refusals: 1},
		{Workspace: "team-a", Key: m.Key.ID, Day: day(-29), Logins: 2},
		{Workspace: "team-a", Key: m.Key.ID, Day: day(-30), Logins: 1},
	}))
	path := "/keys/" + m.Key.ID + "/usage"
	require.JSONEq(t, `{"days":[{"day":"2026-06-02","logins":2,"refusals":0},{"day":"2026-07-01","logins":3,"refusals":1}]}`,
		r.do("olga", "GET", path, "").Wants(http.StatusOK).Body)
	require.JSONEq(t, `{"days":[{"day":"2026-06-01","logins":1,"refusals":0}]}`,
		r.do("olga", "GET", path+"?from=2026-05-01&to=2026-06-02", "").Wants(http.StatusOK).Body)
	require.NoError(t, r.login(m.Key.ID, m.Secret))
	require.JSONEq(t, `{"days":[{"day":"2026-07-01","logins":4,"refusals":1}]}`,
		r.do("olga", "GET", path+"?from=2026-07-01", "").Wants(http.StatusOK).Body, "as soon as it is written")
	without := newRig(t, func(s *setup) {
		s.store = r.store
		s.store.Usage = nil
	})
	without.do("olga", "GET", path, "").problem(http.StatusNotImplemented, admin.CodeNotKept)
}
