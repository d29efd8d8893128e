package interop_test

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const xoauth2 = peer("golang.org/x/oauth2")

func TestXOAuth2(t *testing.T) {
	f := start(t, "ES256")
	for _, style := range []struct {
		name  string
		style oauth2.AuthStyle
		basic bool
	}{
		{"AuthStyleInHeader", oauth2.AuthStyleInHeader, true},
		{"AuthStyleInParams", oauth2.AuthStyleInParams, false},
		{"AuthStyleAutoDetect", oauth2.AuthStyleAutoDetect, true},
	} {
		config := func() *clientcredentials.Config {
			return &clientcredentials.Config{ClientID: f.ClientID, ClientSecret: f.ClientSecret, TokenURL: f.TokenURL, AuthStyle: style.style}
		}
		xoauth2.shows(t, style.name, func(t *testing.T) {
			wire := &recorder{}
			ctx := context.WithValue(limited(t), oauth2.HTTPClient, &http.Client{Transport: wire})
			cfg := config()
			token, err := cfg.Token(ctx)
			require.NoError(t, err)
			require.Equal(t, []bool{style.basic}, wire.basic, "one request, with Basic or without")
			require.Equal(t, "Bearer", token.Type())
			require.Equal(t, "project.list project.read", token.Extra("scope"))
			require.WithinDuration(t, time.Now().Add(5*time.Minute), token.Expiry, 10*time.Second)

			client := cfg.Client(ctx)
			for target, want := range map[string]int{
				f.ProtectedURL: http.StatusOK,
				f.ForbiddenURL: http.StatusForbidden,
				f.ForeignURL:   http.StatusNotFound,
			} {
				status, body := get(t, client, target)
				require.Equal(t, want, status, "%s: %s", target, body)
			}
		})
		refused := func(t *testing.T, cfg *clientcredentials.Config, status int, code string) {
			t.Helper()
			var problem *oauth2.RetrieveError
			_, err := cfg.Token(limited(t))
			require.ErrorAs(t, err, &problem)
			require.Equal(t, status, problem.Response.StatusCode)
			require.Equal(t, code, problem.ErrorCode)
			require.NotEmpty(t, problem.ErrorDescription)
		}
		t.Run(style.name, func(t *testing.T) {
			xoauth2.refuses(t, "wrong secret", func(t *testing.T) {
				cfg := config()
				cfg.ClientSecret = f.WrongSecret
				refused(t, cfg, http.StatusUnauthorized, "invalid_client")
			})
			xoauth2.refuses(t, "scope not held", func(t *testing.T) {
				cfg := config()
				cfg.Scopes = []string{"billing.read"}
				refused(t, cfg, http.StatusBadRequest, "invalid_scope")
			})
		})
	}
	xoauth2.shows(t, "narrowed scope", func(t *testing.T) {
		cfg := clientcredentials.Config{
			ClientID: f.ClientID, ClientSecret: f.ClientSecret, TokenURL: f.TokenURL,
			Scopes: []string{"project.read"}, EndpointParams: url.Values{"audience": {"https://elsewhere.example.com"}},
		}
		token, err := cfg.Token(limited(t))
		require.NoError(t, err)
		require.Equal(t, "project.read", token.Extra("scope"))
	})
}

// recorder records for each login whether it had Basic credentials.
type recorder struct {
	mu    sync.Mutex
	basic []bool
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodPost {
		_, _, basic := request.BasicAuth()
		r.mu.Lock()
		r.basic = append(r.basic, basic)
		r.mu.Unlock()
	}
	return http.DefaultTransport.RoundTrip(request)
}
