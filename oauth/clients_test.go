package oauth_test

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// TestStockClient is golang.org/x/oauth2/clientcredentials, as a host's
// customers have it.
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
			token, err := client.Token(t.Context())
			require.NoError(t, err)
			require.Equal(t, "Bearer", token.TokenType)
			require.Empty(t, token.RefreshToken, "6749-20")
			require.Equal(t, "project.list", token.Extra("scope"))
			require.WithinDuration(t, time.Now().Add(5*time.Minute), token.Expiry, 10*time.Second)

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

func TestCurl(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	w := newWorld(t)
	for name, args := range map[string][]string{
		"-u": {"-u", w.key.ID + ":" + w.secret, "-d", cc},
		"-d": {"-d", cc, "-d", "client_id=" + w.key.ID, "-d", "client_secret=" + w.secret},
		"6749-24 JSON": {"-H", "Content-Type: application/json", "-d",
			`{"clientId":"` + w.key.ID + `","clientSecret":"` + w.secret + `"}`},
		"--data-urlencode":                  {"--data-urlencode", cc, "--data-urlencode", "client_id=" + w.key.ID, "--data-urlencode", "client_secret=" + w.secret},
		"B12 a body long enough for Expect": {"-H", "Expect: 100-continue", "-d", cc, "-d", "x=" + strings.Repeat("x", 2000), "-u", w.key.ID + ":" + w.secret},
	} {
		t.Run(name, func(t *testing.T) {
			args = append([]string{"-sS", "--max-time", "20"}, append(args, w.base+"/api/login")...)
			out, err := exec.CommandContext(t.Context(), curl, args...).Output()
			require.NoError(t, err)
			var body map[string]any
			require.NoError(t, json.Unmarshal(out, &body), string(out))
			require.Equal(t, http.StatusOK, w.at(t).call(body["access_token"].(string)))
		})
	}
}
