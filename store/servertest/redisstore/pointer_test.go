package redisstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// A process remembers where a key is. The id may come to another workspace
// all the same, after a purge.
func TestAnIDThatMoved(t *testing.T) {
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
	require.NoError(t, one.Upkeep.Rehash(ctx, "key-2", "s1", found.Key.Secrets[0].Digest, "better"))
	left, err := client.Exists(ctx, prefix+":id:key-1").Result()
	require.NoError(t, err)
	require.Zero(t, left, "a purge takes the pointer along")
}

// A creation that sleeps until its reservation is over loses the id to another
// workspace, and leaves nothing behind.
func TestACreationOvertaken(t *testing.T) {
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	slow, h := dying(t, prefix, 1000)
	held, reached := make(chan struct{}), make(chan struct{})
	h.before = func(n int64) {
		if n == 3 { // a connection and the steps before are done
			close(reached)
			<-held
		}
	}
	result := make(chan error, 1)
	go func() {
		result <- slow.Keys.Create(context.Background(), newKey("team-a", "key-1"), store.NoLimit, store.Change{Now: noon})
	}()
	<-reached
	require.NoError(t, client.Del(t.Context(), prefix+":id:key-1").Err(), "the reservation is over")
	create(t, s, "team-b", "key-1")
	close(held)
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
}

// A pointer that outlived what it points to, as after a failover of one master
// of several, does not keep the id from anybody.
func TestAPointerToNothing(t *testing.T) {
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	create(t, s, "team-a", "key-1")
	require.NoError(t, client.Del(t.Context(), prefix+":{w:team-a}:keys").Err())
	_, err := s.Keys.Lookup(t.Context(), "key-1")
	require.ErrorIs(t, err, store.ErrNotFound)
	create(t, s, "team-b", "key-1")
	found, err := s.Keys.Lookup(t.Context(), "key-1")
	require.NoError(t, err)
	require.Equal(t, "team-b", found.Key.Workspace)
}

// A writer dies before its key's pointer is lasting, and Redis is away until
// that is over: the key is in the lists, so whoever watches makes that it can
// be found.
func TestAPointerThatRanOut(t *testing.T) {
	t.Parallel()
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	dead, _ := dying(t, prefix, 3) // a connection, what comes before, the change itself
	err := dead.Keys.Create(t.Context(), newKey("team-a", "key-1"), store.NoLimit, store.Change{Now: noon})
	require.ErrorIs(t, err, store.ErrUnavailable)
	n, err := client.Del(t.Context(), prefix+":id:key-1").Result()
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	_, err = s.Keys.Lookup(t.Context(), "key-1")
	require.ErrorIs(t, err, store.ErrNotFound)
	listen(t, s)
	require.Eventually(t, func() bool {
		_, err := s.Keys.Lookup(context.Background(), "key-1")
		return err == nil
	}, patience, 10*time.Millisecond)
	left, err := client.PTTL(t.Context(), prefix+":id:key-1").Result()
	require.NoError(t, err)
	require.EqualValues(t, -1, left, "for good")
}

// A creation that was cut off keeps its id from other workspaces for a while,
// and not from who tries again.
func TestACreationTriedAgain(t *testing.T) {
	t.Parallel()
	for trips := range 6 {
		t.Run(fmt.Sprint("after trip ", trips), func(t *testing.T) {
			t.Parallel()
			client := sharedClient(t)
			prefix := newPrefix(t, client)
			s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
			dead, _ := dying(t, prefix, trips)
			_ = dead.Keys.Create(t.Context(), newKey("team-a", "key-1"), 1, store.Change{Now: noon})
			err := s.Keys.Create(t.Context(), newKey("team-a", "key-1"), 1, store.Change{Now: noon})
			if err != nil {
				require.ErrorIs(t, err, store.ErrExists)
			}
			found, err := s.Keys.Lookup(t.Context(), "key-1")
			require.NoError(t, err, "it is there, whoever made it")
			require.Equal(t, 1, found.Workspace.Keys)
			left, err := client.PTTL(t.Context(), prefix+":id:key-1").Result()
			require.NoError(t, err)
			require.EqualValues(t, -1, left)
		})
	}
}
