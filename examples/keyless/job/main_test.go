package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRun tests where a job takes its identity from, and how often it calls.
func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("from-file\n"), 0o600))
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	mux.HandleFunc("GET /request", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"value":"from-github %s %s"}`, r.Header.Get("Authorization"), r.FormValue("audience"))
	})
	mux.HandleFunc("POST /api/login", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("client_assertion") == "bad" {
			http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"access_token":%q}`, r.PostFormValue("client_id")+" "+r.PostFormValue("client_assertion"))
	})
	mux.HandleFunc("GET /workspaces/team-a/projects", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Authorization"))
	})
	for name, c := range map[string]struct {
		environment map[string]string
		want        string // the identity
	}{
		"GitHub Actions": {map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": web.URL + "/request?v=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "runner"},
			"from-github Bearer runner " + web.URL},
		"GitLab":     {map[string]string{"IDENTITY": "from-variable"}, "from-variable"},
		"Kubernetes": {map[string]string{"IDENTITY_FILE": file}, "from-file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SERVICE_URL", web.URL)
			t.Setenv("CLIENT_ID", "key-1")
			for name, value := range c.environment {
				t.Setenv(name, value)
			}
			var out bytes.Buffer
			require.NoError(t, run(t.Context(), strings.NewReader("\n"), &out))
			called := "called: 200 OK Bearer key-1 " + c.want + "\n"
			require.Equal(t, "logged in\n"+called+called, out.String())
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Setenv("SERVICE_URL", web.URL)
		t.Setenv("IDENTITY", "bad")
		require.EqualError(t, run(t.Context(), strings.NewReader(""), &bytes.Buffer{}), "log in: 401 Unauthorized invalid_client")
	})
	t.Run("no identity", func(t *testing.T) {
		t.Setenv("SERVICE_URL", web.URL)
		require.ErrorContains(t, run(t.Context(), strings.NewReader(""), &bytes.Buffer{}), "get an identity")
		t.Setenv("IDENTITY_FILE", filepath.Join(t.TempDir(), "none"))
		require.ErrorContains(t, run(t.Context(), strings.NewReader(""), &bytes.Buffer{}), "no such file")
	})
}
