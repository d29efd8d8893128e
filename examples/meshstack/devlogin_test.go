package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDevLogin(t *testing.T) {
	text, _ := serving(t, "-store=memory", "-dev-login")
	base := urlIn(t, text)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	send := func(method, path, cookie, body string, headers ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if cookie != "" {
			r.Header.Set("Cookie", sessionCookie+"="+cookie)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		answer, err := client.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer
	}
	signIn := func(person, cookie string) *http.Cookie {
		t.Helper()
		answer := send(http.MethodPost, "/dev-login", cookie, url.Values{"person": {person}}.Encode())
		require.Equal(t, http.StatusSeeOther, answer.StatusCode)
		require.Equal(t, "/console/", answer.Header.Get("Location"))
		require.Len(t, answer.Cookies(), 1)
		return answer.Cookies()[0]
	}

	nobody := send(http.MethodGet, "/console/settings", "", "")
	require.Equal(t, http.StatusSeeOther, nobody.StatusCode)
	require.Equal(t, "/dev-login", nobody.Header.Get("Location"))
	require.Equal(t, http.StatusOK, send(http.MethodGet, "/dev-login", "", "").StatusCode)

	ada := signIn("ada", "")
	require.Equal(t, http.StatusOK, send(http.MethodGet, "/console/settings", ada.Value, "").StatusCode)
	require.Equal(t, http.StatusOK, send(http.MethodGet, "/health", "", "").StatusCode, "the other routes are still there")

	t.Run("B16 the cookie is for this host and no script", func(t *testing.T) {
		require.True(t, strings.HasPrefix(ada.Name, "__Host-"))
		require.True(t, ada.Secure)
		require.True(t, ada.HttpOnly)
		require.Equal(t, http.SameSiteLaxMode, ada.SameSite)
		require.Equal(t, "/", ada.Path)
		require.Empty(t, ada.Domain)
	})
	t.Run("B16 who signs in gets a session of his own", func(t *testing.T) {
		chosen := "a-session-that-somebody-else-chose"
		manager := signIn("max", chosen)
		require.NotEqual(t, chosen, manager.Value)
		require.Equal(t, http.StatusSeeOther, send(http.MethodGet, "/console/settings", chosen, "").StatusCode)
		require.Equal(t, http.StatusForbidden, send(http.MethodGet, "/console/settings", manager.Value, "").StatusCode)
		require.Equal(t, http.StatusOK, send(http.MethodGet, "/console/workspaces/team-a/keys", manager.Value, "").StatusCode)
		require.Equal(t, http.StatusNotFound, send(http.MethodGet, "/console/workspaces/team-b/keys", manager.Value, "").StatusCode)
	})
	t.Run("B16 a page of another origin signs nobody in or out", func(t *testing.T) {
		for _, path := range []string{"/dev-login", "/dev-logout"} {
			answer := send(http.MethodPost, path, ada.Value, "person=ada", "Sec-Fetch-Site", "cross-site")
			require.Equal(t, http.StatusForbidden, answer.StatusCode)
			require.Empty(t, answer.Cookies())
		}
		require.Equal(t, http.StatusOK, send(http.MethodGet, "/console/settings", ada.Value, "").StatusCode)
	})
	t.Run("B16 signing out ends the session", func(t *testing.T) {
		require.Equal(t, http.StatusSeeOther, send(http.MethodPost, "/dev-logout", ada.Value, "").StatusCode)
		require.Equal(t, http.StatusSeeOther, send(http.MethodGet, "/console/settings", ada.Value, "").StatusCode)
	})
	t.Run("an unknown person", func(t *testing.T) {
		require.Equal(t, http.StatusBadRequest, send(http.MethodPost, "/dev-login", "", "person=eve").StatusCode)
	})
}

func TestDevLoginIsForLoopback(t *testing.T) {
	err := run(t.Context(), []string{"-addr=0.0.0.0:0", "-store=memory", "-dev-login"}, nil)
	require.ErrorContains(t, err, "loopback")
}

func TestWithoutDevLoginThereIsNoConsole(t *testing.T) {
	text, _ := serving(t, "-store=memory")
	for _, path := range []string{"/console/", "/dev-login"} {
		answer, err := http.Get(urlIn(t, text) + path)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusNotFound, answer.StatusCode)
	}
}
