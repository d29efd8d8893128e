package oauth_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

// ask posts a token to revocation or introspection as one of the keys.
func (w *world) ask(path, id, secret, token string, further ...string) answer {
	w.t.Helper()
	v := url.Values{"token": {token}}
	for i := 0; i < len(further); i += 2 {
		v.Set(further[i], further[i+1])
	}
	return w.send(http.MethodPost, path, v.Encode(), append(basic(id, secret), "Content-Type", form)...)
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	t.Run("7009-01 a revoked token is refused by the next request, and no other", func(t *testing.T) {
		w := newWorld(t).at(t)
		first, second := w.login(w.key.ID, w.secret), w.login(w.key.ID, w.secret)
		a := w.ask("/api/revoke", w.key.ID, w.secret, first)
		require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
		require.Empty(t, a.Body)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		require.Equal(t, http.StatusUnauthorized, w.call(first))
		require.Equal(t, http.StatusOK, w.call(second), "issued in the same second")
		require.Equal(t, http.StatusOK, w.call(w.login(w.key.ID, w.secret)))
		require.JSONEq(t, `{"active":false}`, w.ask("/api/introspect", w.key.ID, w.secret, first).Body)
		require.Equal(t, http.StatusOK, w.ask("/api/revoke", w.key.ID, w.secret, first).StatusCode, "twice is no error")
	})
	t.Run("7009-01 client_secret_post", func(t *testing.T) {
		w := newWorld(t).at(t)
		token := w.login(w.key.ID, w.secret)
		v := url.Values{"token": {token}, "client_id": {w.key.ID}, "client_secret": {w.secret}}
		require.Equal(t, http.StatusOK, w.send(http.MethodPost, "/api/revoke", v.Encode(), "Content-Type", form).StatusCode)
		require.Equal(t, http.StatusUnauthorized, w.call(token))
	})
	w := newWorld(t)
	token := w.login(w.key.ID, w.secret)
	t.Run("7009-02 a token that is not live", func(t *testing.T) {
		w := w.at(t)
		expired := newWorld(t)
		old := expired.login(expired.key.ID, expired.secret)
		for name, text := range map[string]string{
			"garbage": "garbage", "another issuer's": old, "tampered": token[:len(token)-4] + "AAAA",
			"long": string(make([]byte, 9000)) + "x", "a JWE": "a.b.c.d.e",
		} {
			a := w.ask("/api/revoke", w.key.ID, w.secret, text)
			if name == "long" { // NULs are no text
				w.refused(a, http.StatusBadRequest, "invalid_request")
				continue
			}
			require.Equal(t, http.StatusOK, a.StatusCode, name)
			require.Empty(t, a.Body, name)
		}
		expired.clock.Advance(time.Hour)
		require.Equal(t, http.StatusOK, expired.ask("/api/revoke", expired.key.ID, expired.secret, old).StatusCode)
	})
	t.Run("7009-03 no or wrong client authentication", func(t *testing.T) {
		w := w.at(t)
		for name, a := range map[string]answer{
			"none":         w.send(http.MethodPost, "/api/revoke", "token="+token, "Content-Type", form),
			"wrong secret": w.ask("/api/revoke", w.key.ID, w.secret[:len(w.secret)-1]+"-", token),
			"unknown id":   w.ask("/api/revoke", "nobody", w.secret, token),
			"the token":    w.send(http.MethodPost, "/api/revoke", "token="+token, "Content-Type", form, "Authorization", "Bearer "+token),
		} {
			require.Equal(t, http.StatusUnauthorized, a.StatusCode, name)
			w.refused(a, http.StatusUnauthorized, "invalid_client")
		}
		require.Equal(t, http.StatusOK, w.call(token))
	})
	t.Run("7009-04 another key's token stays active", func(t *testing.T) {
		w := w.at(t)
		for _, workspace := range []string{"team-a", "team-b"} {
			other, secret := w.newKey(workspace, "project.list")
			a := w.ask("/api/revoke", other.ID, secret, token)
			require.Equal(t, http.StatusOK, a.StatusCode)
			require.Empty(t, a.Body)
			require.Equal(t, http.StatusOK, w.call(token), "the token of another key was ended by one of "+workspace)
		}
	})
	for _, hint := range []string{"refresh_token", "access_token", "nonsense"} {
		t.Run("7009-05 and 7009-08 the hint is ignored:  "+hint, func(t *testing.T) {
			w := w.at(t)
			mine := w.login(w.key.ID, w.secret)
			require.Equal(t, http.StatusOK, w.ask("/api/revoke", w.key.ID, w.secret, mine, "token_type_hint", hint).StatusCode)
			require.Equal(t, http.StatusUnauthorized, w.call(mine))
		})
	}
	for _, path := range []string{"/api/revoke", "/api/introspect"} {
		t.Run("7009-06 and 7662-05 requests that are not well formed: "+path, func(t *testing.T) {
			w := w.at(t)
			headers := append(basic(w.key.ID, w.secret), "Content-Type", form)
			w.refused(w.send(http.MethodPost, path, "", headers...), http.StatusBadRequest, "invalid_request")
			w.refused(w.send(http.MethodPost, path, "token=", headers...), http.StatusBadRequest, "invalid_request")
			w.refused(w.send(http.MethodPost, path, "token="+token+"&token="+token, headers...), http.StatusBadRequest, "invalid_request")
			w.refused(w.send(http.MethodPost, path+"?token="+token, "token="+token, headers...), http.StatusBadRequest, "invalid_request")
			a := w.send(http.MethodPost, path, `{"token":"`+token+`"}`, append(basic(w.key.ID, w.secret), "Content-Type", "application/json")...)
			w.refused(a, http.StatusBadRequest, "invalid_request")
			require.Contains(t, a.Description(), "application/x-www-form-urlencoded only")
			for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS"} {
				a := w.send(method, path+"?token="+token, "", headers...)
				require.Equal(t, http.StatusMethodNotAllowed, a.StatusCode, method)
				require.Equal(t, "POST", a.Header.Get("Allow"))
			}
			require.Equal(t, http.StatusOK, w.call(token))
			require.NotContains(t, w.log.String(), token)
		})
	}
}

func TestRevocationOutage(t *testing.T) {
	t.Parallel()
	var epochs *failingEpochs
	w := newWorld(t, func(s *setup) {
		epochs = &failingEpochs{Epochs: s.store.Epochs}
		s.store.Epochs = epochs
	})
	token := w.login(w.key.ID, w.secret)
	for _, what := range []string{"read", "revoke"} {
		t.Run("7009-07 the store fails: "+what, func(t *testing.T) {
			w := w.at(t)
			epochs.fail.Store(what)
			defer epochs.fail.Store("")
			w.refused(w.ask("/api/revoke", w.key.ID, w.secret, token), http.StatusServiceUnavailable, "temporarily_unavailable")
		})
	}
	t.Run("7662-06 the store fails at introspection", func(t *testing.T) {
		w := w.at(t)
		epochs.fail.Store("read")
		defer epochs.fail.Store("")
		w.refused(w.ask("/api/introspect", w.key.ID, w.secret, token), http.StatusServiceUnavailable, "temporarily_unavailable")
	})
	require.Equal(t, http.StatusOK, w.call(token), "nothing was revoked while the store failed")

	t.Run("7009-01 a revocation is kept as long as a verifier may accept the token", func(t *testing.T) {
		w := w.at(t)
		require.Equal(t, http.StatusOK, w.ask("/api/revoke", w.key.ID, w.secret, token).StatusCode)
		exp, _ := harness.Claims(t, token)["exp"].(float64)
		until, _ := epochs.until.Load().(time.Time)
		require.False(t, until.Before(time.Unix(int64(exp), 0).Add(bearer.MaxLeeway)))
	})
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) { s.config.IntrospectAll = "admin.project.list" })
	token := w.login(w.key.ID, w.secret)
	t.Run("7662-01 a live token", func(t *testing.T) {
		w := w.at(t)
		a := w.ask("/api/introspect", w.key.ID, w.secret, token)
		require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
		claims := harness.Claims(t, token)
		for _, name := range []string{"iss", "sub", "client_id", "scope", "exp", "iat", "jti", "workspace"} {
			require.Equal(t, claims[name], a.Member(name), name)
		}
		require.Equal(t, true, a.Member("active"))
		require.Equal(t, "Bearer", a.Member("token_type"))
		require.Equal(t, []any{claims["aud"]}, a.Member("aud"))
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	})
	t.Run("7662-02 no or wrong client authentication", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.send(http.MethodPost, "/api/introspect", "token="+token, "Content-Type", form), http.StatusUnauthorized, "invalid_client")
		w.refused(w.ask("/api/introspect", w.key.ID, w.secret[:len(w.secret)-1]+"-", token), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("7662-07 an access token is no credential here", func(t *testing.T) {
		w := w.at(t)
		a := w.send(http.MethodPost, "/api/introspect", "token="+token, "Content-Type", form, "Authorization", "Bearer "+token)
		w.refused(a, http.StatusUnauthorized, "invalid_client")
	})
	dead := func(w *world, token string) {
		w.t.Helper()
		a := w.ask("/api/introspect", w.key.ID, w.secret, token)
		require.Equal(w.t, http.StatusOK, a.StatusCode, a.Body)
		require.JSONEq(w.t, `{"active":false}`, a.Body)
	}
	t.Run("7662-03 a token that is not live", func(t *testing.T) {
		w := w.at(t)
		foreign := newWorld(t)
		dead(w, "garbage")
		dead(w, foreign.login(foreign.key.ID, foreign.secret))
		dead(w, token[:len(token)-4]+"AAAA")
		key, secret := w.newKey("team-a", "project.list")
		old := w.login(key.ID, secret)
		_, err := w.APIKeys().Disable(t.Context(), admin, key.ID, 0)
		require.NoError(t, err)
		dead(w, old)
	})
	t.Run("7662-04 tokens of another workspace are for holders of the named permission only", func(t *testing.T) {
		w := w.at(t)
		other, otherSecret := w.newKey("team-b", "project.list")
		require.JSONEq(t, `{"active":false}`, w.ask("/api/introspect", other.ID, otherSecret, token).Body)
		all, allSecret := w.newKey("team-b", "admin.project.list")
		require.Equal(t, true, w.ask("/api/introspect", all.ID, allSecret, token).Member("active"))
		neighbour, neighbourSecret := w.newKey("team-a", "project.list")
		require.Equal(t, true, w.ask("/api/introspect", neighbour.ID, neighbourSecret, token).Member("active"))
	})
	t.Run("7662-04 without IntrospectAll no key sees other workspaces", func(t *testing.T) {
		w := newWorld(t).at(t)
		all, secret := w.newKey("team-b", "admin.project.list")
		require.JSONEq(t, `{"active":false}`, w.ask("/api/introspect", all.ID, secret, w.login(w.key.ID, w.secret)).Body)
	})
	t.Run("7662-06 and 7662-08 every rule counts at every call", func(t *testing.T) {
		for name, end := range map[string]func(w *world){
			"instance": func(w *world) {
				_, err := w.APIKeys().SaveSettings(t.Context(), admin, store.InstanceSettings{Instance: store.Instance{KeysOff: true}})
				require.NoError(t, err)
			},
			"workspace": func(w *world) { require.NoError(t, w.APIKeys().SetSuspended(t.Context(), admin, "team-a", true)) },
			"key":       func(w *world) { require.NoError(t, w.APIKeys().Delete(t.Context(), admin, w.key.ID, 0)) },
			"time":      func(w *world) { w.clock.Advance(time.Hour) },
		} {
			w := newWorld(t, func(s *setup) { s.config.IntrospectAll = "admin.project.list" }).at(t)
			asker, secret := w.newKey("team-b", "admin.project.list")
			token := w.login(w.key.ID, w.secret)
			require.Equal(t, true, w.ask("/api/introspect", asker.ID, secret, token).Member("active"), name)
			end(w)
			a := w.ask("/api/introspect", asker.ID, secret, token)
			require.NotEqual(t, true, a.Member("active"), name)
			if name != "instance" { // which ends the asker too
				require.JSONEq(t, `{"active":false}`, a.Body, name)
			}
		}
	})
}

func TestIntrospectAllIsChecked(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nothing", "project.list"} {
		_, err := oauth.New(newStore(), oauth.Config{Logger: quiet, Issuer: "https://a.example", Permissions: catalog, IntrospectAll: name})
		require.ErrorContains(t, err, "Config.IntrospectAll")
	}
}
