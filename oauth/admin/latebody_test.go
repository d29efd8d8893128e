package admin_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/scope"
)

// late is a body that calls a function before its first byte.
type late struct {
	io.Reader
	first func()
}

func (s *late) Read(p []byte) (int, error) {
	s.first()
	return s.Reader.Read(p)
}

func (s *late) Close() error { return nil }

// TestLateBody: a request that delays its body until its key was rotated is refused.
func TestLateBody(t *testing.T) {
	auth := oauthtest.NewWith(t, oauth.Config{Permissions: catalog, APIKeys: apikey.Options{Management: management}})
	srv := auth.Server()
	api, err := admin.New(srv.APIKeys(), admin.Config{Authorize: admin.Bearer(srv.Verifier()), CursorKey: cursorKey})
	require.NoError(t, err)
	key, secret, err := srv.APIKeys().Create(t.Context(), people["ada"], apikey.Spec{
		Workspace: "team-a", Name: "manager", Permissions: scope.MustParse("keys.list keys.save project.list"),
	})
	require.NoError(t, err)
	form := "grant_type=client_credentials&client_id=" + key.ID + "&client_secret=" + secret.Reveal()
	token := harness.Send(t, "POST", auth.TokenURL, form, "Content-Type", "application/x-www-form-urlencoded").Token()
	require.NotEmpty(t, token)
	send := func(first func()) int {
		req := harness.Incoming("POST", "/workspaces/team-a/keys", "", "Authorization", "Bearer "+token, "Content-Type", "application/json")
		req.Body = &late{strings.NewReader(`{"name":"late","permissions":["keys.save"]}`), sync.OnceFunc(first)}
		return harness.Serve(api, req).StatusCode
	}
	require.Equal(t, http.StatusCreated, send(func() {}))
	require.Equal(t, http.StatusForbidden, send(func() {
		_, _, err := srv.APIKeys().Rotate(t.Context(), people["ada"], key.ID, apikey.Rotation{})
		require.NoError(t, err)
	}), "B27")
}
