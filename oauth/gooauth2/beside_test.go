package gooauth2_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/manage"
	"github.com/go-oauth2/oauth2/v4/models"
	"github.com/stretchr/testify/require"
	xoauth2 "golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/gooauth2"
	"github.com/latchkey-go/latchkey/oauth/migrate"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

func TestBesideUsers(t *testing.T) {
	h := newHost(t, true)
	app := h.app()

	t.Run("a user's authorization_code with PKCE works as before", func(t *testing.T) {
		verifier := xoauth2.GenerateVerifier()
		token, err := app.Exchange(t.Context(), h.code(t, app, verifier), xoauth2.VerifierOption(verifier))
		require.NoError(t, err)
		require.NotEmpty(t, token.RefreshToken)
		info, err := h.validate(t, token.AccessToken)
		require.NoError(t, err)
		require.Equal(t, "ursula", info.GetUserID())
		require.Equal(t, "profile", info.GetScope())
		_, err = h.Verifier().Verify(t.Context(), token.AccessToken)
		require.Error(t, err, "a user's token is refused on the keys' routes")

		got := h.post(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.RefreshToken}, "client_id": {"app"}, "client_secret": {appSecret}})
		require.Equal(t, http.StatusOK, got.StatusCode, got.Body)
		require.Contains(t, got.Body, "refresh_token")
	})
	t.Run("its checks too", func(t *testing.T) {
		verifier := xoauth2.GenerateVerifier()
		_, err := app.Exchange(t.Context(), h.code(t, app, verifier), xoauth2.VerifierOption(xoauth2.GenerateVerifier()))
		require.ErrorContains(t, err, "invalid_grant")
		wrong := h.app()
		wrong.ClientSecret = "wrong"
		_, err = wrong.Exchange(t.Context(), h.code(t, app, verifier), xoauth2.VerifierOption(verifier))
		require.ErrorContains(t, err, "invalid_client")
	})
	t.Run("a key logs in at the same endpoint", func(t *testing.T) {
		key := clientcredentials.Config{ClientID: h.key.ID, ClientSecret: h.secret, TokenURL: h.url, AuthStyle: xoauth2.AuthStyleInParams}
		token, err := key.Token(t.Context())
		require.NoError(t, err)
		require.Empty(t, token.RefreshToken, "6749-20")
		p, err := h.Verifier().Verify(t.Context(), token.AccessToken)
		require.NoError(t, err)
		require.Equal(t, "team-a", p.Workspace)
		kept, err := h.tokens.GetByAccess(t.Context(), token.AccessToken)
		require.NoError(t, err)
		require.Nil(t, kept, "kept nowhere")
		_, err = h.validate(t, token.AccessToken)
		require.ErrorIs(t, err, oautherrors.ErrInvalidAccessToken, "it is refused on the users' routes")
	})
	t.Run("the host's client_credentials stay the host's", func(t *testing.T) {
		got := h.post(t, url.Values{"grant_type": {"client_credentials"}, "client_id": {"app"}, "client_secret": {appSecret}})
		require.Equal(t, http.StatusOK, got.StatusCode)
		require.NotContains(t, got.Body, "ey")
	})
	t.Run("a secret of a host's client does not log in a key, and a key's secret no host's client", func(t *testing.T) {
		h.refused(t, h.grant("client_secret", appSecret), http.StatusUnauthorized, "invalid_client")
		h.refused(t, h.grant("client_id", "app"), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("a client of the host's without a secret gets the host's token, never a key's", func(t *testing.T) {
		got := h.post(t, h.grant("client_id", "careless"))
		require.Equal(t, http.StatusOK, got.StatusCode, "as go-oauth2 has it")
		require.NotContains(t, got.Body, `"ey`)
	})
}

// TestNothingButClientCredentials tests that a key cannot use the other grants of
// go-oauth2.
func TestNothingButClientCredentials(t *testing.T) {
	h := newHost(t, true)
	base := strings.TrimSuffix(h.url, "/token") + "/authorize?"
	for name, id := range map[string]string{"a key": h.key.ID, "an unknown id": "nobody"} {
		t.Run("no code for "+name, func(t *testing.T) {
			for _, kind := range []string{"code", "token"} {
				query := url.Values{"response_type": {kind}, "client_id": {id}, "redirect_uri": {"https://evil.example"}}
				location := h.authorize(t, base+query.Encode())
				require.NotContains(t, location, "code=")
				require.NotContains(t, location, "access_token")
				query.Del("redirect_uri")
				location = h.authorize(t, base+query.Encode())
				require.NotContains(t, location, "code=")
				require.NotContains(t, location, "access_token")
			}
		})
	}
	t.Run("no token for a user's code", func(t *testing.T) {
		// The code was issued before the id became a key's.
		require.NoError(t, h.tokens.Create(t.Context(), &models.Token{
			ClientID: h.key.ID, UserID: "ursula", RedirectURI: "://x", Code: "c", CodeCreateAt: time.Now(), CodeExpiresIn: time.Minute,
		}))
		h.manager.SetValidateURIHandler(func(string, string) error { return nil })
		defer h.manager.SetValidateURIHandler(manage.DefaultValidateURI)
		h.refused(t, h.grant("grant_type", "authorization_code", "code", "c", "redirect_uri", "://x"), http.StatusUnauthorized, "unauthorized_client")
	})
	t.Run("no token for a user's password", func(t *testing.T) {
		h.refused(t, h.grant("grant_type", "password", "username", "ursula", "password", "p"), http.StatusUnauthorized, "unauthorized_client")
	})
	t.Run("no token for a refresh token, which go-oauth2 accepts without a secret", func(t *testing.T) {
		require.NoError(t, h.tokens.Create(t.Context(), &models.Token{
			ClientID: h.key.ID, UserID: "ursula", Access: "a", Refresh: "r", RefreshCreateAt: time.Now(), RefreshExpiresIn: time.Hour,
		}))
		h.refused(t, h.grant("grant_type", "refresh_token", "refresh_token", "r", "client_secret", ""), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("no token in a TokenInfo that the token store could not recognize", func(t *testing.T) {
		client, err := gooauth2.NewClientStore(h.APIKeys(), nil).GetByID(t.Context(), h.key.ID)
		require.NoError(t, err)
		require.True(t, client.(oauth2.ClientPasswordVerifier).VerifyPassword(h.secret))
		_, _, err = gooauth2.NewAccessGenerate(h.APIKeys(), h.Sign, nil).Token(t.Context(),
			&oauth2.GenerateBasic{Client: client, TokenInfo: plainInfo{models.NewToken()}}, false)
		require.ErrorIs(t, err, oautherrors.ErrServerError)
	})
}

// plainInfo has no extension.
type plainInfo struct{ oauth2.TokenInfo }

func requireNoRedirect(t *testing.T, client oauth2.ClientInfo) {
	t.Helper()
	for _, to := range []string{"https://evil.example", "https://a-key-has-no-redirect-uri", "", "/"} {
		require.Error(t, manage.DefaultValidateURI(client.GetDomain(), to), to)
	}
}

func TestWhoseClient(t *testing.T) {
	h := newHost(t, true)
	t.Run("an imported client is authenticated by its key only", func(t *testing.T) {
		found, err := migrate.GoOAuth2(t.Context(), h.clients, []string{"app"}, func(oauth2.ClientInfo) (apikey.Spec, error) {
			return apikey.Spec{Workspace: "team-b", Permissions: catalog.All()}, nil
		})
		require.NoError(t, err)
		key, err := h.APIKeys().Import(t.Context(), admin, found.Keys[0])
		require.NoError(t, err)
		login := h.grant("client_id", "app", "client_secret", appSecret)
		got := h.post(t, login)
		require.Equal(t, http.StatusOK, got.StatusCode)
		require.Contains(t, got.Body, `"access_token":"ey`, "RFC 9068 now")
		_, err = h.APIKeys().Disable(t.Context(), admin, key.ID, 0)
		require.NoError(t, err)
		h.refused(t, login, http.StatusUnauthorized, "invalid_client")
		require.NoError(t, h.APIKeys().Delete(t.Context(), admin, key.ID, 0))
		got = h.post(t, login)
		require.Equal(t, http.StatusOK, got.StatusCode, "the host's again, as the documentation warns")
		require.NotContains(t, got.Body, `"ey`)
	})
	t.Run("B02 an unknown id and a wrong secret of a key read the same stores and get the same response", func(t *testing.T) {
		for _, id := range []string{h.key.ID, "nobody"} {
			h.clients.asked = nil
			h.refused(t, h.grant("client_id", id, "client_secret", "wrong"), http.StatusUnauthorized, "invalid_client")
			require.Equal(t, []string{id}, h.clients.asked)
		}
		h.clients.asked = nil
		status := h.post(t, h.grant()).StatusCode
		require.Equal(t, http.StatusOK, status)
		require.Empty(t, h.clients.asked, "a key's login does not read the host's store")
	})
	t.Run("a client that is nil", func(t *testing.T) {
		h.clients.clients["nil"] = nil
		h.refused(t, h.grant("client_id", "nil"), http.StatusUnauthorized, "invalid_client")
	})
}

func TestRefusals(t *testing.T) {
	h := newHost(t, false)
	expired, late, err := h.APIKeys().Create(t.Context(), admin, apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: catalog.All(), Expiry: apikey.Expiry{At: time.Now().Add(time.Hour)}})
	require.NoError(t, err)
	h.refused(t, h.grant("scope", "root"), http.StatusBadRequest, "invalid_scope")
	for name, denied := range map[string]*policy.Denied{
		"unauthorized_client":     {Rule: "no"},
		"invalid_client":          {Rule: "lifetime", Expired: true},
		"temporarily_unavailable": {Rule: "rate", RetryAfter: time.Second},
	} {
		h.verdict = denied
		body := h.post(t, h.grant()).Body
		require.Contains(t, body, name)
		require.NotContains(t, body, "access_token")
	}
	h.verdict = nil
	status := h.post(t, h.grant("client_id", expired.ID, "client_secret", late.Reveal())).StatusCode
	require.Equal(t, http.StatusOK, status)
	h.ahead = time.Hour
	h.refused(t, h.grant("client_id", expired.ID, "client_secret", late.Reveal()), http.StatusUnauthorized, "invalid_client")
}

func TestOutages(t *testing.T) {
	for _, wrapped := range []bool{false, true} {
		name := map[bool]string{false: "/stock manager", true: "/our manager"}[wrapped]
		h := newHost(t, wrapped)
		app := h.grant("client_id", "app", "client_secret", appSecret)
		t.Run("B19 the key store is unavailable: no client can log in"+name, func(t *testing.T) {
			h.down = store.ErrUnavailable
			defer func() { h.down = nil }()
			for _, login := range []url.Values{h.grant(), app, h.grant("client_id", "careless"), h.grant("client_id", "nobody")} {
				h.refused(t, login, http.StatusServiceUnavailable, "temporarily_unavailable")
			}
		})
		t.Run("B19 the host's store is unavailable: keys still log in"+name, func(t *testing.T) {
			for _, outage := range []error{store.ErrUnavailable, context.DeadlineExceeded, oautherrors.ErrServerError, unhashable{"x"}} {
				h.clients.down = outage
				status := h.post(t, h.grant()).StatusCode
				require.Equal(t, http.StatusOK, status)
				if unknown := (unhashable)(nil); errors.As(outage, &unknown) {
					h.refused(t, app, http.StatusUnauthorized, "invalid_client")
					continue
				}
				h.refused(t, app, http.StatusServiceUnavailable, "temporarily_unavailable")
			}
			h.clients.down = nil
		})
		t.Run("B19 while the secret is checked"+name, func(t *testing.T) {
			h.workspaces = errors.New("down")
			defer func() { h.workspaces = nil }()
			if wrapped {
				h.refused(t, h.grant(), http.StatusServiceUnavailable, "temporarily_unavailable")
				h.refused(t, h.grant("client_secret", "wrong"), http.StatusUnauthorized, "invalid_client")
				return
			}
			h.refused(t, h.grant(), http.StatusUnauthorized, "invalid_client")
		})
		t.Run("B19 while the token is signed"+name, func(t *testing.T) {
			h.manager.MapAccessGenerate(gooauth2.NewAccessGenerate(h.APIKeys(), func(context.Context, *apikey.Grant) (string, error) {
				return "", store.ErrUnavailable
			}, nil))
			h.refused(t, h.grant(), http.StatusServiceUnavailable, "temporarily_unavailable")
		})
	}
}

type unhashable []string

func (u unhashable) Error() string { return u[0] }

func TestManagerAddresses(t *testing.T) {
	h := newHost(t, true)
	from := func(address string, values url.Values) int {
		return h.post(t, values, "X-Forwarded-For", address).StatusCode
	}
	t.Run("policies get the address", func(t *testing.T) {
		h.addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		defer func() { h.addresses = nil }()
		require.Equal(t, http.StatusOK, from("192.0.2.7", h.grant()))
		require.Equal(t, http.StatusUnauthorized, from("198.51.100.7", h.grant()))
	})
	t.Run("B04 failures count by address, and a correct secret is accepted", func(t *testing.T) {
		foreign := h.grant("client_secret", "wrong")
		last := 0
		for range 200 {
			if last = from("203.0.113.9", foreign); last == http.StatusServiceUnavailable {
				break
			}
		}
		require.Equal(t, http.StatusServiceUnavailable, last)
		require.Equal(t, http.StatusUnauthorized, from("203.0.113.10", foreign))
		require.Equal(t, http.StatusOK, from("203.0.113.9", h.grant()))
	})
	t.Run("without a request there is no address", func(t *testing.T) {
		manager := gooauth2.Manager{Manager: h.manager, ClientAddr: func(*http.Request) netip.Addr { panic("asked") }}
		_, err := manager.GenerateAccessToken(t.Context(), oauth2.ClientCredentials, &oauth2.TokenGenerateRequest{ClientID: h.key.ID, ClientSecret: h.secret})
		require.NoError(t, err)
	})
}
