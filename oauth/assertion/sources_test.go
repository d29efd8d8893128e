package assertion_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/assertion"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	read := assertion.File(path)
	_, err := read(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, text := range []string{"first", "second\n"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		got, err := read(t.Context())
		require.NoError(t, err)
		require.Equal(t, strings.TrimSpace(text), got)
	}
	require.NoError(t, os.WriteFile(path, []byte(" \n"), 0o600))
	_, err = read(t.Context())
	require.EqualError(t, err, "the file "+path+" is empty")
}

const (
	jobToken = "token-of-the-job"
	idToken  = "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl"
)

// inJob sets what GitHub sets in a job.
func inJob(t *testing.T, endpoint, token string) {
	t.Helper()
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", endpoint)
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", token)
}

func TestGitHubActions(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.Method != http.MethodGet || r.URL.Path != "/job" || q.Get("api-version") != "2.0" || r.Header.Get("Authorization") != "Bearer "+jobToken {
			t.Errorf("the request is %s %s", r.Method, r.URL)
		}
		fmt.Fprintf(w, `{"count":1857,"value":%q}`, idToken+"."+q.Get("audience"))
	}))
	defer web.Close()
	inJob(t, web.URL+"/job?api-version=2.0", jobToken)
	got, err := assertion.GitHubActions("https://api.example.com/a?b&c")(t.Context())
	require.NoError(t, err)
	require.Equal(t, idToken+".https://api.example.com/a?b&c", got)
}

func TestGitHubActionsFails(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"no permission", answer(http.StatusForbidden, `{"message":"`+jobToken+`"}`), "status 403"},
		{"a token with another status", answer(http.StatusAccepted, `{"value":"`+idToken+`"}`), "status 202"},
		{"a page", answer(http.StatusOK, "<p>"+jobToken), "no ID token"},
		{"no value", answer(http.StatusOK, `{"id_token":"`+idToken+`"}`), "no ID token"},
		{"an empty value", answer(http.StatusOK, `{"value":""}`), "no ID token"},
		{"too long", answer(http.StatusOK, `{"value":"`+strings.Repeat("x", 64<<10)+`"}`), "no ID token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			web := httptest.NewServer(c.handler)
			defer web.Close()
			inJob(t, web.URL+"/job-1", jobToken)
			wantGitHubError(t, c.want)
		})
	}
	for _, c := range []struct{ name, url, token, want string }{
		{"no URL", "", jobToken, "id-token: write"},
		{"no token", "http://127.0.0.1:1/job-1", "", "id-token: write"},
		{"a malformed URL", "http://127.0.0.1:1/job-1%", jobToken, "invalid URL escape"},
		{"a malformed token", "http://127.0.0.1:1/job-1", jobToken + "\n", "invalid header"},
		{"no server", "http://127.0.0.1:1/job-1", jobToken, "request an ID token from GitHub"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inJob(t, c.url, c.token)
			wantGitHubError(t, c.want)
		})
	}
}

func wantGitHubError(t *testing.T, want string) {
	t.Helper()
	got, err := assertion.GitHubActions("https://api.example.com")(t.Context())
	require.ErrorContains(t, err, want)
	require.Empty(t, got)
	for _, secret := range []string{jobToken, idToken, "job-1"} {
		require.NotContains(t, err.Error(), secret)
	}
}
