package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// killingStore is a store that kills the process at a certain point of bootstrap.
func killingStore(st store.Store, at string) store.Store {
	kill := func(here string) {
		if here == at {
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				_ = self.Kill()
			}
			select {}
		}
	}
	var tap storetest.Tap
	lists := 0
	tap.Before(func(_ context.Context, call string) error {
		switch call {
		case "Keys.List":
			if lists++; lists == 2 {
				kill("before the key is looked for again")
			}
		case "Keys.Create":
			kill("after the draft was written")
		}
		return nil
	})
	tap.After(func(call string, err error) error {
		switch {
		case call == "Keys.Create":
			kill("after the key was stored")
		case call == "Keys.List" && lists == 1:
			kill("after no key was found")
		case call == "Keys.List":
			kill("before the draft is put in its place")
		}
		return err
	})
	return tap.Over(st)
}

// bootstrapAndKill creates the first key as the program does. The process is killed at
// the given point, unless no point has that name.
func bootstrapAndKill(at string) {
	st, _, err := openStore(context.Background(), "sqlite:meshstack.db")
	if err != nil {
		panic(err)
	}
	secrets, err := loadSecrets("meshstack-secrets", false)
	if err != nil {
		panic(err)
	}
	srv, _, err := newBackend(killingStore(st, at), oauth.Config{Issuer: "https://mesh.example.com", Logger: slog.New(slog.DiscardHandler)}, parseWorkspaces(""), secrets, false)
	if err != nil {
		panic(err)
	}
	if _, err := bootstrap(context.Background(), srv.APIKeys(), "first-key", time.Now()); err != nil {
		panic(err)
	}
}

// TestBootstrapKilled: wherever the program is killed before it has its first key, the next
// start writes a file whose credentials can log in.
func TestBootstrapKilled(t *testing.T) {
	for _, at := range []string{
		"after no key was found", "after the draft was written", "after the key was stored",
		"before the key is looked for again", "before the draft is put in its place", "never",
	} {
		t.Run(at, func(t *testing.T) {
			t.Chdir(t.TempDir())
			program := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // itself
			program.Env = append(os.Environ(), "MESHSTACK_PROCESS=bootstrap", "MESHSTACK_KILL="+at)
			program.Stderr = os.Stderr
			err := program.Run()
			if at == "never" {
				require.NoError(t, err)
			} else {
				var exit *exec.ExitError
				require.ErrorAs(t, err, &exit)
				require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), "the process was killed at that point")
				require.NoFileExists(t, "first-key")
			}
			requirePrivateSecrets(t)

			for range 2 { // the next start, and the one after that
				program, w := startProcess(t, "-bootstrap", "first-key", "-issuer", "https://mesh.example.com")
				require.NotEmpty(t, w.login(t, readCredentials(t, "first-key")))
				require.NoError(t, program.Process.Kill())
				require.Error(t, program.Wait())
			}
			requirePrivateSecrets(t)
		})
	}
}

// secretText matches a secret. The store also holds the prefix alone.
var secretText = regexp.MustCompile(`lk_[0-9A-Za-z]{20,}`)

// requirePrivateSecrets fails if a file that others can read holds a secret.
func requirePrivateSecrets(t *testing.T) {
	t.Helper()
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file.Name())
		require.NoError(t, err)
		info, err := file.Info()
		require.NoError(t, err)
		if secretText.Match(text) {
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), file.Name())
		}
	}
}

// TestBootstrapRemnants starts with the files that a kill in the middle of a write leaves.
func TestBootstrapRemnants(t *testing.T) {
	w := newTestBackend(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "first-key.json")
	for name, text := range map[string]string{
		".00000000-0000-4000-8000-000000000000": "", ".00000000-0000-4000-8000-000000000001": `{"client_id":"00000000-`,
		"": "", // created, but not yet written
	} {
		require.NoError(t, os.WriteFile(file+name, []byte(text), 0o600))
	}
	result, err := bootstrap(t.Context(), w.srv.APIKeys(), file, w.clock.Now())
	require.NoError(t, err)
	require.Contains(t, result, "was created;")
	require.NotEmpty(t, w.login(t, readCredentials(t, file)))
}

// TestBootstrapRemnantOfAnother: a draft does not replace a file with other data. The draft is
// kept until that file is removed.
func TestBootstrapRemnantOfAnother(t *testing.T) {
	w := newTestBackend(t)
	file := filepath.Join(t.TempDir(), "first-key.json")
	_, err := bootstrap(t.Context(), w.srv.APIKeys(), file, w.clock.Now())
	require.NoError(t, err)
	first := readCredentials(t, file)
	require.NoError(t, os.Rename(file, file+"."+first.ClientID))
	require.NoError(t, os.WriteFile(file, []byte("other data of the user"), 0o600))
	_, err = bootstrap(t.Context(), w.srv.APIKeys(), file, w.clock.Now())
	require.ErrorContains(t, err, "is not overwritten")
	require.Equal(t, first, readCredentials(t, file+"."+first.ClientID))
	require.NoError(t, os.Remove(file))
	_, err = bootstrap(t.Context(), w.srv.APIKeys(), file, w.clock.Now())
	require.NoError(t, err)
	require.Equal(t, first, readCredentials(t, file))
}

// TestBootstrapErrorAfterStoring: the store stores the key, but returns an error.
func TestBootstrapErrorAfterStoring(t *testing.T) {
	st := memstore.New()
	var unclear storetest.Tap
	unclear.After(func(call string, err error) error {
		if call == "Keys.Create" {
			return errors.Join(store.ErrUnavailable, err)
		}
		return err
	})
	file := filepath.Join(t.TempDir(), "first-key.json")
	w := newTestBackendOn(t, unclear.Over(st))
	_, err := bootstrap(t.Context(), w.srv.APIKeys(), file, w.clock.Now())
	require.ErrorIs(t, err, store.ErrUnavailable)
	w = newTestBackendOn(t, st)
	_, err = bootstrap(t.Context(), w.srv.APIKeys(), file, w.clock.Now())
	require.NoError(t, err)
	require.NotEmpty(t, w.login(t, readCredentials(t, file)))
}
