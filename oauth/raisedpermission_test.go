package oauth_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestRaisedWhileTokensLive tests that a token allows no more than before if it was
// issued before a permission became an admin permission, or by a replica without
// that change.
func TestRaisedWhileTokensLive(t *testing.T) {
	ctx := t.Context()
	st := memstore.New()
	_, _, signer := testKeys()
	server := func(level scope.Level) *oauth.Server {
		s, err := oauth.New(st, oauth.Config{
			Issuer: "https://api.example.com", Signers: []oauth.SigningKey{{Key: signer}}, Logger: slog.New(slog.DiscardHandler),
			Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{
				{Name: "project.list"}, {Name: "report.read", Level: level}, {Name: "admin.read", Level: scope.Admin},
			}}),
		})
		require.NoError(t, err)
		return s
	}
	before := server(scope.Workspace)
	after := server(scope.Admin)
	token := func(s *oauth.Server, actor apikey.Actor, permissions ...string) string {
		set, err := scope.Of(permissions...)
		require.NoError(t, err)
		key, secret, err := s.APIKeys().Create(ctx, actor, apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: set})
		require.NoError(t, err)
		login, err := s.APIKeys().Authenticate(ctx, apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
		require.NoError(t, err)
		grant, err := s.APIKeys().Issue(ctx, login, apikey.Request{})
		require.NoError(t, err)
		text, err := s.Sign(ctx, grant)
		require.NoError(t, err)
		return text
	}
	old := token(before, apikey.Owner("ann", "team-a"), "project.list", "report.read")
	granted := token(after, admin, "project.list", "report.read")

	guard := after.Require("report.read")
	_, err := after.Verifier().Authorize(ctx, old, guard, "team-b")
	require.Error(t, err, "B21 another workspace")
	_, err = after.Verifier().AuthorizeAny(ctx, old, guard)
	require.ErrorIs(t, err, bearer.ErrForbidden, "B21 a route outside of workspaces")
	_, err = after.Verifier().Authorize(ctx, old, after.Require("project.list"), "team-a")
	require.NoError(t, err, "the other permissions still allow their routes")
	_, err = after.Verifier().Authorize(ctx, granted, guard, "team-b")
	require.NoError(t, err, "what an organization admin granted reaches every workspace")
	_, err = before.Verifier().Authorize(ctx, granted, before.Require("report.read"), "team-a")
	require.NoError(t, err, "a replica without the change")
}
