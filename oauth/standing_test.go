package oauth_test

import (
	"context"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

func (w *world) saveSettings(change func(*store.InstanceSettings)) {
	w.t.Helper()
	s, err := w.APIKeys().Settings(w.t.Context(), admin)
	require.NoError(w.t, err)
	change(&s)
	_, err = w.APIKeys().SaveSettings(w.t.Context(), admin, s)
	require.NoError(w.t, err)
}

// TestStandingAtEndpoints tests that every endpoint decides in the same way about a
// key, except that a key which only rules or policies refuse may still revoke its
// own tokens.
func TestStandingAtEndpoints(t *testing.T) {
	t.Parallel()
	const (
		ok     = http.StatusOK
		wrong  = http.StatusUnauthorized
		denied = http.StatusBadRequest
	)
	// The results of the host's Workspaces and of its policy.
	var suspended bool
	var denial error
	for _, tc := range []struct {
		name                      string
		do                        func(w *world)
		login, introspect, revoke int
		says                      string
	}{
		{"a live key", func(*world) {}, ok, ok, ok, ""},
		{"expired", func(w *world) { w.clock.Advance(time.Hour) }, wrong, wrong, wrong, "This API key has expired."},
		{"expired by the instance's rules", func(w *world) {
			w.saveSettings(func(s *store.InstanceSettings) {
				s.Rules = store.Rules{MaxLifetime: time.Minute, EnforcedFrom: w.clock.Now()}
			})
			w.clock.Advance(time.Minute)
		}, wrong, wrong, ok, "This API key has expired under the rules of this service."},
		{"expired by its workspace's rules", func(w *world) {
			ws, _, err := w.APIKeys().Workspace(w.t.Context(), admin, "team-a")
			require.NoError(w.t, err)
			ws.Rules = store.Rules{MaxLifetime: time.Minute, EnforcedFrom: w.clock.Now()}
			_, err = w.APIKeys().SaveWorkspace(w.t.Context(), admin, ws)
			require.NoError(w.t, err)
			w.clock.Advance(time.Minute)
		}, wrong, wrong, ok, "This API key has expired under the rules of this service."},
		{"disabled", func(w *world) {
			_, err := w.APIKeys().Disable(w.t.Context(), admin, w.key.ID, 0)
			require.NoError(w.t, err)
		}, wrong, wrong, wrong, "This API key is disabled."},
		{"in a suspended workspace", func(w *world) { require.NoError(w.t, w.APIKeys().SetSuspended(w.t.Context(), admin, "team-a", true)) },
			wrong, wrong, wrong, "The workspace of this API key is suspended."},
		{"in a suspended workspace and expired by rules", func(w *world) {
			w.saveSettings(func(s *store.InstanceSettings) {
				s.Rules = store.Rules{MaxLifetime: time.Minute, EnforcedFrom: w.clock.Now()}
			})
			require.NoError(w.t, w.APIKeys().SetSuspended(w.t.Context(), admin, "team-a", true))
			w.clock.Advance(time.Minute)
		}, wrong, wrong, wrong, ""},
		{"while keys are off", func(w *world) { w.saveSettings(func(s *store.InstanceSettings) { s.KeysOff = true }) },
			wrong, wrong, wrong, "API keys are switched off."},
		{"suspended by the host", func(*world) { suspended = true }, wrong, wrong, wrong, "The workspace of this API key is suspended."},
		{"denied by a policy", func(*world) { denial = &policy.Denied{Rule: "no", Reason: "Not now."} }, denied, denied, ok, "Not now."},
		{"called expired by a policy", func(*world) { denial = &policy.Denied{Rule: "no", Reason: "Too old.", Expired: true} }, wrong, wrong, ok, "Too old."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			suspended, denial = false, nil
			w := newWorld(t, func(s *setup) {
				s.config.APIKeys.Workspaces = func(context.Context, string) (bool, error) { return !suspended, nil }
				s.config.Policy = policy.TokenFunc(func(context.Context, *policy.TokenRequest) error { return denial })
			})
			expiry := apikey.Expiry{At: w.clock.Now().Add(time.Hour)}
			_, err := w.APIKeys().Update(t.Context(), admin, w.key.ID, apikey.Changes{Expiry: &expiry})
			require.NoError(t, err)
			other, otherSecret := w.newKey("team-a", "project.list")
			token, others := w.login(w.key.ID, w.secret), w.login(other.ID, otherSecret)
			tc.do(w)
			check := func(what string, status int, a answer) {
				t.Helper()
				require.Equal(t, status, a.StatusCode, "%s: %s", what, a.Body)
				if status != ok && tc.says != "" {
					require.Contains(t, a.Description(), tc.says, what)
				}
			}
			check("login", tc.login, w.post(w.grant()))
			check("introspection", tc.introspect, w.ask("/api/introspect", w.key.ID, w.secret, others))
			check("revocation", tc.revoke, w.ask("/api/revoke", w.key.ID, w.secret, token))
		})
	}
}

func TestPoliciesAtIntrospection(t *testing.T) {
	t.Parallel()
	t.Run("an address that may not be used", func(t *testing.T) {
		here := true
		w := newWorld(t, func(s *setup) {
			s.config.ClientAddr = func(*http.Request) netip.Addr {
				if here {
					return netip.MustParseAddr("192.0.2.7")
				}
				return netip.MustParseAddr("198.51.100.7")
			}
			s.config.Policy = policy.AllowAddresses(netip.MustParsePrefix("192.0.2.0/24"))
		})
		token := w.login(w.key.ID, w.secret)
		require.Equal(t, true, w.ask("/api/introspect", w.key.ID, w.secret, token).Member("active"))
		here = false
		w.refused(w.ask("/api/introspect", w.key.ID, w.secret, token), http.StatusBadRequest, "unauthorized_client")
		require.Equal(t, http.StatusOK, w.ask("/api/revoke", w.key.ID, w.secret, token).StatusCode)
		require.Equal(t, http.StatusUnauthorized, w.call(token))
	})
	t.Run("a permission that a policy drops does not count", func(t *testing.T) {
		drop := false
		w := newWorld(t, func(s *setup) {
			s.config.IntrospectAll = "admin.project.list"
			s.config.Policy = policy.TokenFunc(func(_ context.Context, r *policy.TokenRequest) error {
				if drop && r.Use == policy.UseIntrospect {
					r.Drop(scope.MustParse("admin.project.list"))
				}
				return nil
			})
		})
		far, secret := w.newKey("team-b", "admin.project.list")
		token := w.login(w.key.ID, w.secret)
		require.Equal(t, true, w.ask("/api/introspect", far.ID, secret, token).Member("active"))
		drop = true
		require.JSONEq(t, `{"active":false}`, w.ask("/api/introspect", far.ID, secret, token).Body)
	})
	t.Run("a rate limit counts logins only", func(t *testing.T) {
		once := policy.RateLimit(policy.RateLimitConfig{Limit: 1, Per: time.Hour})
		w := newWorld(t, func(s *setup) { s.config.Policy = once })
		token := w.login(w.key.ID, w.secret)
		for range 3 {
			require.Equal(t, true, w.ask("/api/introspect", w.key.ID, w.secret, token).Member("active"))
		}
		require.Equal(t, http.StatusTooManyRequests, w.post(w.grant()).StatusCode)
	})
	t.Run("B19 a policy that cannot decide", func(t *testing.T) {
		var down error
		w := newWorld(t, func(s *setup) {
			s.config.Policy = policy.TokenFunc(func(context.Context, *policy.TokenRequest) error { return down })
		})
		token := w.login(w.key.ID, w.secret)
		down = store.ErrUnavailable
		w.refused(w.ask("/api/introspect", w.key.ID, w.secret, token), http.StatusServiceUnavailable, "temporarily_unavailable")
	})
}

// TestLeewayEndsWithTheKey tests B08: leeway is for clocks that differ, and does
// not extend a key beyond its exact end.
func TestLeewayEndsWithTheKey(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, at time.Time){
		"its expiry": func(w *world, at time.Time) {
			expiry := apikey.Expiry{At: at}
			_, err := w.APIKeys().Update(w.t.Context(), admin, w.key.ID, apikey.Changes{Expiry: &expiry})
			require.NoError(w.t, err)
		},
		"the rules": func(w *world, at time.Time) {
			w.saveSettings(func(s *store.InstanceSettings) { s.Rules = store.Rules{RequireExpiry: true, EnforcedFrom: at} })
		},
	} {
		for life, until := range map[string]time.Duration{"cuts the token short": time.Minute, "comes within the leeway": 7 * time.Minute} {
			t.Run("B08 "+name+" "+life, func(t *testing.T) {
				w := newWorld(t, func(s *setup) { s.config.Leeway = 5 * time.Minute })
				w.clock.Set(w.clock.Now().Truncate(time.Second))
				at := w.clock.Now().Add(until)
				end(w, at)
				token := w.login(w.key.ID, w.secret)
				w.clock.Set(at.Add(-time.Microsecond))
				require.Equal(t, http.StatusOK, w.call(token), "leeway is there")
				w.clock.Set(at)
				a := w.send(http.MethodGet, "/any", "", "Authorization", "Bearer "+token)
				require.Equal(t, http.StatusUnauthorized, a.StatusCode)
				require.Contains(t, a.Header.Get("WWW-Authenticate"), "expired with its API key")
			})
		}
	}
	t.Run("B08 a token does not name the end of a key that ends later", func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.config.Leeway = 5 * time.Minute })
		expiry := apikey.Expiry{At: w.clock.Now().Add(time.Hour)}
		_, err := w.APIKeys().Update(t.Context(), admin, w.key.ID, apikey.Changes{Expiry: &expiry})
		require.NoError(t, err)
		token := w.login(w.key.ID, w.secret)
		w.clock.Advance(9 * time.Minute)
		require.Equal(t, http.StatusOK, w.call(token))
	})
}

// TestDefaultsAtARestart tests that all tokens are refused if the host's
// configuration switches keys off, unless an administrator has saved settings.
func TestDefaultsAtARestart(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before func(w *world)
		want   int
	}{
		"B06 settings that were never saved": {func(*world) {}, http.StatusUnauthorized},
		"settings that were saved with keys on": {func(w *world) {
			w.saveSettings(func(s *store.InstanceSettings) { s.Rules.MaxKeys = 7 })
		}, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			var shared store.Store
			var again oauth.Config
			w := newWorld(t, func(s *setup) {
				s.config.SealKeys = []oauth.SealKey{sealKey(1)}
				shared, again = s.store, s.config
			})
			tc.before(w)
			token := w.login(w.key.ID, w.secret)
			again.APIKeys.DefaultKeysOff = true
			restarted, err := oauth.New(shared, again)
			require.NoError(t, err)
			_, err = restarted.Verifier().Verify(t.Context(), token)
			require.Equal(t, tc.want == http.StatusOK, err == nil, "%v", err)
			_, err = restarted.APIKeys().Authenticate(t.Context(), apikey.Credentials{ID: w.key.ID, Secret: w.secret})
			require.Equal(t, tc.want == http.StatusOK, err == nil, "%v", err)
		})
	}
}
