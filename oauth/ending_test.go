package oauth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// TestEndingTokens tests that after each action the very next request with the
// token is refused, even if the clock does not move. A key that is enabled again
// can log in within the same second, and its new token is valid.
func TestEndingTokens(t *testing.T) {
	t.Parallel()
	perms := func(text string) *scope.Set { s := scope.MustParse(text); return &s }
	settings := func(t *testing.T, w *world, change func(*store.InstanceSettings)) {
		t.Helper()
		s, err := w.APIKeys().Settings(t.Context(), admin)
		require.NoError(t, err)
		change(&s)
		_, err = w.APIKeys().SaveSettings(t.Context(), admin, s)
		require.NoError(t, err)
	}
	for _, tc := range []struct {
		name string
		act  func(t *testing.T, w *world)
		// login is the status of the next login with the same secret.
		login int
		// revive undoes the action; nil if that is not possible.
		revive func(t *testing.T, w *world)
	}{
		{"disable", func(t *testing.T, w *world) {
			_, err := w.APIKeys().Disable(t.Context(), admin, w.key.ID, 0)
			require.NoError(t, err)
		}, 401, func(t *testing.T, w *world) {
			_, err := w.APIKeys().Enable(t.Context(), admin, w.key.ID, 0)
			require.NoError(t, err)
		}},
		{"disable all that one person made", func(t *testing.T, w *world) {
			n, err := w.APIKeys().DisableAllBy(t.Context(), admin, admin.Ref())
			require.NoError(t, err)
			require.Equal(t, 1, n)
		}, 401, nil},
		{"delete", func(t *testing.T, w *world) {
			require.NoError(t, w.APIKeys().Delete(t.Context(), admin, w.key.ID, 0))
		}, 401, nil},
		{"end all tokens", func(t *testing.T, w *world) {
			require.NoError(t, w.APIKeys().RevokeAllTokens(t.Context(), admin))
		}, 200, nil},
		{"rotate without grace", func(t *testing.T, w *world) {
			_, secret, err := w.APIKeys().Rotate(t.Context(), admin, w.key.ID, apikey.Rotation{})
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, w.call(w.login(w.key.ID, secret.Reveal())), "the new secret")
		}, 401, nil},
		{"end of a grace", func(t *testing.T, w *world) {
			_, secret, err := w.APIKeys().Rotate(t.Context(), admin, w.key.ID, apikey.Rotation{Grace: time.Minute})
			require.NoError(t, err)
			old, fresh := w.login(w.key.ID, w.secret), w.login(w.key.ID, secret.Reveal())
			w.clock.Advance(time.Minute - time.Microsecond)
			require.Equal(t, http.StatusOK, w.call(old))
			w.clock.Advance(time.Microsecond)
			require.Equal(t, http.StatusUnauthorized, w.call(old))
			require.Equal(t, http.StatusOK, w.call(fresh))
		}, 401, nil},
		{"retire a secret", func(t *testing.T, w *world) {
			_, err := w.APIKeys().Retire(t.Context(), admin, w.key.ID, w.key.Credentials[0].ID, 0)
			require.NoError(t, err)
		}, 401, nil},
		{"revoke a secret by its holder", func(t *testing.T, w *world) {
			require.NoError(t, w.APIKeys().RevokeSecret(t.Context(), apikey.Credentials{ID: w.key.ID, Secret: w.secret}))
		}, 401, nil},
		{"fewer permissions", func(t *testing.T, w *world) {
			_, err := w.APIKeys().Update(t.Context(), admin, w.key.ID, apikey.Changes{Permissions: perms("project.list")})
			require.NoError(t, err)
		}, 200, nil},
		{"other permissions", func(t *testing.T, w *world) {
			_, err := w.APIKeys().Update(t.Context(), admin, w.key.ID, apikey.Changes{Permissions: perms("project.list project.write")})
			require.NoError(t, err)
		}, 200, nil},
		{"an expiry", func(t *testing.T, w *world) {
			soon := apikey.Expiry{At: w.clock.Now().Add(time.Hour)}
			_, err := w.APIKeys().Update(t.Context(), admin, w.key.ID, apikey.Changes{Expiry: &soon})
			require.NoError(t, err)
		}, 200, nil},
		{"suspend the workspace", func(t *testing.T, w *world) {
			require.NoError(t, w.APIKeys().SetSuspended(t.Context(), admin, "team-a", true))
		}, 401, func(t *testing.T, w *world) {
			require.NoError(t, w.APIKeys().SetSuspended(t.Context(), admin, "team-a", false))
		}},
		{"delete the workspace", func(t *testing.T, w *world) {
			require.NoError(t, w.APIKeys().DeleteWorkspace(t.Context(), admin, "team-a"))
		}, 401, nil},
		{"switch keys off", func(t *testing.T, w *world) {
			settings(t, w, func(s *store.InstanceSettings) { s.KeysOff = true })
		}, 401, func(t *testing.T, w *world) {
			settings(t, w, func(s *store.InstanceSettings) { s.KeysOff = false })
		}},
		{"require an expiry of all keys from now", func(t *testing.T, w *world) {
			settings(t, w, func(s *store.InstanceSettings) {
				s.Rules = store.Rules{RequireExpiry: true, EnforcedFrom: w.clock.Now()}
			})
		}, 401, nil},
		{"bound the life of all keys from tomorrow", func(t *testing.T, w *world) {
			settings(t, w, func(s *store.InstanceSettings) {
				s.Rules = store.Rules{MaxLifetime: time.Hour, EnforcedFrom: w.clock.Now().Add(24 * time.Hour)}
			})
		}, 200, nil},
		{"bound the life of one workspace's keys", func(t *testing.T, w *world) {
			ws, _, err := w.APIKeys().Workspace(t.Context(), admin, "team-a")
			require.NoError(t, err)
			ws.Rules = store.Rules{RequireExpiry: true, EnforcedFrom: w.clock.Now()}
			_, err = w.APIKeys().SaveWorkspace(t.Context(), admin, ws)
			require.NoError(t, err)
		}, 401, nil},
	} {
		t.Run("B06 and B07 "+tc.name, func(t *testing.T) {
			w := newWorld(t, func(s *setup) { s.config.Leeway = 5 * time.Minute }) // B08: it prolongs nothing that was ended
			token := w.login(w.key.ID, w.secret)
			require.Equal(t, http.StatusOK, w.call(token))
			tc.act(t, w)
			a := w.send(http.MethodGet, "/any", "", "Authorization", "Bearer "+token)
			require.Equal(t, http.StatusUnauthorized, a.StatusCode, a.Body)
			require.Contains(t, a.Header.Get("WWW-Authenticate"), `error="invalid_token"`)
			next := w.post(w.grant())
			require.Equal(t, tc.login, next.StatusCode, next.Body)
			if tc.login == http.StatusOK {
				require.Equal(t, http.StatusOK, w.call(next.Token()), "the token of a login in the same second is valid")
			}
			if tc.revive != nil {
				tc.revive(t, w)
				require.Equal(t, http.StatusOK, w.call(w.login(w.key.ID, w.secret)), "the token of a login in the same second is valid")
				require.Equal(t, http.StatusUnauthorized, w.call(token), "a revoked token stays revoked")
			}
		})
	}
	for _, tc := range []struct {
		name string
		act  func(t *testing.T, w *world)
	}{
		{"a new name", func(t *testing.T, w *world) {
			name := "renamed"
			_, err := w.APIKeys().Update(t.Context(), admin, w.key.ID, apikey.Changes{Name: &name})
			require.NoError(t, err)
		}},
		{"more permissions", func(t *testing.T, w *world) {
			_, err := w.APIKeys().Update(t.Context(), admin, w.key.ID, apikey.Changes{Permissions: perms("project.list project.read project.write")})
			require.NoError(t, err)
		}},
		{"a rotation with grace", func(t *testing.T, w *world) {
			_, _, err := w.APIKeys().Rotate(t.Context(), admin, w.key.ID, apikey.Rotation{Grace: time.Hour})
			require.NoError(t, err)
		}},
		{"another key's end", func(t *testing.T, w *world) {
			other, _ := w.newKey("team-a", "project.list")
			require.NoError(t, w.APIKeys().Delete(t.Context(), admin, other.ID, 0))
		}},
		{"another workspace's end", func(t *testing.T, w *world) {
			require.NoError(t, w.APIKeys().SetSuspended(t.Context(), admin, "team-b", true))
		}},
		{"a quota", func(t *testing.T, w *world) {
			settings(t, w, func(s *store.InstanceSettings) { s.Rules.MaxKeys = 1 })
		}},
	} {
		t.Run("not revoked by "+tc.name, func(t *testing.T) {
			w := newWorld(t)
			token := w.login(w.key.ID, w.secret)
			tc.act(t, w)
			require.Equal(t, http.StatusOK, w.call(token))
		})
	}
}

// TestClocks tests B08 for the login.
func TestClocks(t *testing.T) {
	t.Parallel()
	t.Run("B08 an expired token is accepted within the leeway and no longer", func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.config.Leeway = time.Minute })
		token := w.login(w.key.ID, w.secret)
		w.clock.Advance(5*time.Minute + 59*time.Second)
		require.Equal(t, http.StatusOK, w.call(token))
		w.clock.Advance(2 * time.Second)
		require.Equal(t, http.StatusUnauthorized, w.call(token))
	})
	t.Run("B08 without leeway a token ends with its last second", func(t *testing.T) {
		w := newWorld(t)
		token := w.login(w.key.ID, w.secret)
		w.clock.Advance(5*time.Minute - 401*time.Millisecond)
		require.Equal(t, http.StatusOK, w.call(token))
		w.clock.Advance(time.Millisecond)
		require.Equal(t, http.StatusUnauthorized, w.call(token))
	})
	t.Run("B08 a clock that goes back", func(t *testing.T) {
		w := newWorld(t)
		token := w.login(w.key.ID, w.secret)
		w.clock.Advance(-59 * time.Second)
		require.Equal(t, http.StatusOK, w.call(token))
		w.clock.Advance(-3 * time.Second)
		require.Equal(t, http.StatusUnauthorized, w.call(token), "issued in the future")
		require.Equal(t, http.StatusOK, w.call(w.login(w.key.ID, w.secret)), "a login uses the present clock")
		_, err := w.APIKeys().Disable(t.Context(), admin, w.key.ID, 0)
		require.NoError(t, err)
		w.clock.Advance(62 * time.Second)
		require.Equal(t, http.StatusUnauthorized, w.call(token), "a revocation does not depend on the clock")
	})
	t.Run("B08 a key's expiry, to the instant", func(t *testing.T) {
		w := newWorld(t)
		key, secret, err := w.APIKeys().Create(t.Context(), admin, apikey.Spec{
			Workspace: "team-a", Name: "ci", Expiry: apikey.Expiry{At: start.Add(time.Hour)},
		})
		require.NoError(t, err)
		w.clock.Advance(time.Hour - time.Second)
		require.Equal(t, http.StatusOK, w.post(cc, basic(key.ID, secret.Reveal())...).StatusCode)
		w.clock.Advance(time.Second)
		require.Equal(t, http.StatusUnauthorized, w.post(cc, basic(key.ID, secret.Reveal())...).StatusCode)
	})
}
