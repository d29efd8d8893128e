package main

import (
	"bufio"
	"fmt"
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

// TestMain makes a process of the program where a test needs one to kill.
func TestMain(m *testing.M) {
	if os.Getenv("MESHSTACK_PROCESS") == "1" {
		main()
		return
	}
	m.Run()
}

// startProcess runs the program in the current folder and waits until it
// serves.
func startProcess(t *testing.T, args ...string) (*exec.Cmd, *world) {
	t.Helper()
	program := exec.CommandContext(t.Context(), os.Args[0], append([]string{"-addr=127.0.0.1:0"}, args...)...) //nolint:gosec // itself
	program.Env = append(os.Environ(), "MESHSTACK_PROCESS=1")
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
	return program, &world{url: urlIn(t, text.String())}
}

// TestKill kills the program in the middle of its work: whatever was
// acknowledged before is there afterwards.
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
					got, err := send(t.Context(), http.MethodPost, w.url+keysPath, http.Header{
						"Authorization": {"Bearer " + token}, "Accept": {keyMedia}, "Content-Type": {keyMedia},
					}, keyBody([]string{"team-a", "team-b", "admin"}[round%3], `,"permissions":[]`))
					if err != nil || got.status != http.StatusCreated {
						return // the program is gone, or the quota is reached
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
				require.Fail(t, "no key was made")
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

// TestTerminate: told to stop, the program ends by itself and without error.
func TestTerminate(t *testing.T) {
	t.Chdir(t.TempDir())
	program, w := startProcess(t, "-store", "memory", "-bootstrap", "first-key")
	require.NotEmpty(t, w.login(t, readCredentials(t, "first-key")))
	require.NoError(t, program.Process.Signal(syscall.SIGTERM))
	require.NoError(t, program.Wait())
}
