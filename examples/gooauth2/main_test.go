package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

// TestDiff checks that change.diff is correct and short.
func TestDiff(t *testing.T) {
	want, err := os.ReadFile("change.diff")
	require.NoError(t, err)
	changed := 0
	for _, line := range strings.Split(string(want), "\n") {
		if strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "+++") {
			changed++
		}
	}
	require.LessOrEqual(t, changed, 12)
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
