package mounting_test

import (
	"log/slog"
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
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
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
	lambda := func(next http.Handler) http.Handler { // as the adaptors of AWS Lambda do
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.RemoteAddr = "192.0.2.7"
			next.ServeHTTP(w, r)
		})
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
		{"an event of AWS Lambda", nil, []func(http.Handler) http.Handler{lambda}, "", http.StatusOK},
		{"RealIP", nil, []func(http.Handler) http.Handler{middleware.RealIP}, "192.0.2.7", http.StatusOK},                                                     //nolint:staticcheck // hosts have it still
		{"RealIP trusts a forged header: do not use it", nil, []func(http.Handler) http.Handler{middleware.RealIP}, "192.0.2.7, 198.51.100.1", http.StatusOK}, //nolint:staticcheck // hosts have it still
	} {
		t.Run(c.name, func(t *testing.T) {
			srv, err := oauth.New(memstore.New(), oauth.Config{
				Issuer:      "https://api.example.com",
				Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}}),
				Policy:      policy.AllowAddresses(netip.MustParsePrefix("192.0.2.0/24")),
				ClientAddr:  c.addr,
				Logger:      slog.New(slog.DiscardHandler),
			})
			require.NoError(t, err)
			key, secret, err := srv.APIKeys().Create(t.Context(), apikey.OrganizationAdmin("tests"), apikey.Spec{
				Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list"),
			})
			require.NoError(t, err)
			form := url.Values{"grant_type": {"client_credentials"}, "client_id": {key.ID}, "client_secret": {secret.Reveal()}}
			r := httptest.NewRequest(http.MethodPost, "/api/login", strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.RemoteAddr = "10.0.0.1:4711"
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			answer := httptest.NewRecorder()
			onRouter(srv, c.before...).ServeHTTP(answer, r)
			require.Equal(t, c.status, answer.Code, answer.Body.String())
		})
	}
}
