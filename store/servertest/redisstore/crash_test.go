package redisstore_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// A creation with an event and a one-time id, whose writer dies at any point, is made
// completely or not at all, and watchers get its notification.
func TestWriterDies(t *testing.T) {
	t.Parallel()
	var finished, unknown atomic.Int64
	t.Run("trips", func(t *testing.T) {
		eachDeath(t, 3, func(t *testing.T, dead func(prefix string) (store.Store, *hook)) {
			acknowledged, made := writerDies(t, dead)
			switch {
			case acknowledged:
				finished.Add(1)
			case made:
				unknown.Add(1)
			}
		})
	})
	require.Positive(t, finished.Load(), "no writer completed")
	require.Positive(t, unknown.Load(), "no writer lost the answer to a change that was made")
}

func writerDies(t *testing.T, dead func(prefix string) (store.Store, *hook)) (acknowledged, made bool) {
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	w := listen(t, s)
	once := store.OnceID{Space: "test", ID: "request-1", Value: "key-1", Expires: noon.Add(time.Hour)}
	c := store.Change{Now: noon, Once: &once, Events: []store.Event{{ID: "event-1", Time: noon, Workspace: "team-a", Key: "key-1"}}}
	ctx := context.Background()
	dying, h := dead(prefix)
	first := dying.Keys.Create(ctx, newKey("team-a", "key-1"), 1, c)

	if h.died() {
		require.ErrorIs(t, first, store.ErrUnavailable)
	} else {
		require.NoError(t, first)
	}
	page, err := s.Keys.List(ctx, store.KeyQuery{})
	require.NoError(t, err)
	made = len(page.Keys) == 1
	require.True(t, made || first != nil, "an acknowledged change is lost")
	_, err = s.OnceIDs.Find(ctx, "test", "request-1", noon)
	if made {
		require.NoError(t, err, "the one-time id is spent if and only if the change was made")
	} else {
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	log, err := s.Events.List(ctx, store.EventQuery{Workspace: "team-a"})
	require.NoError(t, err)
	require.Equal(t, made, len(log.Events) == 1)
	_, err = s.Keys.Lookup(ctx, "key-1")
	require.Equal(t, made, err == nil)
	require.Equal(t, made, inspect(t, client, prefix)["team-a"].keys["key-1"])

	// The client retries through another process, which generates another id.
	c.Events = []store.Event{{ID: "event-2", Time: noon, Workspace: "team-a", Key: "key-2"}}
	err = s.Keys.Create(ctx, newKey("team-a", "key-2"), 1, c)
	want := "key-2"
	if made {
		want = "key-1"
		require.ErrorIs(t, err, store.ErrExists)
	} else {
		require.NoError(t, err)
	}
	n, gap := w.until(t, func(n store.Notification) bool { return n.Kind != store.NotificationHeartbeat })
	require.False(t, gap)
	require.Equal(t, want, n.Key, "a notification of the change that was made, and no other")
	page, err = s.Keys.List(ctx, store.KeyQuery{})
	require.NoError(t, err)
	require.Len(t, page.Keys, 1)
	found, err := s.Keys.Lookup(ctx, page.Keys[0].ID)
	require.NoError(t, err)
	require.Equal(t, 1, found.Workspace.Keys)
	inspect(t, client, prefix)
	return first == nil, made
}

// A delayed writer changes nothing: another writer has spent its one-time id.
func TestDelayedWriter(t *testing.T) {
	t.Parallel()
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	once := store.OnceID{Space: "test", ID: "request-1", Value: "v", Expires: noon.Add(time.Hour)}
	change := store.Change{Now: noon, Once: &once}
	result, release := held(t, prefix, func(slow store.Store) error {
		return slow.Settings.SetWorkspace(context.Background(), store.Workspace{ID: "team-a", Suspended: true}, change)
	})
	require.NoError(t, s.Settings.SetInstance(t.Context(), store.InstanceSettings{Instance: store.Instance{KeysOff: true}}, change))
	release()
	require.ErrorIs(t, <-result, store.ErrExists)
	w, err := s.Settings.Workspace(t.Context(), "team-a")
	require.NoError(t, err)
	require.Zero(t, w.Version, "the delayed change was not made")
	inspect(t, client, prefix)
}

// held begins a change in another process, which stops before it sends its script until
// it is released.
func held(t *testing.T, prefix string, change func(slow store.Store) error) (result chan error, release func()) {
	t.Helper()
	slow, h := connected(t, prefix)
	reached, released := make(chan struct{}), make(chan struct{})
	first := h.sent.Load() + 1
	h.before = func(trip int64) {
		if trip == first {
			close(reached)
			<-released
		}
	}
	result = make(chan error, 1)
	go func() { result <- change(slow) }()
	<-reached
	return result, func() { close(released) }
}
