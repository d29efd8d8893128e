package apikey_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

func TestLogIn(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(owner, "team-a", "project.list project.delete")
	right := apikey.Credentials{ID: key.ID, Secret: secret.Reveal(), Address: addrA}
	wrong := right
	wrong.Secret = apikey.MustSecret(randomFrom("wrong"), "").Reveal()
	var malformed *scope.SyntaxError
	var refused *apikey.RefusedError
	for _, tc := range []struct {
		name    string
		with    apikey.Credentials
		request apikey.Request
		is      error
		as      any
		reason  string
	}{
		{"a malformed scope", right, apikey.Request{Scope: "project.list  project.delete"}, nil, &malformed, "scope"},
		{"a scope that the key lacks", right, apikey.Request{Scope: "project.save"}, nil, &refused, "scope"},
		{"an unknown resource", right, apikey.Request{Resource: "https://a.example"}, nil, &refused, "resource"},
		{"a wrong secret hides the malformed scope", wrong, apikey.Request{Scope: "  "}, apikey.ErrInvalidCredentials, nil, "unknown_or_wrong"},
	} {
		t.Run("refused, counted and observed: "+tc.name, func(t *testing.T) {
			before := len(r.reasons())
			grant, err := r.logIn(tc.with, tc.request)
			require.Nil(t, grant)
			if tc.as != nil {
				require.ErrorAs(t, err, tc.as)
			} else {
				require.ErrorIs(t, err, tc.is)
			}
			require.Len(t, r.reasons(), before+1)
			want := observe.Decision{Time: noon, Use: observe.Login, Reason: tc.reason, ClientID: key.ID, Address: addrA}
			if tc.reason != "unknown_or_wrong" {
				want.KeyID, want.Workspace, want.CredentialID = key.ID, "team-a", key.Credentials[0].ID
			}
			require.Equal(t, want, r.seen[len(r.seen)-1])
		})
	}
}

// TestLoginsShareNothing tests that no data of one login is visible to the next.
func TestLoginsShareNothing(t *testing.T) {
	t.Run("grants of one login", func(t *testing.T) {
		r := newRig(t, withResources)
		key, secret := r.create(owner, "team-a", "project.list", allowed(first))
		login, err := r.Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
		require.NoError(t, err)
		one, err := r.Issue(t.Context(), login, apikey.Request{})
		require.NoError(t, err)
		one.Key.Resources[0] = "changed"
		login.Key().Credentials[0].ID = "changed"
		second, err := r.Issue(t.Context(), login, apikey.Request{})
		require.NoError(t, err)
		require.Equal(t, []string{first}, second.Key.Resources)
		require.Equal(t, key.Credentials[0].ID, login.Key().Credentials[0].ID)
	})
	t.Run("B21 a policy that keeps its request", func(t *testing.T) {
		var kept []*policy.TokenRequest
		r := newRig(t, func(c *apikey.Config) {
			c.Policy = policy.TokenFunc(func(_ context.Context, request *policy.TokenRequest) error {
				request.Key.Credentials[0].ID = "changed"
				kept = append(kept, request)
				return nil
			})
		})
		for _, workspace := range []string{"team-a", "team-b"} {
			key, secret := r.create(admin, workspace, "project.list")
			grant, err := r.logIn(apikey.Credentials{ID: key.ID, Secret: secret.Reveal()}, apikey.Request{})
			require.NoError(t, err)
			require.Equal(t, key.Credentials[0].ID, grant.CredentialID)
			require.Equal(t, key.ID, kept[len(kept)-1].Key.ID)
		}
		require.Equal(t, "team-a", kept[0].Key.Workspace)
		require.Equal(t, "team-a", kept[0].Workspace.ID)
	})
	t.Run("B21 a policy that writes into its copy of the key prolongs no token", func(t *testing.T) {
		r := newRig(t, func(c *apikey.Config) {
			c.Policy = policy.TokenFunc(func(_ context.Context, request *policy.TokenRequest) error {
				request.Key.NotAfter = time.Time{}
				for i := range request.Key.Credentials {
					request.Key.Credentials[i].NotAfter = time.Time{}
				}
				return nil
			})
		})
		soon := r.clock.Now().Add(time.Minute)
		key, secret := r.create(owner, "team-a", "project.list", func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: soon} })
		require.Equal(t, soon, r.mustLogin(key.ID, secret).Expires, "the key's expiry")
		key, secret = r.create(owner, "team-a", "project.list")
		r.rotate(owner, key.ID, apikey.Rotation{Grace: time.Minute})
		require.Equal(t, soon, r.mustLogin(key.ID, secret).Expires, "the end of the secret's grace")
	})
	t.Run("a refusal is not counted for the key that logged in before", func(t *testing.T) {
		r := newRig(t)
		key, secret := r.create(owner, "team-a", "project.list")
		for range 100 { // a pool may lose what it was given
			_, err := r.Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
			require.NoError(t, err)
			_, err = r.Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: "nonsense"})
			require.Error(t, err)
		}
		require.NoError(t, r.Flush(t.Context()))
		require.Empty(t, r.events(store.EventQuery{Action: audit.Refuse}))
	})
	t.Run("logins at once, some of them refused", func(t *testing.T) {
		r := newRig(t, func(c *apikey.Config) { c.Observer = nil })
		const callers, each = 8, 200
		type credentials struct {
			key    apikey.Key
			secret string
		}
		all := make([]credentials, callers)
		for i := range all {
			key, secret := r.create(admin, string(rune('a'+i)), "project.list")
			all[i] = credentials{key, secret.Reveal()}
		}
		right, refused := make([]int, callers), make([]int, callers)
		var group sync.WaitGroup
		for i, own := range all {
			group.Go(func() {
				for n := range each {
					request := apikey.Request{}
					if n%4 == 0 {
						request.Scope = "project.save"
					}
					grant, err := r.logIn(apikey.Credentials{ID: own.key.ID, Secret: own.secret}, request)
					switch {
					case err != nil:
						refused[i]++
					case grant.Key.ID == own.key.ID && grant.Key.Workspace == own.key.Workspace && grant.CredentialID == own.key.Credentials[0].ID:
						right[i]++
					}
				}
			})
		}
		group.Wait()
		for i := range all {
			require.Equal(t, each*3/4, right[i])
			require.Equal(t, each/4, refused[i])
		}
	})
}

// A token has whole seconds: a key that ends within the present second gets none.
func TestNoTokenWithinTheLastSecond(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(owner, "team-a", "project.list", func(s *apikey.Spec) { s.Expiry.At = noon.Add(1500 * time.Millisecond) })
	r.mustLogin(key.ID, secret)
	r.clock.Advance(time.Second)
	_, err := r.login(key.ID, secret.Reveal())
	var refused *apikey.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "expired", refused.Reason)
}
