package oauthtest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/scope"
)

// Expired returns a token that is valid but for its expiry, which is in the past by the
// server's leeway and one second more. A guard answers 401.
func (s *Server) Expired(t testing.TB, workspace string, permissions ...string) string {
	t.Helper()
	return s.bad(t, s.expired, workspace, permissions)
}

func (s *Server) expired(ctx context.Context, workspace string, permissions []string) (string, error) {
	lifetime := s.cfg.APIKeys.TokenLifetime
	if lifetime == 0 {
		lifetime = 5 * time.Minute
	}
	earlier := s.Clock.Now().Add(-lifetime - s.cfg.Leeway - time.Second)
	return s.issueAs(ctx, func(cfg *oauth.Config) { cfg.Now = func() time.Time { return earlier } }, workspace, permissions)
}

// ForeignIssuer returns a token of another issuer, signed with the server's own
// key: only the iss claim is wrong. A guard answers 401.
func (s *Server) ForeignIssuer(t testing.TB, workspace string, permissions ...string) string {
	t.Helper()
	return s.bad(t, s.foreignIssuer, workspace, permissions)
}

func (s *Server) foreignIssuer(ctx context.Context, workspace string, permissions []string) (string, error) {
	return s.issueAs(ctx, func(cfg *oauth.Config) { cfg.Issuer = "https://foreign-issuer.example" }, workspace, permissions)
}

// ForeignAudience returns a token for another resource server. A guard answers
// 401.
func (s *Server) ForeignAudience(t testing.TB, workspace string, permissions ...string) string {
	t.Helper()
	return s.bad(t, s.foreignAudience, workspace, permissions)
}

func (s *Server) foreignAudience(ctx context.Context, workspace string, permissions []string) (string, error) {
	return s.issueAs(ctx, func(cfg *oauth.Config) { cfg.Audience = []string{"https://foreign-audience.example"} }, workspace, permissions)
}

// WrongKey returns a token that is valid but for its signature, which is random bytes.
// A guard treats it as a token signed with another key, and answers 401.
func (s *Server) WrongKey(t testing.TB, workspace string, permissions ...string) string {
	t.Helper()
	return s.bad(t, s.wrongKey, workspace, permissions)
}

func (s *Server) wrongKey(ctx context.Context, workspace string, permissions []string) (string, error) {
	good, _, err := s.token(ctx, s.plain, workspace, permissions)
	if err != nil {
		return "", err
	}
	end := strings.LastIndexByte(good, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(good[end:])
	if err != nil {
		return "", fmt.Errorf("read the token's signature: %w", err)
	}
	_, err = rand.Read(signature)
	return good[:end] + base64.RawURLEncoding.EncodeToString(signature), err
}

// Unsigned returns a token with the algorithm "none" and the claims of a valid
// one. A guard answers 401.
func (s *Server) Unsigned(t testing.TB, workspace string, permissions ...string) string {
	t.Helper()
	return s.bad(t, s.unsigned, workspace, permissions)
}

func (s *Server) unsigned(ctx context.Context, workspace string, permissions []string) (string, error) {
	good, _, err := s.token(ctx, s.plain, workspace, permissions)
	if err != nil {
		return "", err
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))
	return header + "." + strings.Split(good, ".")[1] + ".", nil
}

// Revoked returns a token that was revoked: its key was disabled after it was
// issued. A guard answers 401.
func (s *Server) Revoked(t testing.TB, workspace string, permissions ...string) string {
	t.Helper()
	return s.bad(t, s.revoked, workspace, permissions)
}

func (s *Server) revoked(ctx context.Context, workspace string, permissions []string) (string, error) {
	token, id, err := s.token(ctx, s.plain, workspace, permissions)
	if err != nil {
		return "", err
	}
	return token, s.disable(ctx, id)
}

// disable uses the service of the server under test, so that its verifier learns of
// the revocation at once.
func (s *Server) disable(ctx context.Context, id string) error {
	_, err := s.server.APIKeys().Disable(ctx, operator(), id, 0)
	return err
}

// MissingPermission returns a token of the workspace that holds none of the named
// permissions, and all others of the catalog that are not admin permissions. For a
// route with alternatives (bearer.Guard.Or), name the permissions of all of them. A
// guard answers 403.
func (s *Server) MissingPermission(t testing.TB, workspace string, permissions ...string) string {
	t.Helper()
	if len(permissions) == 0 {
		t.Fatalf("oauthtest: MissingPermission: name the permissions that the route requires")
	}
	return s.bad(t, s.missingPermission, workspace, permissions)
}

func (s *Server) missingPermission(ctx context.Context, workspace string, permissions []string) (string, error) {
	lacking, err := s.known(permissions)
	if err != nil {
		return "", err
	}
	catalog := s.server.APIKeys().Catalog()
	rest := catalog.All().Minus(catalog.Admin()).Minus(lacking)
	token, _, err := s.token(ctx, s.plain, workspace, rest.Names())
	return token, err
}

// OtherWorkspace returns a token with the permissions in another workspace than the
// given one. A guard answers 404, so that the caller does not learn whether the
// workspace exists. Name no permissions, or at least one that is not an admin permission
// (scope.Admin): a guard may accept a token that has admin permissions only.
func (s *Server) OtherWorkspace(t testing.TB, workspace string, permissions ...string) string {
	t.Helper()
	return s.bad(t, s.otherWorkspace, workspace, permissions)
}

func (s *Server) otherWorkspace(ctx context.Context, workspace string, permissions []string) (string, error) {
	held, err := s.known(permissions)
	if err != nil {
		return "", err
	}
	if s.reachesAll(held) {
		return "", fmt.Errorf("%s reaches every workspace: name a permission that is not an admin permission, or none", held)
	}
	token, _, err := s.token(ctx, s.plain, otherThan(workspace), permissions)
	return token, err
}

func otherThan(workspace string) string {
	const other = "oauthtest-other"
	if workspace == other {
		return "oauthtest-another"
	}
	return other
}

// bad returns a token that must be refused. It ends the test if it cannot make one.
func (s *Server) bad(t testing.TB, issue func(context.Context, string, []string) (string, error), workspace string, permissions []string) string {
	t.Helper()
	token, err := issue(t.Context(), workspace, permissions)
	if err != nil {
		t.Fatalf("oauthtest: make the token: %v", err)
	}
	return token
}

// issueAs returns a token of a server with a changed configuration.
func (s *Server) issueAs(ctx context.Context, change func(*oauth.Config), workspace string, permissions []string) (string, error) {
	other, err := s.variant(change)
	if err != nil {
		return "", err
	}
	token, _, err := s.token(ctx, other, workspace, permissions)
	return token, err
}

// known returns the permissions as a set. It fails if one is not in the catalog.
func (s *Server) known(permissions []string) (scope.Set, error) {
	set, err := scope.Of(permissions...)
	if err != nil {
		return scope.Set{}, fmt.Errorf("permissions %q: %w", permissions, err)
	}
	return set, s.server.APIKeys().Catalog().Check(set)
}

// reachesAll reports whether a guard that requires these permissions accepts a
// token of any workspace.
func (s *Server) reachesAll(held scope.Set) bool {
	return held.Len() > 0 && s.server.APIKeys().Catalog().Admin().ContainsAll(held)
}
