package main

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConsole: with -dev-login every user of this machine can sign in to the console as any
// person. The limits of such a session are tested in examples/signin.
func TestConsole(t *testing.T) {
	text, _ := serving(t, "-store=memory", "-dev-login", "-workspaces=team-a,team-b")
	base := urlIn(t, text)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, path, cookie, body string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", cookie)
		answer, err := client.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		page, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer, string(page)
	}
	_, page := ask(http.MethodGet, "/console/sign-in", "", "")
	for _, person := range []string{"Ada, administrator", "Olga, owner of team-b", "Max, manager of team-b", "Sam, in no workspace"} {
		require.Contains(t, page, person)
	}
	for person, want := range map[string][3]int{ // the settings, the keys of team-a and those of team-b
		"":     {http.StatusSeeOther, http.StatusSeeOther, http.StatusSeeOther},
		"ada":  {http.StatusOK, http.StatusOK, http.StatusOK},
		"olga": {http.StatusForbidden, http.StatusNotFound, http.StatusOK},
		"max":  {http.StatusForbidden, http.StatusNotFound, http.StatusOK},
		"sam":  {http.StatusForbidden, http.StatusNotFound, http.StatusNotFound},
	} {
		cookie := ""
		if person != "" {
			answer, _ := ask(http.MethodPost, "/console/sign-in", "", url.Values{"person": {person}}.Encode())
			require.Len(t, answer.Cookies(), 1)
			cookie = answer.Cookies()[0].Name + "=" + answer.Cookies()[0].Value
		}
		for i, path := range []string{"/console/settings", "/console/workspaces/team-a/keys", "/console/workspaces/team-b/keys"} {
			answer, _ := ask(http.MethodGet, path, cookie, "")
			require.Equal(t, want[i], answer.StatusCode, "%s: %s", person, path)
		}
	}
	answer, _ := ask(http.MethodGet, "/health", "", "")
	require.Equal(t, http.StatusOK, answer.StatusCode, "the other routes are still there")
}

// TestConsoleIsForLoopback sends a request with a public name of the server.
func TestConsoleIsForLoopback(t *testing.T) {
	text, _ := serving(t, "-addr=0.0.0.0:0", "-store=memory", "-dev-login")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, urlIn(t, text)+"/console/sign-in", nil)
	require.NoError(t, err)
	r.Host = "mesh.example.com"
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusForbidden, answer.StatusCode)
}

func TestWithoutDevLoginThereIsNoConsole(t *testing.T) {
	text, _ := serving(t, "-store=memory")
	for _, path := range []string{"/console/", "/console/sign-in"} {
		answer, err := http.Get(urlIn(t, text) + path)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusNotFound, answer.StatusCode)
	}
}
