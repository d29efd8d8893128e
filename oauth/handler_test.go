package oauth_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHandler puts the routes in front of a ServeMux whose patterns would conflict
// with them.
func TestHandler(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) { s.config.AuthorizationPath = "/oauth/authorize" })
	login := w.grant()
	for _, c := range []struct{ pattern, method, own string }{
		{"POST /{tenant}/login", http.MethodPost, "/acme/login"},
		{"GET /", http.MethodGet, "/index.html"},
		{"GET /api/{rest...}", http.MethodGet, "/api/users"},
		{"POST /api/", http.MethodPost, "/api/users"},
		{"/api/{name}", http.MethodDelete, "/api/users"},
		{"/{all...}", http.MethodPut, "/"},
	} {
		t.Run(c.pattern, func(t *testing.T) {
			w := w.at(t)
			var passed []string
			mux := http.NewServeMux()
			mux.HandleFunc(c.pattern, func(rw http.ResponseWriter, r *http.Request) {
				passed = append(passed, r.URL.Path)
				rw.WriteHeader(http.StatusTeapot)
			})
			h := w.Handler(mux)
			require.NotEmpty(t, serve(h, http.MethodPost, "/api/login", login).Token())
			for path, route := range w.Routes() {
				for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete} {
					want, got := serve(route, method, path, ""), serve(h, method, path, "")
					require.Equal(t, want.StatusCode, got.StatusCode, "%s %s", method, path)
					require.Equal(t, want.Body, got.Body)
				}
			}
			require.Empty(t, passed)
			require.Equal(t, http.StatusTeapot, serve(h, c.method, c.own, "").StatusCode)
			require.Equal(t, []string{c.own}, passed)
		})
	}
	t.Run("a path in another spelling is next's", func(t *testing.T) {
		h := w.Handler(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) }))
		for _, path := range []string{"/api/login/", "//api/login", "/api%2Flogin", "/api/log%69n", "/API/login", "/api/./login", "/", "/api/logi"} {
			require.Equal(t, http.StatusTeapot, serve(h, http.MethodPost, path, login).StatusCode, path)
		}
		require.Equal(t, http.StatusOK, serve(h, http.MethodPost, "/api/login?x=y", login).StatusCode)
	})
	t.Run("without next", func(t *testing.T) {
		require.PanicsWithValue(t, "oauth: Handler: next is nil", func() { w.Handler(nil) })
	})
}
