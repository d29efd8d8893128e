package oauth_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
)

// TestBodyReadBefore tests a middleware of the host's that takes the body: that is
// the server's fault, and logged once with its cause.
func TestBodyReadBefore(t *testing.T) {
	t.Parallel()
	readAll := func(r *http.Request) { _, _ = io.ReadAll(r.Body) }
	for name, taken := range map[string]struct {
		by     func(*http.Request)
		parsed string
	}{
		"ParseForm":  {func(r *http.Request) { _ = r.ParseForm() }, "form_parsed=true"},
		"FormValue":  {func(r *http.Request) { _ = r.FormValue("grant_type") }, "form_parsed=true"},
		"io.ReadAll": {readAll, "form_parsed=false"},
		"Close": {func(r *http.Request) {
			readAll(r)
			_ = r.Body.Close()
		}, "form_parsed=false"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			mux := http.NewServeMux()
			for pattern, handler := range w.Routes() {
				mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
					taken.by(r)
					handler.ServeHTTP(rw, r)
				})
			}
			web := webOf(t, mux)
			for _, path := range []string{"/api/login", "/api/revoke", "/api/introspect", "/api/login"} {
				got := harness.Send(t, http.MethodPost, web+path, w.grant("token", "x"), "Content-Type", form)
				require.Equal(t, http.StatusInternalServerError, got.StatusCode, got.Body)
				require.Equal(t, "server_error", got.Code())
				require.Equal(t, "The body of this request was read before it came here. Tell the operator of this service.", got.Description())
			}
			if strings.Contains(taken.parsed, "true") {
				r := harness.NewRequest(t, http.MethodPost, web+"/api/login", w.grant(), "Content-Type", form)
				r.ContentLength = -1 // in chunks
				require.Equal(t, http.StatusInternalServerError, w.do(http.DefaultClient, r).StatusCode)
			}
			if !strings.Contains(taken.parsed, "true") {
				got := harness.Send(t, http.MethodPost, web+"/api/login", `{"clientId":"a","clientSecret":"b"}`, "Content-Type", "application/json")
				require.Equal(t, http.StatusInternalServerError, got.StatusCode, got.Body)
			}
			log := w.log.String()
			require.Equal(t, 1, strings.Count(log, "the host's code read its body first"), log)
			require.Contains(t, log, taken.parsed)
			require.Contains(t, log, "route=/api/login")
			require.NotContains(t, log, "failed error=", "it is logged once")
		})
	}
	t.Run("an empty body is the client's fault", func(t *testing.T) {
		w := newWorld(t)
		w.refused(w.post(""), http.StatusBadRequest, "invalid_request")
		r := harness.NewRequest(t, http.MethodPost, w.base+"/api/login", "", "Content-Type", form)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader("")), -1 // in chunks
		w.refused(w.do(http.DefaultClient, r), http.StatusBadRequest, "invalid_request")
		require.NotContains(t, w.log.String(), "the host's code")
	})
	t.Run("a body that a middleware puts back is read", func(t *testing.T) {
		w := newWorld(t)
		web := webOf(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(string(text)))
			w.Token().ServeHTTP(rw, r)
		}))
		got := harness.Send(t, http.MethodPost, web+"/api/login", w.grant(), "Content-Type", form)
		require.Equal(t, http.StatusOK, got.StatusCode, got.Body)
	})
}

// webOf returns the URL of a server.
func webOf(t *testing.T, h http.Handler) string {
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	return web.URL
}
