package mounting_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
)

// TestClientAddress logs in through a proxy with the address 10.0.0.1, at a server that allows
// logins from one network.
func TestClientAddress(t *testing.T) {
	onRouter := func(srv *oauth.Server, before ...func(http.Handler) http.Handler) http.Handler {
		router := chi.NewRouter()
		router.Use(before...)
		for path, handler := range srv.Routes() {
			router.Handle(path, handler)
		}
		return router
	}
	proxies := oauth.BehindProxies(netip.MustParsePrefix("10.0.0.0/8"))
	for _, c := range []struct {
		name      string
		addr      func(*http.Request) netip.Addr
		before    []func(http.Handler) http.Handler
		forwarded string
		status    int
	}{
		{"BehindProxies", proxies, nil, "192.0.2.7", http.StatusOK},
		{"BehindProxies, a forged entry", proxies, nil, "192.0.2.7, 198.51.100.1", http.StatusBadRequest},
		{"RealIP", nil, []func(http.Handler) http.Handler{middleware.RealIP}, "192.0.2.7", http.StatusOK},                                                     //nolint:staticcheck // hosts still use it
		{"RealIP trusts a forged header: do not use it", nil, []func(http.Handler) http.Handler{middleware.RealIP}, "192.0.2.7, 198.51.100.1", http.StatusOK}, //nolint:staticcheck // hosts still use it
	} {
		t.Run(c.name, func(t *testing.T) {
			h := serve(t, func(a app) http.Handler { return onRouter(a.Server, c.before...) }, allowOnly(netip.MustParsePrefix("192.0.2.0/24")),
				func(cfg *oauth.Config) { cfg.ClientAddr = c.addr })
			id, secret := h.newKey(t, "team-a")
			form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
			r := httptest.NewRequest(http.MethodPost, "/api/login", strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.RemoteAddr = "10.0.0.1:4711"
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			answer := httptest.NewRecorder()
			onRouter(h.Server, c.before...).ServeHTTP(answer, r)
			require.Equal(t, c.status, answer.Code, answer.Body.String())
		})
	}
}
