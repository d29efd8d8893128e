package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// explain prints commands that try the service.
func (s *service) explain(out io.Writer) {
	login := fmt.Sprintf("curl -s -d grant_type=client_credentials -d client_id=%s -d client_secret=%s %s/token", s.key.ID, s.secret, s.base)
	fmt.Fprintf(out, `A go-oauth2 server with API keys beside its own clients and users runs at %[1]s

1. A user of its web app logs in as before:
     curl -si --cookie session=ursula "%[1]s/authorize?response_type=code&client_id=webapp&redirect_uri=%[1]s/callback"
     curl -s -d grant_type=authorization_code -d client_id=webapp -d client_secret=webapp-secret \
       -d redirect_uri=%[1]s/callback -d code=CODE %[1]s/token

2. A program logs in with a key (made for workspace team-a; its secret is shown only now):
     %[2]s

3. It calls a route with the token:
     TOKEN=$(%[2]s | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
     curl -i -H "Authorization: Bearer $TOKEN" %[1]s/workspaces/team-a/projects
     curl -i -H "Authorization: Bearer $TOKEN" %[1]s/workspaces/team-b/projects     # another workspace: 404
     curl -i -H "Authorization: Bearer $TOKEN" %[1]s/me                             # a user's route: 401

Press Ctrl-C to stop.
`, s.base, login)
}

// runSteps runs all steps with golang.org/x/oauth2.
func (s *service) runSteps(ctx context.Context, out io.Writer) error {
	user, err := s.userLogsIn(ctx)
	if err != nil {
		return fmt.Errorf("a user logs in: %w", err)
	}
	fmt.Fprintln(out, "A user logged in with authorization_code and PKCE, as before.")
	storedTokens := s.tokens.Len()

	key, err := s.login(ctx, s.key.ID, s.secret)
	if err != nil {
		return fmt.Errorf("a key logs in: %w", err)
	}
	fmt.Fprintf(out, "A key logged in at the same endpoint: an RFC 9068 token for %q.\n", key.Extra("scope"))
	imported, err := s.login(ctx, "nightly", "Zl2m8Qy4Tn7Vw1Xc5Rb9Ks3Hd")
	if err != nil {
		return fmt.Errorf("an imported client logs in: %w", err)
	}
	fmt.Fprintln(out, "An imported client logged in with its old secret, which is now stored as a digest.")
	if s.tokens.Len() != storedTokens {
		return errors.New("a token of a key is in the host's token store")
	}

	for _, step := range []struct {
		what, path string
		token      *oauth2.Token
		want       int
	}{
		{"the user reads /me", "/me", user, http.StatusOK},
		{"the user asks for a workspace's projects", "/workspaces/team-a/projects", user, http.StatusUnauthorized},
		{"the key reads its workspace's projects", "/workspaces/team-a/projects", key, http.StatusOK},
		{"the key asks for another workspace's", "/workspaces/team-b/projects", key, http.StatusNotFound},
		{"the key asks for /me", "/me", key, http.StatusUnauthorized},
		{"the imported client reads its workspace's projects", "/workspaces/team-a/projects", imported, http.StatusOK},
	} {
		if err := s.expect(ctx, out, step.what, step.path, step.token, step.want); err != nil {
			return err
		}
	}
	for _, refused := range []struct{ what, id, secret string }{
		{"a wrong secret", s.key.ID, "wrong"},
		{"an unknown id", "nobody", s.secret},
		{"the web app's secret with a key's id", s.key.ID, "webapp-secret"},
	} {
		if err := s.mustNotLogIn(ctx, refused.id, refused.secret); err != nil {
			return fmt.Errorf("%s: %w", refused.what, err)
		}
		fmt.Fprintf(out, "with %s: 401 invalid_client\n", refused.what)
	}
	if _, err := s.keys.APIKeys().Disable(ctx, apikey.OrganizationAdmin("example"), s.key.ID, 0); err != nil {
		return err
	}
	if err := s.mustNotLogIn(ctx, s.key.ID, s.secret); err != nil {
		return fmt.Errorf("a disabled key: %w", err)
	}
	if err := s.expect(ctx, out, "the key was disabled, and its token is revoked", "/workspaces/team-a/projects", key, http.StatusUnauthorized); err != nil {
		return err
	}
	fmt.Fprintln(out, "All steps succeeded.")
	return nil
}

// userLogsIn does what the browser and the web app do.
func (s *service) userLogsIn(ctx context.Context) (*oauth2.Token, error) {
	app := oauth2.Config{
		ClientID: "webapp", ClientSecret: "webapp-secret", RedirectURL: s.base + "/callback", Scopes: []string{"profile"},
		Endpoint: oauth2.Endpoint{AuthURL: s.base + "/authorize", TokenURL: s.base + "/token", AuthStyle: oauth2.AuthStyleInParams},
	}
	verifier := oauth2.GenerateVerifier()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, app.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)), nil)
	if err != nil {
		return nil, err
	}
	r.AddCookie(&http.Cookie{Name: "session", Value: "ursula"}) //nolint:gosec // a request's cookie has no attributes
	response, err := http.DefaultTransport.RoundTrip(r)         // without following the redirect
	if err != nil {
		return nil, err
	}
	if err := response.Body.Close(); err != nil {
		return nil, err
	}
	to, err := url.Parse(response.Header.Get("Location"))
	if err != nil {
		return nil, err
	}
	return app.Exchange(ctx, to.Query().Get("code"), oauth2.VerifierOption(verifier))
}

func (s *service) login(ctx context.Context, id, secret string) (*oauth2.Token, error) {
	cfg := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: s.base + "/token", AuthStyle: oauth2.AuthStyleInParams}
	token, err := cfg.Token(ctx)
	if err == nil && strings.Count(token.AccessToken, ".") != 2 {
		return nil, errors.New("the token is not a JWT")
	}
	return token, err
}

func (s *service) mustNotLogIn(ctx context.Context, id, secret string) error {
	_, err := s.login(ctx, id, secret)
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response.StatusCode != http.StatusUnauthorized || refused.ErrorCode != "invalid_client" {
		return fmt.Errorf("it was not refused with 401 invalid_client: %w", err)
	}
	return nil
}

func (s *service) expect(ctx context.Context, out io.Writer, what, path string, token *oauth2.Token, want int) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return err
	}
	token.SetAuthHeader(r)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != want {
		return fmt.Errorf("%s: the status is %s instead of %d", what, response.Status, want)
	}
	fmt.Fprintf(out, "%s: %s\n", what, response.Status)
	return nil
}
