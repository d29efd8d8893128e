package redisstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// After a purge another workspace may use an id. Every process finds the key there.
func TestIDReusedByAnotherWorkspace(t *testing.T) {
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	one := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	other := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	ctx := t.Context()
	create(t, one, "team-a", "key-1")
	_, err := one.Keys.Lookup(ctx, "key-1")
	require.NoError(t, err)
	require.NoError(t, other.Keys.Delete(ctx, "team-a", "key-1", 0, noon, store.Change{Now: noon}))
	_, err = one.Keys.Lookup(ctx, "key-1")
	require.ErrorIs(t, err, store.ErrNotFound)
	create(t, one, "team-a", "key-2")
	require.NoError(t, other.Keys.Delete(ctx, "team-a", "key-2", 0, noon, store.Change{Now: noon}))
	n, err := other.Upkeep.Purge(ctx, noon.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	create(t, other, "team-b", "key-2")
	found, err := one.Keys.Lookup(ctx, "key-2")
	require.NoError(t, err)
	require.Equal(t, "team-b", found.Key.Workspace)
	require.NoError(t, one.Upkeep.Rehash(ctx, "key-2", "s1-key-2", found.Key.Credentials[0].Digest, "better"))
	require.ErrorIs(t, one.Keys.Delete(ctx, "team-a", "key-2", 0, noon, store.Change{Now: noon}), store.ErrNotFound)
	left := (inspector{t, client, prefix}).hash("keys")
	require.Len(t, left, 1, "a purge leaves nothing of a key")
	inspect(t, client, prefix)
}

// A creation whose id another workspace takes first leaves no data.
func TestCreationLosesItsID(t *testing.T) {
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	once := store.OnceID{Space: "test", ID: "request-1", Value: "key-1", Expires: noon.Add(time.Hour)}
	change := store.Change{Now: noon, Once: &once, Events: []store.Event{{ID: "event-1", Time: noon, Workspace: "team-a"}}}
	result, release := held(t, prefix, func(slow store.Store) error {
		return slow.Keys.Create(context.Background(), newKey("team-a", "key-1"), store.NoLimit, change)
	})
	create(t, s, "team-b", "key-1")
	release()
	require.ErrorIs(t, <-result, store.ErrExists)
	found, err := s.Keys.Lookup(t.Context(), "key-1")
	require.NoError(t, err)
	require.Equal(t, "team-b", found.Key.Workspace)
	w, err := s.Settings.Workspace(t.Context(), "team-a")
	require.NoError(t, err)
	require.Zero(t, w.Keys)
	page, err := s.Keys.List(t.Context(), store.KeyQuery{})
	require.NoError(t, err)
	require.Len(t, page.Keys, 1)
	_, err = s.OnceIDs.Find(t.Context(), "test", "request-1", noon)
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Empty(t, inspect(t, client, prefix)["team-a"])
}

// A creation that was interrupted and is retried creates the key once.
func TestCreationIsRetried(t *testing.T) {
	t.Parallel()
	eachDeath(t, 3, func(t *testing.T, dead func(prefix string) (store.Store, *hook)) {
		client := sharedClient(t)
		prefix := newPrefix(t, client)
		s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
		dying, _ := dead(prefix)
		_ = dying.Keys.Create(t.Context(), newKey("team-a", "key-1"), 1, store.Change{Now: noon})
		err := s.Keys.Create(t.Context(), newKey("team-a", "key-1"), 1, store.Change{Now: noon})
		if err != nil {
			require.ErrorIs(t, err, store.ErrExists)
		}
		found, err := s.Keys.Lookup(t.Context(), "key-1")
		require.NoError(t, err, "the key exists, whichever attempt created it")
		require.Equal(t, 1, found.Workspace.Keys)
		require.Len(t, inspect(t, client, prefix)["team-a"].keys, 1)
	})
}
