package policy_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

const day = 24 * time.Hour

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// aged returns a key of the given age with one secret, which expires at notAfter (zero
// means never).
func aged(age time.Duration, notAfter time.Time) store.Key {
	created := now.Add(-age)
	return store.Key{
		ID: "key-1", Workspace: "team-a", Name: "ci",
		Permissions: scope.MustParse("project.list project.read"),
		Credentials: []store.Credential{{ID: "s1", Created: created}},
		NotAfter:    notAfter,
		Created:     created,
	}
}

// rotated returns k with another secret, created now. The others end in an hour.
func rotated(k store.Key) store.Key {
	k = k.Clone()
	for i := range k.Credentials {
		k.Credentials[i].NotAfter = now.Add(time.Hour)
	}
	k.Credentials = append(k.Credentials, store.Credential{ID: "s2", Created: now})
	return k
}

// keyCase is one request to a policy about a key.
type keyCase struct {
	name      string
	policy    policy.Policy
	action    policy.Action
	before    store.Key // unused at ActionCreate and ActionImport
	after     store.Key
	workspace store.Workspace
	instance  store.Instance

	rule     string // the rule that denies; "" if the policy allows
	reason   string // part of the public reason
	limit    int    // if allowed; 0 is not compared
	notAfter time.Time
}

func (c keyCase) request() *policy.KeyRequest {
	facts := policy.KeyRequest{
		Action: c.action, Now: now, Workspace: c.workspace, Instance: c.instance,
		After: &c.after,
	}
	if c.action != policy.ActionCreate && c.action != policy.ActionImport {
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
			require.Equal(t, want, r.Result().NotAfter)
			if c.limit != 0 {
				require.Equal(t, c.limit, r.Limit())
			}
		})
	}
}

// checkDenied checks that err is a refusal by rule whose reason contains the given part.
// If rule is "", it checks that there is no error.
func checkDenied(t *testing.T, err error, rule, reason string) {
	t.Helper()
	if rule == "" {
		require.NoError(t, err)
		return
	}
	var denied *policy.Denied
	require.ErrorAs(t, err, &denied)
	require.Equal(t, rule, denied.Rule)
	require.Contains(t, denied.Reason, reason)
}

// login returns the facts of a login with the newest secret of k.
func login(k store.Key) policy.TokenRequest {
	return policy.TokenRequest{
		Now: now, Address: netip.MustParseAddr("192.0.2.7"),
		Workspace: store.Workspace{ID: k.Workspace},
		Key:       &k, Credential: k.Credentials[len(k.Credentials)-1],
	}
}

func tokenRequest(facts policy.TokenRequest) *policy.TokenRequest {
	return policy.NewTokenRequest(facts, facts.Key.Permissions, facts.Now.Add(time.Hour))
}

// passesLogin checks that p neither denies nor narrows a login with k.
func passesLogin(t *testing.T, p policy.Policy, k store.Key) {
	t.Helper()
	r := tokenRequest(login(k))
	require.NoError(t, p.CheckToken(t.Context(), r))
	require.Equal(t, now.Add(time.Hour), r.NotAfter())
	require.True(t, r.Granted().Equal(k.Permissions), "narrowed to %v", r.Granted())
}
