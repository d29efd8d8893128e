package admin_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// unreadable are epochs that cannot be read. Their error also wraps a refusal of
// another verifier.
type unreadable struct{ store.Epochs }

func (unreadable) Read(context.Context, store.TokenRef) (store.EpochState, error) {
	_, refused := bearer.Credential(http.Header{"Authorization": {"Bearer a", "Bearer b"}})
	return store.EpochState{}, errors.Join(refused, bearer.ErrRevoked, store.ErrUnavailable)
}

// TestBearerChallenge: the challenge says invalid_token only if the token is not valid
// (RFC 6750, section 3.1). Clients renew their token only then.
func TestBearerChallenge(t *testing.T) {
	now := harness.ClockAt(noon)
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer: "https://api.example.com", Permissions: catalog, APIKeys: apikey.Options{Management: management},
		Now: now.Now, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	api, err := admin.New(srv.APIKeys(), admin.Config{Authorize: admin.Bearer(srv.Verifier()), CursorKey: cursorKey})
	require.NoError(t, err)
	newToken := func(t *testing.T) (id, token string) {
		t.Helper()
		key, secret, err := srv.APIKeys().Create(t.Context(), people["ada"], apikey.Spec{
			Workspace: "team-a", Name: "manager", Permissions: scope.MustParse("keys.list"),
		})
		require.NoError(t, err)
		login, err := srv.APIKeys().Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
		require.NoError(t, err)
		grant, err := srv.APIKeys().Issue(t.Context(), login, apikey.Request{})
		require.NoError(t, err)
		token, err = srv.Sign(t.Context(), grant)
		require.NoError(t, err)
		return key.ID, token
	}
	ask := func(authorization ...string) *http.Response {
		r := httptest.NewRequest(http.MethodGet, "/workspaces/team-a/keys", nil)
		r.Header["Authorization"] = authorization
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, r)
		return answer.Result()
	}
	const invalid = `Bearer error="invalid_token"`

	t.Run("a good token", func(t *testing.T) {
		_, token := newToken(t)
		for _, value := range []string{"Bearer " + token, "bearer   " + token} {
			require.Equal(t, http.StatusOK, ask(value).StatusCode, "6750-01")
		}
	})
	t.Run("6750-03 tampered with", func(t *testing.T) {
		_, token := newToken(t)
		require.Equal(t, invalid, ask("Bearer "+token[:len(token)-8]+"AAAAAAAA").Header.Get("WWW-Authenticate"))
	})
	t.Run("6750-03 revoked", func(t *testing.T) {
		id, token := newToken(t)
		_, err := srv.APIKeys().Disable(t.Context(), people["ada"], id, 0)
		require.NoError(t, err)
		answer := ask("Bearer " + token)
		require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
		require.Equal(t, invalid, answer.Header.Get("WWW-Authenticate"))
	})
	t.Run("6750-03 expired", func(t *testing.T) {
		_, token := newToken(t)
		now.Advance(time.Hour)
		answer := ask("Bearer " + token)
		require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
		require.Equal(t, invalid, answer.Header.Get("WWW-Authenticate"))
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.Contains(t, string(body), "The token has expired.")
	})
	for name, values := range map[string][]string{
		"no header": nil, "an empty header": {""}, "another scheme": {"Basic eDp5"}, "the scheme alone": {"Bearer"}, "spaces and no more": {"Bearer   "},
		"a tab": {"Bearer\tx"}, "two headers": {"Bearer x", "Bearer x"},
	} {
		t.Run("6750-02 no token: "+name, func(t *testing.T) {
			answer := ask(values...)
			require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
			require.Equal(t, "Bearer", answer.Header.Get("WWW-Authenticate"))
		})
	}
}

// TestBearerOutage: a token that could not be checked is not called invalid.
func TestBearerOutage(t *testing.T) {
	st := memstore.New()
	st.Epochs = unreadable{st.Epochs}
	srv, err := oauth.New(st, oauth.Config{
		Issuer: "https://api.example.com", Permissions: catalog, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	key, secret, err := srv.APIKeys().Create(t.Context(), people["ada"], apikey.Spec{Workspace: "team-a", Name: "ci"})
	require.NoError(t, err)
	login, err := srv.APIKeys().Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
	require.NoError(t, err)
	grant, err := srv.APIKeys().Issue(t.Context(), login, apikey.Request{})
	require.NoError(t, err)
	token, err := srv.Sign(t.Context(), grant)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	_, err = admin.Bearer(srv.Verifier())(r)
	require.ErrorIs(t, err, bearer.ErrUnavailable)
	var unauthorized *admin.UnauthorizedError
	require.False(t, errors.As(err, &unauthorized))
}
