package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain runs the program instead of the tests if a test started this binary to be the
// program.
func TestMain(m *testing.M) {
	switch os.Getenv("MESHSTACK_PROCESS") {
	case "serve":
		main()
		return
	case "bootstrap":
		bootstrapAndKill(os.Getenv("MESHSTACK_KILL"))
		return
	}
	m.Run()
}

// startProcess starts the program in the current folder and waits until it serves.
func startProcess(t *testing.T, args ...string) (*exec.Cmd, *testBackend) {
	t.Helper()
	program := exec.CommandContext(t.Context(), os.Args[0], append([]string{"-addr=127.0.0.1:0"}, args...)...) //nolint:gosec // itself
	program.Env = append(os.Environ(), "MESHSTACK_PROCESS=serve")
	program.Stderr = os.Stderr
	out, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	t.Cleanup(func() {
		if program.ProcessState == nil { // the test failed before it ended the process
			_ = program.Process.Kill()
			_ = program.Wait()
		}
	})
	var text strings.Builder
	for lines := bufio.NewReader(out); !strings.Contains(text.String(), "Press Ctrl-C"); {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		text.WriteString(line)
	}
	return program, &testBackend{url: urlIn(t, text.String())}
}

// TestKill kills the program in the middle of its work. Everything that it acknowledged before
// exists afterwards.
func TestKill(t *testing.T) {
	t.Chdir(t.TempDir())
	rounds := 2
	if os.Getenv("LATCHKEY_SOAK") == "1" {
		rounds = 30
	}
	var kept []credentials
	for round := range rounds {
		program, w := startProcess(t, "-bootstrap", "first-key")
		token := w.login(t, readCredentials(t, "first-key"))
		require.NotEmpty(t, token)
		for _, c := range kept {
			require.NotEmpty(t, w.login(t, c), "a key that was acknowledged before the kill")
		}
		require.Equal(t, http.StatusOK, w.call(t, token, http.MethodGet, "/api/meshobjects/meshworkspaces", "").status)

		acknowledged := make(chan credentials, 100)
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for range 20 {
					got, err := send(t.Context(), http.MethodPost, w.url+keysPath, providerHeader(token), keyBody([]string{"team-a", "team-b", "admin"}[round%3], `,"permissions":[]`))
					if err != nil || got.status != http.StatusCreated {
						return // the program was killed, or the quota is reached
					}
					acknowledged <- got.key(t).credentials()
				}
			})
		}
		for range 3 + 5*(round%4) {
			select {
			case c := <-acknowledged:
				kept = append(kept, c)
			case <-time.After(time.Minute):
				require.Fail(t, "no key was created")
			}
		}
		require.NoError(t, program.Process.Kill())
		require.Error(t, program.Wait())
		clients.Wait()
		close(acknowledged)
		for c := range acknowledged {
			kept = append(kept, c)
		}
	}
	_, w := startProcess(t)
	for _, c := range kept {
		require.NotEmpty(t, w.login(t, c))
	}
	fmt.Fprintln(os.Stderr, len(kept), "keys acknowledged,", rounds, "kills")
}

// TestTwoProcesses: another process sees a change at once or, at the latest, when its cache
// entry expires.
func TestTwoProcesses(t *testing.T) {
	t.Chdir(t.TempDir())
	flags := []string{"-bootstrap", "first-key", "-issuer", "https://mesh.example.com"}
	_, here := startProcess(t, flags...)
	_, there := startProcess(t, flags...)
	admin := here.login(t, readCredentials(t, "first-key"))
	k := here.made(t, admin, "team-a", `,"permissions":["WORKSPACE_LIST"]`)
	token := there.login(t, k.credentials())
	require.NotEmpty(t, token, "a key that another process created works")
	list := func() int {
		t.Helper()
		return there.call(t, token, http.MethodGet, "/api/meshobjects/meshworkspaces", "").status
	}
	require.Equal(t, http.StatusOK, list())

	rotated := here.call(t, admin, http.MethodPut, keysPath+"/"+k.Metadata.UUID, keyBody("team-a", `,"permissions":["WORKSPACE_LIST"],"expiresAt":"2099-12-31"`)).key(t)
	require.NotEmpty(t, rotated.Status.ClientSecret)
	for i := range 20 { // requests that manage keys see changes of another process at once
		a, b := here, there
		if i%2 == 1 {
			a, b = there, here
		}
		path, name := keysPath+"/"+k.Metadata.UUID, fmt.Sprintf("ci %d", i)
		b.login(t, rotated.credentials()) // the key is in its cache then
		body := strings.Replace(keyBody("team-a", `,"permissions":["WORKSPACE_LIST"],"expiresAt":"2099-12-31"`), `"ci"`, `"`+name+`"`, 1)
		sent := a.call(t, admin, http.MethodPut, path, body)
		require.Equal(t, http.StatusOK, sent.status, "%s", sent.body)
		if i%4 < 2 {
			require.Equal(t, name, b.call(t, admin, http.MethodGet, path, "").key(t).Spec.DisplayName)
			continue
		}
		sent = b.call(t, admin, http.MethodPut, path, body) // reads the stored key, not the cache
		require.Equal(t, http.StatusOK, sent.status, "%s", sent.body)
	}
	deadline := time.Now().Add(time.Minute)
	for list() == http.StatusOK || there.login(t, k.credentials()) != "" {
		require.True(t, time.Now().Before(deadline), "the replaced secret or its token still works in the other process")
	}
	require.Equal(t, http.StatusUnauthorized, list())
	require.NotEmpty(t, there.login(t, rotated.credentials()))
}

// TestTerminate: after SIGTERM the program ends by itself and without an error.
func TestTerminate(t *testing.T) {
	t.Chdir(t.TempDir())
	program, w := startProcess(t, "-store", "memory", "-bootstrap", "first-key")
	require.NotEmpty(t, w.login(t, readCredentials(t, "first-key")))
	require.NoError(t, program.Process.Signal(syscall.SIGTERM))
	require.NoError(t, program.Wait())
}

// TestFailedStartPrintsOneLine: if a start fails, the program prints one line, and the clients
// of the databases print nothing.
func TestFailedStartPrintsOneLine(t *testing.T) {
	t.Chdir(t.TempDir())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() { // a server that closes each connection
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	for _, addr := range []string{"127.0.0.1:1", listener.Addr().String()} {
		for _, scheme := range []string{"redis://", "mysql://", "postgres://"} {
			program := exec.CommandContext(t.Context(), os.Args[0], "-addr=127.0.0.1:0", "-store", scheme+"user:hunter2@"+addr+"/0") //nolint:gosec // itself
			program.Env = append(os.Environ(), "MESHSTACK_PROCESS=serve")
			printed, err := program.CombinedOutput()
			require.Error(t, err)
			require.Regexp(t, `\Ameshstack: -store: [^\n]+\n\z`, string(printed))
			require.NotContains(t, string(printed), addr)
		}
	}
}
