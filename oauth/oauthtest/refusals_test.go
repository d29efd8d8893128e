package oauthtest_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
)

// TestRefusals: each token is refused only for the reason in its name, with every algorithm
// and lifetime.
func TestRefusals(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	for _, c := range []struct {
		name string
		cfg  oauth.Config
	}{
		{"the default", oauth.Config{}},
		{"RS256", oauth.Config{Signers: []oauth.SigningKey{{Key: rsaKey}}}},
		{"PS256", oauth.Config{Signers: []oauth.SigningKey{{Key: rsaKey, Algorithm: "PS256", ID: "ps"}}}},
		{"EdDSA", oauth.Config{Signers: []oauth.SigningKey{{Key: edKey}}}},
		{"HS256", oauth.Config{Signers: []oauth.SigningKey{{Secret: []byte("thirty-two bytes and some more...")}}}},
		{"SealKeys", oauth.Config{SealKeys: []oauth.SealKey{{Version: 1, Key: []byte("0123456789abcdef0123456789abcdef")}}}},
		{"an issuer, an audience, leeway, a long life", oauth.Config{
			Issuer: "https://api.example.com", Audience: []string{"projects", "billing"},
			Leeway: time.Minute, APIKeys: apikey.Options{TokenLifetime: 8 * time.Hour},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Permissions = catalog
			auth := oauthtest.NewWith(t, c.cfg)
			mux := http.NewServeMux()
			mux.Handle("/{workspace}", auth.Server().Require("project.list").InPath("workspace")(projects))
			for _, refusal := range []struct {
				name   string
				token  func(testing.TB, string, ...string) string
				status int
				says   string
			}{
				{"a good token", auth.Token, http.StatusOK, "website"},
				{"Expired", auth.Expired, http.StatusUnauthorized, "The token has expired."},
				{"ForeignIssuer", auth.ForeignIssuer, http.StatusUnauthorized, "another issuer"},
				{"ForeignAudience", auth.ForeignAudience, http.StatusUnauthorized, "another audience"},
				{"WrongKey", auth.WrongKey, http.StatusUnauthorized, "signature does not match"},
				{"Unsigned", auth.Unsigned, http.StatusUnauthorized, "not a JWT access token of the supported form"},
				{"Revoked", auth.Revoked, http.StatusUnauthorized, "revoked"},
				{"MissingPermission", auth.MissingPermission, http.StatusForbidden, "lacks a permission"},
				{"OtherWorkspace", auth.OtherWorkspace, http.StatusNotFound, "no such workspace"},
			} {
				answer := call(mux, "/team-a", refusal.token(t, "team-a", "project.list"))
				require.Equal(t, refusal.status, answer.Code, "%s: %s", refusal.name, answer.Body)
				require.Contains(t, answer.Body.String(), refusal.says, refusal.name)
			}
		})
	}
}

// TestExpiredIsJustExpired: with one more second of leeway the token would be valid.
func TestExpiredIsJustExpired(t *testing.T) {
	auth := oauthtest.NewWith(t, oauth.Config{Permissions: catalog, Leeway: time.Minute})
	token := auth.Expired(t, "team-a", "project.list")
	_, err := auth.Server().Verifier().Verify(t.Context(), token)
	require.ErrorIs(t, err, bearer.ErrExpired)
	auth.Clock.Advance(-2 * time.Second)
	_, err = auth.Server().Verifier().Verify(t.Context(), token)
	require.NoError(t, err)
}

func TestMissingPermissionHoldsTheRest(t *testing.T) {
	auth := oauthtest.NewWith(t, oauth.Config{Permissions: catalog})
	p, err := auth.Server().Verifier().Verify(t.Context(), auth.MissingPermission(t, "team-a", "project.list"))
	require.NoError(t, err)
	require.Equal(t, "project.read", p.Permissions.String())
	require.Equal(t, "team-a", p.Workspace)
}

func TestOtherWorkspaceIsAnother(t *testing.T) {
	auth := oauthtest.NewWith(t, oauth.Config{Permissions: catalog})
	workspace := "team-a"
	for range 3 {
		p, err := auth.Server().Verifier().Verify(t.Context(), auth.OtherWorkspace(t, workspace, "project.list", "everything"))
		require.NoError(t, err)
		require.NotEqual(t, workspace, p.Workspace)
		workspace = p.Workspace
	}
}

// TestWrongKeyLooksRight: only the signature differs.
func TestWrongKeyLooksRight(t *testing.T) {
	auth := oauthtest.NewWith(t, oauth.Config{Permissions: catalog})
	good, wrong := auth.Token(t, "team-a"), auth.WrongKey(t, "team-a")
	header := func(token string) string { return strings.Split(token, ".")[0] }
	require.Equal(t, header(good), header(wrong))
}
