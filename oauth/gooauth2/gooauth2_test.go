package gooauth2_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/models"
	"github.com/go-oauth2/oauth2/v4/server"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/gooauth2"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

var (
	admin   = apikey.OrganizationAdmin("tests")
	catalog = scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}, {Name: "project.read"}}})
)

// stock is a go-oauth2 server with this package's adapters, set up as its
// documentation says.
type stock struct {
	*oauth.Server
	manager *manage.Manager
	url     string
	key     apikey.Key
	secret  string
	verdict error
	down    error // of look-ups
}

func newStock(t *testing.T, changes ...func(*oauth.Config)) *stock {
	t.Helper()
	s := &stock{}
	config := oauth.Config{
		Issuer: "https://api.example.com", Permissions: catalog, Logger: slog.New(slog.DiscardHandler), LoginTimeout: time.Minute,
		Policy: policy.TokenFunc(func(context.Context, *policy.TokenRequest) error { return s.verdict }),
	}
	for _, change := range changes {
		change(&config)
	}
	var err error
	s.Server, err = oauth.New(harness.Tapped(memstore.New(), func(context.Context, string) error { return s.down }, "Keys.Lookup"), config)
	require.NoError(t, err)
	key, secret, err := s.APIKeys().Create(t.Context(), admin, apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: catalog.All(), Expiry: apikey.Expiry{At: time.Now().Add(time.Hour)},
	})
	require.NoError(t, err)
	s.key, s.secret = key, secret.Reveal()

	s.manager = manage.NewDefaultManager()
	s.manager.MapClientStorage(gooauth2.NewClientStore(s.APIKeys(), nil))
	s.manager.MapAccessGenerate(gooauth2.NewAccessGenerate(s.APIKeys(), s.Sign, nil))
	s.manager.MapTokenStorage(gooauth2.NewTokenStore(nil))
	web := server.NewDefaultServer(s.manager)
	web.SetClientInfoHandler(func(r *http.Request) (string, string, error) {
		if id, secret, ok := r.BasicAuth(); ok {
			return id, secret, nil
		}
		return server.ClientFormHandler(r)
	})
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = web.HandleTokenRequest(w, r)
	}))
	t.Cleanup(listening.Close)
	s.url = listening.URL
	return s
}

func (s *stock) post(t *testing.T, values url.Values, headers ...string) harness.Answer {
	t.Helper()
	headers = append(headers, "Content-Type", "application/x-www-form-urlencoded")
	return harness.Send(t, http.MethodPost, s.url, values.Encode(), headers...)
}

func (s *stock) grant(further ...string) url.Values {
	v := url.Values{"grant_type": {"client_credentials"}, "client_id": {s.key.ID}, "client_secret": {s.secret}}
	for i := 0; i < len(further); i += 2 {
		v.Set(further[i], further[i+1])
	}
	return v
}

func TestStockServer(t *testing.T) {
	s := newStock(t)
	t.Run("a stock client logs in", func(t *testing.T) {
		client := clientcredentials.Config{ClientID: s.key.ID, ClientSecret: s.secret, TokenURL: s.url}
		token, err := client.Token(t.Context())
		require.NoError(t, err)
		require.Empty(t, token.RefreshToken, "6749-20")
		require.Equal(t, "project.list project.read", token.Extra("scope"))
		require.InEpsilon(t, 300.0, token.Extra("expires_in"), 0, "ours, not go-oauth2's two hours")
		p, err := s.Verifier().Verify(t.Context(), token.AccessToken)
		require.NoError(t, err)
		require.Equal(t, s.key.ID, p.KeyID)
		require.Equal(t, "team-a", p.Workspace)
	})
	t.Run("a part of the scope", func(t *testing.T) {
		got := s.post(t, s.grant("scope", "project.read"))
		require.Equal(t, http.StatusOK, got.StatusCode)
		require.Contains(t, got.Body, `"scope":"project.read"`)
		require.NotContains(t, got.Body, "refresh_token")
	})
	for _, tc := range []struct {
		name   string
		values url.Values
		code   string
	}{
		{"a wrong secret", s.grant("client_secret", "wrong"), "invalid_client"},
		{"an empty secret", s.grant("client_secret", ""), "invalid_client"},
		{"an unknown client", s.grant("client_id", "nobody"), "invalid_client"},
		{"no client", s.grant("client_id", ""), "invalid_client"},
		{"a scope the key does not hold", s.grant("scope", "root"), "invalid_scope"},
		{"a malformed scope", s.grant("scope", "a  b"), "invalid_scope"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := s.post(t, tc.values)
			require.GreaterOrEqual(t, got.StatusCode, 400)
			require.Less(t, got.StatusCode, 500, got.Body)
			require.Contains(t, got.Body, tc.code)
			require.NotContains(t, got.Body, "access_token")
		})
	}
	for _, grant := range []string{"password", "refresh_token", "authorization_code"} {
		t.Run("no "+grant, func(t *testing.T) {
			got := s.post(t, s.grant("grant_type", grant, "username", "a", "password", "b", "refresh_token", "x", "code", "x", "redirect_uri", "https://a"))
			require.GreaterOrEqual(t, got.StatusCode, 400)
			require.NotContains(t, got.Body, "access_token")
		})
	}
	t.Run("a policy's denial", func(t *testing.T) {
		s.verdict = &policy.Denied{Rule: "no", Reason: "No."}
		defer func() { s.verdict = nil }()
		body := s.post(t, s.grant()).Body
		require.Contains(t, body, "unauthorized_client")
	})
	for name, outage := range map[string]error{
		"an outage":               store.ErrUnavailable,
		"a denial because of one": &policy.Denied{Rule: "no", Expired: true, Err: store.ErrUnavailable},
		"a deadline":              fmt.Errorf("quota: %w", context.DeadlineExceeded),
		"a refused login, too":    errors.Join(&apikey.RefusedError{Reason: "disabled"}, store.ErrUnavailable),
	} {
		t.Run("B19 behind the secret: "+name, func(t *testing.T) {
			s.verdict = outage
			defer func() { s.verdict = nil }()
			got := s.post(t, s.grant())
			require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
			require.Contains(t, got.Body, "temporarily_unavailable")
		})
	}
	t.Run("B19 the store is unavailable before the secret is verified: no token", func(t *testing.T) {
		s.down = store.ErrUnavailable
		defer func() { s.down = nil }()
		got := s.post(t, s.grant())
		require.GreaterOrEqual(t, got.StatusCode, 400)
		require.NotContains(t, got.Body, "access_token")
	})
	t.Run("a disabled key", func(t *testing.T) {
		_, err := s.APIKeys().Disable(t.Context(), admin, s.key.ID, 0)
		require.NoError(t, err)
		body := s.post(t, s.grant()).Body
		require.Contains(t, body, "invalid_client")
	})
}

func TestAdapters(t *testing.T) {
	s := newStock(t)
	clients := gooauth2.NewClientStore(s.APIKeys(), nil)
	generate := gooauth2.NewAccessGenerate(s.APIKeys(), s.Sign, nil)

	t.Run("every id has a client, so that a response does not show whether an id exists", func(t *testing.T) {
		for _, id := range []string{s.key.ID, "nobody", ""} {
			client, err := clients.GetByID(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, id, client.GetID())
			require.Empty(t, client.GetSecret())
			requireNoRedirect(t, client)
			require.Empty(t, client.GetUserID())
			require.False(t, client.IsPublic(), "6749-21")
		}
	})
	t.Run("no token for a client whose secret was not verified", func(t *testing.T) {
		client, err := clients.GetByID(t.Context(), s.key.ID)
		require.NoError(t, err)
		_, _, err = generate.Token(t.Context(), &oauth2.GenerateBasic{Client: client, TokenInfo: models.NewToken()}, true)
		require.ErrorIs(t, err, oautherrors.ErrInvalidClient)
		require.False(t, client.(oauth2.ClientPasswordVerifier).VerifyPassword("wrong"))
		_, _, err = generate.Token(t.Context(), &oauth2.GenerateBasic{Client: client, TokenInfo: models.NewToken()}, true)
		require.ErrorIs(t, err, oautherrors.ErrInvalidClient)
	})
	t.Run("no token through the implicit grant", func(t *testing.T) {
		_, err := s.manager.GenerateAuthToken(t.Context(), oauth2.Token, &oauth2.TokenGenerateRequest{ClientID: s.key.ID})
		require.ErrorIs(t, err, oautherrors.ErrInvalidClient)
	})
	t.Run("no token for another store's client, or for nothing", func(t *testing.T) {
		for _, data := range []*oauth2.GenerateBasic{
			nil, {}, {TokenInfo: models.NewToken()}, {Client: &models.Client{ID: s.key.ID}, TokenInfo: models.NewToken()},
		} {
			_, _, err := generate.Token(t.Context(), data, false)
			require.ErrorIs(t, err, oautherrors.ErrServerError)
		}
	})
	t.Run("a signer that fails", func(t *testing.T) {
		broken := errors.New("broken")
		failing := gooauth2.NewAccessGenerate(s.APIKeys(), func(context.Context, *apikey.Grant) (string, error) { return "", broken }, nil)
		client, err := clients.GetByID(t.Context(), s.key.ID)
		require.NoError(t, err)
		require.True(t, client.(oauth2.ClientPasswordVerifier).VerifyPassword(s.secret))
		access, _, err := failing.Token(t.Context(), &oauth2.GenerateBasic{Client: client, TokenInfo: models.NewToken()}, false)
		require.ErrorIs(t, err, broken)
		require.Empty(t, access)
	})
	t.Run("the token store keeps and finds nothing", func(t *testing.T) {
		tokens := gooauth2.NewTokenStore(nil)
		ctx := t.Context()
		require.NoError(t, tokens.Create(ctx, models.NewToken()))
		require.NoError(t, tokens.RemoveByAccess(ctx, "x"))
		require.NoError(t, tokens.RemoveByCode(ctx, "x"))
		require.NoError(t, tokens.RemoveByRefresh(ctx, "x"))
		for _, find := range []func(context.Context, string) (oauth2.TokenInfo, error){tokens.GetByAccess, tokens.GetByCode, tokens.GetByRefresh} {
			found, err := find(ctx, "x")
			require.Error(t, err)
			require.Nil(t, found)
		}
		_, err := s.manager.LoadAccessToken(ctx, "x")
		require.ErrorIs(t, err, oautherrors.ErrInvalidAccessToken)
	})
}

// TestCachedStore tests that the owner of an id is read from the cache, as for
// logins.
func TestCachedStore(t *testing.T) {
	st, tapped := harness.NewTap()
	cached, err := cache.New(st, cache.Config{Bound: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	srv, err := oauth.New(cached.Store(), oauth.Config{
		Issuer: "https://api.example.com", Permissions: catalog, Logger: slog.New(slog.DiscardHandler), LoginTimeout: time.Minute,
	})
	require.NoError(t, err)
	// The stream of changes, which would notify the cache between logins, is not
	// open yet.
	key, secret, err := srv.APIKeys().Create(t.Context(), admin, apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: catalog.All()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = srv.Run(ctx) })
	defer running.Wait()
	defer cancel()
	require.Eventually(t, cached.Usable, time.Minute, time.Millisecond)
	manager := manage.NewDefaultManager()
	manager.MapClientStorage(gooauth2.NewClientStore(srv.APIKeys(), nil))
	manager.MapAccessGenerate(gooauth2.NewAccessGenerate(srv.APIKeys(), srv.Sign, nil))
	manager.MapTokenStorage(gooauth2.NewTokenStore(nil))
	login := func() {
		_, err := manager.GenerateAccessToken(t.Context(), oauth2.ClientCredentials, &oauth2.TokenGenerateRequest{
			ClientID: key.ID, ClientSecret: secret.Reveal(),
		})
		require.NoError(t, err)
	}
	login()
	tapped.Take()
	for range 10 {
		login()
	}
	require.Zero(t, tapped.Take()["Keys.Lookup"])
}
