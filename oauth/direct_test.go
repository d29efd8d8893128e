package oauth_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
)

// newDirect makes a key that allows direct use.
func (w *world) newDirect(workspace, permissions string) (apikey.Key, string) {
	w.t.Helper()
	key, secret, err := w.APIKeys().Create(w.t.Context(), admin, apikey.Spec{
		Workspace: workspace, Name: "direct", Permissions: scope.MustParse(permissions), Direct: true,
	})
	require.NoError(w.t, err)
	w.log.Keep(secret.Reveal())
	return key, secret.Reveal()
}

// direct is a route with OrSecret that answers with what the principal says.
func (w *world) direct() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /workspaces/{workspace}/projects", w.Require("project.list").OrSecret().InPath("workspace")(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p, _ := bearer.PrincipalFrom(r.Context())
		_, _ = io.WriteString(rw, p.KeyID)
	})))
	return mux
}

func TestDirect(t *testing.T) {
	w := newWorld(t, func(s *setup) { s.config.SecretForms = bearer.SecretForms{Header: "X-API-Key", Basic: true} })
	key, secret := w.newDirect("team-a", "project.list")
	a := harness.Serve(w.direct(), harness.Incoming("GET", "/workspaces/team-a/projects", "", "X-API-Key", secret))
	require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
	require.Equal(t, key.ID, a.Body)
}
