package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	before "github.com/latchkey-go/latchkey/examples/gooauth2/before"
	"github.com/latchkey-go/latchkey/examples/gooauth2/host"
)

const anyPort = "-addr=127.0.0.1:0"

func TestOnce(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-once", anyPort}, &out))
	require.Contains(t, out.String(), "All steps succeeded.")
	require.Contains(t, out.String(), "the user reads /me: 200 OK")
	require.Contains(t, out.String(), "the key asks for another workspace's: 404 Not Found")
	require.NotContains(t, out.String(), "lk_", "it prints no secret")
}

// TestBefore: the service of folder before logs its users in.
func TestBefore(t *testing.T) {
	listening := httptest.NewUnstartedServer(nil)
	base := "http://" + listening.Listener.Addr().String()
	listening.Config.Handler = before.New(host.NewClients(base+"/callback"), host.NewTokens())
	listening.Start()
	t.Cleanup(listening.Close)
	s := &service{base: base}
	token, err := s.userLogsIn(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.expect(t.Context(), io.Discard, "the user reads /me", "/me", token, http.StatusOK))
}

// TestAuthentication: a key logs in by Basic and by the form. A refusal names a method in its
// challenge.
func TestAuthentication(t *testing.T) {
	listening := httptest.NewUnstartedServer(nil)
	base := "http://" + listening.Listener.Addr().String()
	s, err := newService(t.Context(), base)
	require.NoError(t, err)
	listening.Config.Handler = s.handler
	listening.Start()
	t.Cleanup(listening.Close)
	for _, tc := range []struct {
		name             string
		basicID, basic   string
		formID, form     string
		status           int
		code, challenged string
	}{
		{"by Basic", s.key.ID, s.secret, "", "", http.StatusOK, "", ""},
		{"by Basic, percent-encoded", s.key.ID, "%6ck" + s.secret[2:], "", "", http.StatusOK, "", ""},
		{"by the form", "", "", s.key.ID, s.secret, http.StatusOK, "", ""},
		{"by Basic, wrong", s.key.ID, "wrong", "", "", http.StatusUnauthorized, "invalid_client", `Basic realm="host"`},
		{"by Basic, malformed", s.key.ID, "%zz", "", "", http.StatusUnauthorized, "invalid_client", `Basic realm="host"`},
		{"by the form, wrong", "", "", s.key.ID, "wrong", http.StatusUnauthorized, "invalid_client", `Basic realm="host"`},
		{"by nothing", "", "", "", "", http.StatusUnauthorized, "invalid_client", `Basic realm="host"`},
		{"by both", s.key.ID, s.secret, s.key.ID, s.secret, http.StatusBadRequest, "invalid_request", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			form := url.Values{"grant_type": {"client_credentials"}}
			if tc.formID != "" {
				form["client_id"], form["client_secret"] = []string{tc.formID}, []string{tc.form}
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/token", strings.NewReader(form.Encode()))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if tc.basicID != "" {
				r.SetBasicAuth(tc.basicID, tc.basic)
			}
			response, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			defer response.Body.Close()
			var body struct {
				Error string
				Token string `json:"access_token"`
			}
			require.NoError(t, json.NewDecoder(response.Body).Decode(&body))
			require.Equal(t, tc.status, response.StatusCode)
			require.Equal(t, tc.code, body.Error)
			require.Equal(t, tc.code == "", body.Token != "")
			require.Equal(t, tc.challenged, response.Header.Get("WWW-Authenticate"))
		})
	}
}

// TestDiff checks that change.diff turns before/server.go into after/server.go, and is short.
func TestDiff(t *testing.T) {
	want, err := os.ReadFile("change.diff")
	require.NoError(t, err)
	changed := 0
	for _, line := range strings.Split(string(want), "\n") {
		if strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "+++") {
			changed++
		}
	}
	require.LessOrEqual(t, changed, 13)
	require.True(t, strings.HasPrefix(string(want), "--- before/server.go\n+++ after/server.go\n@@ "))
	before, err := os.ReadFile("before/server.go")
	require.NoError(t, err)
	after, err := os.ReadFile("after/server.go")
	require.NoError(t, err)
	require.Equal(t, string(after), patched(t, string(before), string(want)))
}

var hunk = regexp.MustCompile(`^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@`)

// patched applies a unified diff. Every line must match.
func patched(t *testing.T, text, diff string) string {
	t.Helper()
	old := strings.SplitAfter(text, "\n")
	var out strings.Builder
	at := 0 // line of old
	for _, line := range strings.SplitAfter(diff, "\n")[2:] {
		if begins := hunk.FindStringSubmatch(line); begins != nil {
			first, err := strconv.Atoi(begins[1])
			require.NoError(t, err)
			out.WriteString(strings.Join(old[at:first-1], ""))
			at = first - 1
			continue
		}
		if line == "" {
			continue
		}
		if line[0] != '+' {
			require.Equal(t, old[at], line[1:])
			at++
		}
		if line[0] != '-' {
			out.WriteString(line[1:])
		}
	}
	return out.String() + strings.Join(old[at:], "")
}

func TestExplain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{anyPort}, out) }()
	var text strings.Builder
	for !strings.Contains(text.String(), "Press Ctrl-C to stop.") {
		part := make([]byte, 4096)
		n, err := in.Read(part)
		require.NoError(t, err)
		text.Write(part[:n])
	}
	cancel()
	require.NoError(t, <-done)
	require.Contains(t, text.String(), "client_secret=lk_")
}

func TestWrongArguments(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for name, args := range map[string][]string{
		"flag provided but not defined":   {"-nonsense"},
		`unexpected argument "nonsense"`:  {"nonsense"},
		"address already in use":          {"-addr", taken.Addr().String()},
		"address nonsense: missing port ": {"-addr", "nonsense"},
	} {
		require.ErrorContains(t, run(t.Context(), args, io.Discard), strings.TrimSpace(name))
	}
	require.NoError(t, run(t.Context(), []string{"-h"}, io.Discard))
}
