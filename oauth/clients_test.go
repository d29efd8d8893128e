package oauth_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// TestStockClient logs in with golang.org/x/oauth2/clientcredentials, as a host's
// customers may.
func TestStockClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) { s.config.Now = time.Now })
	for name, style := range map[string]oauth2.AuthStyle{
		"6749-01 in the header": oauth2.AuthStyleInHeader,
		"6749-03 in the body":   oauth2.AuthStyleInParams,
		"it finds out itself":   oauth2.AuthStyleAutoDetect,
	} {
		t.Run(name, func(t *testing.T) {
			w := w.at(t)
			client := clientcredentials.Config{
				ClientID: w.key.ID, ClientSecret: w.secret, TokenURL: w.base + "/api/login",
				Scopes: []string{"project.list"}, AuthStyle: style,
			}
			before := time.Now()
			token, err := client.Token(t.Context())
			after := time.Now()
			require.NoError(t, err)
			require.Equal(t, "Bearer", token.TokenType)
			require.Empty(t, token.RefreshToken, "6749-20")
			require.Equal(t, "project.list", token.Extra("scope"))
			require.False(t, token.Expiry.Before(before.Add(5*time.Minute)))
			require.False(t, token.Expiry.After(after.Add(5*time.Minute)))

			response, err := client.Client(t.Context()).Get(w.base + "/workspaces/team-a/projects")
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusOK, response.StatusCode)

			client.ClientSecret = typo(w.secret)
			_, err = client.Token(t.Context())
			var refused *oauth2.RetrieveError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "invalid_client", refused.ErrorCode)
			require.NotEmpty(t, refused.ErrorDescription)

			client.ClientSecret, client.Scopes = w.secret, []string{"project.write"}
			_, err = client.Token(t.Context())
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "invalid_scope", refused.ErrorCode)
		})
	}
}

// TestCurl sends the same bytes as curl 8 with these arguments; examples/interop
// runs curl itself.
func TestCurl(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := strings.Join(basic(w.key.ID, w.secret), ": ")
	both := cc + "&client_id=" + w.key.ID + "&client_secret=" + w.secret
	for name, tc := range map[string]struct{ headers, body string }{
		"-u":               {user + "\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\nContent-Type: " + form, cc},
		"-d":               {"User-Agent: curl/8.14.1\r\nAccept: */*\r\nContent-Type: " + form, both},
		"--data-urlencode": {"User-Agent: curl/8.14.1\r\nAccept: */*\r\nContent-Type: " + form, strings.ReplaceAll(both, "-", "%2D")},
		"6749-24 JSON": {"User-Agent: curl/8.14.1\r\nAccept: */*\r\nContent-Type: application/json",
			`{"clientId":"` + w.key.ID + `","clientSecret":"` + w.secret + `"}`},
		"B12 a body long enough for Expect": {user + "\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\nExpect: 100-continue\r\nContent-Type: " + form,
			cc + "&x=" + strings.Repeat("x", 2000)},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.at(t)
			conn := w.raw(fmt.Sprintf("POST /api/login HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Length: %d\r\n\r\n", strings.TrimPrefix(w.base, "http://"), tc.headers, len(tc.body)))
			in := bufio.NewReader(conn)
			if strings.Contains(tc.headers, "Expect") {
				require.Equal(t, http.StatusContinue, answerOn(t, in).StatusCode)
			}
			_, err := io.WriteString(conn, tc.body)
			require.NoError(t, err)
			a := answerOn(t, in)
			require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
			require.Equal(t, http.StatusOK, w.call(a.Token()))
		})
	}
}
