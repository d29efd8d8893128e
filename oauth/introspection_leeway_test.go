package oauth_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLeewayIsTheGuards tests that within Config.Leeway a guard accepts an expired
// token and the key may revoke it, but introspection reports it as not active.
func TestLeewayIsTheGuards(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) { s.config.Leeway = time.Minute })
	token := w.login(w.key.ID, w.secret)
	ask := func(path string) answer {
		return w.send(http.MethodPost, path, url.Values{"token": {token}}.Encode(), append(basic(w.key.ID, w.secret), "Content-Type", form)...)
	}
	require.Contains(t, ask("/api/introspect").Body, `"active":true`)
	p, err := w.Verifier().Verify(t.Context(), token)
	require.NoError(t, err)
	w.clock.Set(p.Expires)
	require.Equal(t, http.StatusOK, w.call(token))
	require.Equal(t, "{\"active\":false}\n", ask("/api/introspect").Body, "7662-03")
	require.Equal(t, http.StatusOK, ask("/api/revoke").StatusCode)
	require.Equal(t, http.StatusUnauthorized, w.call(token), "7009-01 revoked within the leeway")
}
