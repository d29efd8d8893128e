package oauth_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

func withSelfRevocation(s *setup) { s.config.SelfRevocationPath = "/api/revoke-secret" }

// revokeSecret sends a secret to the route of SelfRevocation.
func (w *world) revokeSecret(secret string) answer {
	w.t.Helper()
	return w.send(http.MethodPost, "/api/revoke-secret", url.Values{"secret": {secret}}.Encode(), "Content-Type", form)
}

func TestSelfRevocation(t *testing.T) {
	t.Parallel()
	t.Run("B33 mounted only if asked for, and not in the metadata", func(t *testing.T) {
		require.NotContains(t, newWorld(t).Routes(), "/api/revoke-secret")
		w := newWorld(t, withSelfRevocation)
		require.Contains(t, w.Routes(), "/api/revoke-secret")
		a := w.send(http.MethodGet, "/.well-known/oauth-authorization-server", "").Wants(http.StatusOK)
		require.NotContains(t, a.Body, "revoke-secret")
	})
	t.Run("B33 known and unknown get the same answer", func(t *testing.T) {
		w := newWorld(t, withSelfRevocation)
		token := w.login(w.key.ID, w.secret)
		known := w.revokeSecret(w.secret)
		for _, a := range []answer{known, w.revokeSecret(unknownSecret()), w.revokeSecret(w.secret)} {
			a.Wants(http.StatusOK)
			require.Empty(t, a.Body)
			require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
			known.Header.Del("Date")
			a.Header.Del("Date")
			require.Equal(t, known.Header, a.Header)
		}
		require.Equal(t, http.StatusUnauthorized, w.call(token))
		page, err := w.APIKeys().Events(t.Context(), admin, store.EventQuery{Action: audit.Revoke})
		require.NoError(t, err)
		require.Len(t, page.Events, 1)
		require.Equal(t, store.ActorRef{Kind: "holder", ID: w.key.ID}, page.Events[0].Actor)
		require.Equal(t, "127.0.0.1", page.Events[0].Address)
	})
	t.Run("B33 JSON, and a stray Authorization header", func(t *testing.T) {
		w := newWorld(t, withSelfRevocation)
		w.send(http.MethodPost, "/api/revoke-secret", `{"secret":"`+w.secret+`","more":1}`,
			"Content-Type", "application/json", "Authorization", "Bearer x").Wants(http.StatusOK)
		w.refused(w.post("grant_type=client_credentials", basic(w.key.ID, w.secret)...), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("B33 refused", func(t *testing.T) {
		var tap storetest.Tap
		w := newWorld(t, withSelfRevocation, func(s *setup) { s.store = tap.Over(memstore.New()) })
		tap.Take()
		const path = "/api/revoke-secret"
		for name, a := range map[string]answer{
			"malformed":       w.revokeSecret(w.secret[1:]),
			"none":            w.revokeSecret(""),
			"a client_secret": w.send(http.MethodPost, path, "client_secret="+w.secret, "Content-Type", form),
			"in the URL":      w.send(http.MethodPost, path+"?secret="+w.secret, "secret="+w.secret, "Content-Type", form),
			"two":             w.send(http.MethodPost, path, "secret="+w.secret+"&secret="+w.secret, "Content-Type", form),
			"other case":      w.send(http.MethodPost, path, `{"Secret":"`+w.secret+`"}`, "Content-Type", "application/json"),
			"a JSON list":     w.send(http.MethodPost, path, `{"secret":["`+w.secret+`"]}`, "Content-Type", "application/json"),
			"plain text":      w.send(http.MethodPost, path, w.secret, "Content-Type", "text/plain"),
		} {
			require.Equal(t, http.StatusBadRequest, a.StatusCode, name)
			w.refused(a, http.StatusBadRequest, "invalid_request")
		}
		w.refused(w.send(http.MethodGet, path, ""), http.StatusMethodNotAllowed, "invalid_request")
		require.Empty(t, tap.Take(), "the store is not read")
		w.login(w.key.ID, w.secret)
	})
	t.Run("B33 many unknown ones", func(t *testing.T) {
		w := newWorld(t, withSelfRevocation, func(s *setup) { s.config.APIKeys.Budgets = apikey.Budgets{PerAddress: 5} })
		for range 5 {
			w.revokeSecret(unknownSecret()).Wants(http.StatusOK)
		}
		for _, secret := range []string{unknownSecret(), w.secret} {
			a := w.revokeSecret(secret)
			w.refused(a, http.StatusTooManyRequests, "temporarily_unavailable")
			require.Equal(t, "12", a.Header.Get("Retry-After"))
		}
		w.login(w.key.ID, w.secret)
	})
	t.Run("B33 a path in use", func(t *testing.T) {
		_, err := oauth.New(memstore.New(), oauth.Config{Issuer: "https://a.example", Permissions: catalog, Logger: quiet, SelfRevocationPath: "/api/login"})
		require.ErrorContains(t, err, "Config.SelfRevocationPath: /api/login is already the path of another endpoint")
	})
	t.Run("a login may still have a parameter of that name", func(t *testing.T) {
		w := newWorld(t)
		w.post(w.grant("secret", "x")).Wants(http.StatusOK)
		w.postJSON(`{"client_id":"` + w.key.ID + `","client_secret":"` + w.secret + `","Secret":1}`).Wants(http.StatusOK)
	})
}
