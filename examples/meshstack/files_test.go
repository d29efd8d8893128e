package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

func TestBootstrap(t *testing.T) {
	w := newTestBackend(t)
	file := filepath.Join(t.TempDir(), "first-key.json")
	start := func() bool {
		t.Helper()
		result, err := bootstrap(t.Context(), w.srv.APIKeys(), file, w.clock.Now())
		require.NoError(t, err)
		return strings.HasPrefix(result, "was created;")
	}
	require.True(t, start())
	first := readCredentials(t, file)
	key, err := w.srv.APIKeys().Get(t.Context(), host(), first.ClientID)
	require.NoError(t, err)
	require.Equal(t, adminWorkspace, key.Workspace)
	require.True(t, key.Permissions.Equal(w.srv.APIKeys().Catalog().All()))

	t.Run("a second start keeps the key and its file, even if the key was renamed", func(t *testing.T) {
		_, err := w.srv.APIKeys().Update(t.Context(), host(), first.ClientID, apikey.Changes{Name: ptr("renamed")})
		require.NoError(t, err)
		w.clock.Advance(time.Minute)
		result, err := bootstrap(t.Context(), w.srv.APIKeys(), file, w.clock.Now())
		require.NoError(t, err)
		require.Equal(t, first.ClientID+" exists; its credentials were written when it was created. If they are lost,"+
			" delete the key in the console (-dev-login) and start with -bootstrap again", result)
		require.Equal(t, first, readCredentials(t, file))
		require.NotEmpty(t, w.login(t, first))
	})
	t.Run("a key that the first key created is not the first key", func(t *testing.T) {
		w.made(t, w.login(t, first), "admin", `,"permissions":[]`)
		require.NoError(t, w.srv.APIKeys().Delete(t.Context(), host(), first.ClientID, 0))
		w.clock.Advance(time.Minute)
		require.True(t, start())
		require.NotEqual(t, first.ClientID, readCredentials(t, file).ClientID)
		require.NotEmpty(t, w.login(t, readCredentials(t, file)))
	})
	t.Run("an empty file is overwritten", func(t *testing.T) {
		require.NoError(t, w.srv.APIKeys().Delete(t.Context(), host(), readCredentials(t, file).ClientID, 0))
		w.clock.Advance(time.Minute)
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		require.True(t, start())
		require.NotEmpty(t, w.login(t, readCredentials(t, file)))
	})
}

// TestBootstrapElsewhere: a replica with another folder creates no second key, and leaves no
// file there.
func TestBootstrapElsewhere(t *testing.T) {
	w := newTestBackend(t)
	for i := range 2 {
		folder := t.TempDir()
		result, err := bootstrap(t.Context(), w.srv.APIKeys(), filepath.Join(folder, "first-key.json"), w.clock.Now())
		require.NoError(t, err)
		require.Equal(t, i == 0, strings.HasPrefix(result, "was created;"), result)
		left, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Len(t, left, 1-i)
	}
}

// TestBootstrapDeleted: within seconds after the key was deleted, no new key is created, and no
// draft is left.
func TestBootstrapDeleted(t *testing.T) {
	w := newTestBackend(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "first-key.json")
	_, err := bootstrap(t.Context(), w.srv.APIKeys(), file, w.clock.Now())
	require.NoError(t, err)
	first := readCredentials(t, file)
	require.NoError(t, w.srv.APIKeys().Delete(t.Context(), host(), first.ClientID, 0))
	result, err := bootstrap(t.Context(), w.srv.APIKeys(), file, w.clock.Now())
	require.NoError(t, err)
	require.Equal(t, "was deleted within the last seconds; start again to create another", result)
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestBootstrapLeavesOthersFilesAlone(t *testing.T) {
	w := newTestBackend(t)
	file := filepath.Join(t.TempDir(), "first-key.json")
	for _, text := range []string{"other data of the user", "{}", `{"client_secret":"x"}`} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := bootstrap(t.Context(), w.srv.APIKeys(), file, w.clock.Now())
		require.ErrorContains(t, err, "is not overwritten")
		page, err := w.srv.APIKeys().List(t.Context(), host(), store.KeyQuery{Workspace: adminWorkspace})
		require.NoError(t, err)
		require.Empty(t, page.Keys, "no key without a place for its secret")
	}
}

func TestBootstrapWithoutFile(t *testing.T) {
	w := newTestBackend(t)
	file := filepath.Join(t.TempDir(), "no", "such", "folder")
	_, err := bootstrap(t.Context(), w.srv.APIKeys(), file, w.clock.Now())
	require.Error(t, err)
	page, err := w.srv.APIKeys().List(t.Context(), host(), store.KeyQuery{Workspace: adminWorkspace})
	require.NoError(t, err)
	require.Empty(t, page.Keys, "a key whose secret was lost is not kept")
}

func TestBootstrapRace(t *testing.T) {
	made := make([]string, 16)
	var listed, wg sync.WaitGroup
	listed.Add(len(made))
	var first atomic.Int64
	first.Store(int64(len(made)))
	var together storetest.Tap // none of the first lists of keys returns before all have been read
	together.After(func(call string, err error) error {
		if call == "Keys.List" && first.Add(-1) >= 0 {
			listed.Done()
			listed.Wait()
		}
		return err
	})
	w := newTestBackendOn(t, together.Over(memstore.New()))
	folder := t.TempDir()
	errs := make([]error, len(made))
	for i := range made {
		wg.Go(func() {
			made[i], errs[i] = bootstrap(t.Context(), w.srv.APIKeys(), filepath.Join(folder, "first-key.json"), w.clock.Now())
		})
	}
	wg.Wait()
	count := 0
	for i := range made {
		require.NoError(t, errs[i])
		if strings.HasPrefix(made[i], "was created;") {
			count++
		}
	}
	require.Equal(t, 1, count, "of 16 replicas that start at once, one makes the key")
	require.NotEmpty(t, w.login(t, readCredentials(t, filepath.Join(folder, "first-key.json"))))
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1, "no draft is left")
}
