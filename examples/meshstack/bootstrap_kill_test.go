package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// deadly is a store at whose calls the process is killed.
type deadly struct {
	store.Keys
	at    string
	lists int
}

func (d *deadly) die(at string) {
	if d.at == at {
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Kill()
		}
		select {}
	}
}

func (d *deadly) List(ctx context.Context, q store.KeyQuery) (store.KeyPage, error) {
	d.lists++
	if d.lists == 2 {
		d.die("before the key is looked for again")
	}
	page, err := d.Keys.List(ctx, q)
	if d.lists == 1 {
		d.die("after no key was found")
	} else {
		d.die("before the draft is put in its place")
	}
	return page, err
}

func (d *deadly) Create(ctx context.Context, key store.Key, limit int, change store.Change) error {
	d.die("after the draft was written")
	err := d.Keys.Create(ctx, key, limit, change)
	d.die("after the key was stored")
	return err
}

// killedBootstrap is the program up to its first key, on which it dies.
func killedBootstrap(at string) {
	st, _, err := openStore(context.Background(), "sqlite:meshstack.db")
	if err != nil {
		panic(err)
	}
	secrets, err := loadSecrets("meshstack-secrets", false)
	if err != nil {
		panic(err)
	}
	st.Keys = &deadly{Keys: st.Keys, at: at}
	srv, _, err := newBackend(st, oauth.Config{Issuer: "https://mesh.example.com", Logger: slog.New(slog.DiscardHandler)}, parseWorkspaces(""), secrets, false)
	if err != nil {
		panic(err)
	}
	if _, err := bootstrap(context.Background(), srv.Keys(), "first-key", time.Now()); err != nil {
		panic(err)
	}
}

// TestBootstrapKilled: wherever the program is killed on the way to its first
// key, the next start ends with a file whose credentials log in.
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
				require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal(), "it came that far")
				require.NoFileExists(t, "first-key")
			}
			privateAll(t)

			for range 2 { // the start after, and the one after that
				program, w := startProcess(t, "-bootstrap", "first-key", "-issuer", "https://mesh.example.com")
				require.NotEmpty(t, w.login(t, readCredentials(t, "first-key")))
				require.NoError(t, program.Process.Kill())
				require.Error(t, program.Wait())
			}
			privateAll(t)
		})
	}
}

// privateAll looks for a secret in a file that others may read.
func privateAll(t *testing.T) {
	t.Helper()
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file.Name())
		require.NoError(t, err)
		info, err := file.Info()
		require.NoError(t, err)
		if strings.Contains(string(text), "lk_") {
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), file.Name())
		}
	}
}

// TestBootstrapRemnants starts on what a kill in the middle of a write leaves.
func TestBootstrapRemnants(t *testing.T) {
	w := newWorld(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "first-key.json")
	for name, text := range map[string]string{
		".00000000-0000-4000-8000-000000000000": "", ".00000000-0000-4000-8000-000000000001": `{"client_id":"00000000-`,
		"": "", // named before it was written to
	} {
		require.NoError(t, os.WriteFile(file+name, []byte(text), 0o600))
	}
	result, err := bootstrap(t.Context(), w.srv.Keys(), file, w.clock.Now())
	require.NoError(t, err)
	require.Contains(t, result, "made;")
	require.NotEmpty(t, w.login(t, readCredentials(t, file)))
}

// TestBootstrapRemnantOfAnother: a draft is not put over another's file, and
// is not lost for that.
func TestBootstrapRemnantOfAnother(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "first-key.json")
	_, err := bootstrap(t.Context(), w.srv.Keys(), file, w.clock.Now())
	require.NoError(t, err)
	first := readCredentials(t, file)
	require.NoError(t, os.Rename(file, file+"."+first.ClientID))
	require.NoError(t, os.WriteFile(file, []byte("something dear"), 0o600))
	_, err = bootstrap(t.Context(), w.srv.Keys(), file, w.clock.Now())
	require.ErrorContains(t, err, "is not overwritten")
	require.Equal(t, first, readCredentials(t, file+"."+first.ClientID))
	require.NoError(t, os.Remove(file))
	_, err = bootstrap(t.Context(), w.srv.Keys(), file, w.clock.Now())
	require.NoError(t, err)
	require.Equal(t, first, readCredentials(t, file))
}

// unclear is a store that stores a key and says that it could not.
type unclear struct{ store.Keys }

func (u unclear) Create(ctx context.Context, key store.Key, limit int, change store.Change) error {
	return errors.Join(store.ErrUnavailable, u.Keys.Create(ctx, key, limit, change))
}

func TestBootstrapUnclear(t *testing.T) {
	st := memstore.New()
	whole := st.Keys
	st.Keys = unclear{whole}
	file := filepath.Join(t.TempDir(), "first-key.json")
	w := newWorldOn(t, st)
	_, err := bootstrap(t.Context(), w.srv.Keys(), file, w.clock.Now())
	require.ErrorIs(t, err, store.ErrUnavailable)
	st.Keys = whole
	w = newWorldOn(t, st)
	_, err = bootstrap(t.Context(), w.srv.Keys(), file, w.clock.Now())
	require.NoError(t, err)
	require.NotEmpty(t, w.login(t, readCredentials(t, file)))
}
