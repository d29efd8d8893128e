package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// A creation with an event and a one-time id, whose writer dies after each of
// its trips: it is made as a whole or not at all, whoever comes next, and
// watchers learn of it.
func TestAWriterDies(t *testing.T) {
	t.Parallel()
	var finished atomic.Int64
	t.Run("trips", func(t *testing.T) {
		for trips := range 10 {
			t.Run(fmt.Sprint("after trip ", trips), func(t *testing.T) {
				t.Parallel()
				if writerDies(t, trips) {
					finished.Add(1)
				}
			})
		}
	})
	require.Positive(t, finished.Load(), "no writer got to the end")
}

// writerDies reports whether the writer got to the end.
func writerDies(t *testing.T, trips int) bool {
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	w := listen(t, s)
	dead, h := dying(t, prefix, trips)
	once := store.OnceID{Space: "test", ID: "request-1", Value: "key-1", Expires: noon.Add(time.Hour)}
	c := store.Change{Now: noon, Once: &once, Events: []store.Event{{ID: "event-1", Time: noon, Workspace: "team-a", Key: "key-1"}}}
	ctx := context.Background()
	first := dead.Keys.Create(ctx, newKey("team-a", "key-1"), 1, c)

	if first != nil {
		require.ErrorIs(t, first, store.ErrUnavailable)
	}
	page, err := s.Keys.List(ctx, store.KeyQuery{})
	require.NoError(t, err)
	made := len(page.Keys) == 1
	require.True(t, made || first != nil, "what was acknowledged is there")
	_, err = s.OnceIDs.Find(ctx, "test", "request-1", noon)
	if made {
		require.NoError(t, err, "spent exactly if made")
		begun := time.Now()
		_, gap := w.until(t, aboutKey("key-1"))
		require.False(t, gap)
		t.Logf("told after %s", time.Since(begun))
	} else {
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	trail, err := s.Events.List(ctx, store.EventQuery{Workspace: "team-a"})
	require.NoError(t, err)
	require.Equal(t, made, len(trail.Events) == 1)
	if made {
		require.Eventually(t, func() bool {
			left, err := client.PTTL(ctx, prefix+":id:key-1").Result()
			return err == nil && left == -1
		}, patience, 10*time.Millisecond, "the way to the key does not expire")
		_, err = s.Keys.Lookup(ctx, "key-1")
		require.NoError(t, err)
	}
	// The client retries with another process, which makes an id of
	// its own.
	c.Events = []store.Event{{ID: "event-2", Time: noon, Workspace: "team-a", Key: "key-2"}}
	err = s.Keys.Create(ctx, newKey("team-a", "key-2"), 1, c)
	if made {
		require.ErrorIs(t, err, store.ErrExists)
	} else {
		require.NoError(t, err)
	}
	page, err = s.Keys.List(ctx, store.KeyQuery{})
	require.NoError(t, err)
	require.Len(t, page.Keys, 1)
	found, err := s.Keys.Lookup(ctx, page.Keys[0].ID)
	require.NoError(t, err)
	require.Equal(t, 1, found.Workspace.Keys)
	return first == nil && h.left.Load() > 0
}

// A writer that was given up must not come back: its one-time id went to
// another.
func TestAWriterGivenUp(t *testing.T) {
	t.Parallel()
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	once := store.OnceID{Space: "test", ID: "request-1", Value: "v", Expires: noon.Add(time.Hour)}
	change := store.Change{Now: noon, Once: &once}
	slow, h := dying(t, prefix, 1000)
	held := make(chan struct{})
	result := make(chan error, 1)
	h.before = func(n int64) {
		if n == 3 { // the id is reserved, the steps before are taken
			<-held
		}
	}
	go func() {
		result <- slow.Settings.SetWorkspace(context.Background(), store.Workspace{ID: "team-a", Suspended: true}, change)
	}()
	require.Eventually(t, func() bool { return h.sent.Load() >= 2 }, patience, time.Millisecond)
	require.NoError(t, s.Settings.SetInstance(context.Background(), store.Instance{KeysOff: true}, change))
	close(held)
	require.ErrorIs(t, <-result, store.ErrExists)
	w, err := s.Settings.Workspace(context.Background(), "team-a")
	require.NoError(t, err)
	require.Zero(t, w.Version, "the change that was given up was not made")
}

// The client sends a request again when its answer is lost. It must not be
// taken for another's.
func TestALostAnswer(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	lost, made := 0, 0
	for _, write := range []struct {
		name string
		do   func(s store.Store, i int) error
		want func(t *testing.T, s store.Store, i int) bool // whether it was made, exactly once
	}{
		{"create", func(s store.Store, i int) error {
			return s.Keys.Create(ctx, newKey("team-a", fmt.Sprint("key-", i)), store.NoLimit, store.Change{Now: noon})
		}, func(t *testing.T, s store.Store, i int) bool {
			_, err := s.Keys.Lookup(ctx, fmt.Sprint("key-", i))
			return err == nil
		}},
		{"update", func(s store.Store, i int) error {
			k := newKey("team-b", "key-b")
			k.Version, k.Name = int64(i)+1, fmt.Sprint("name-", i)
			return s.Keys.Update(ctx, k, store.Change{Now: noon})
		}, nil},
		{"settings", func(s store.Store, i int) error {
			return s.Settings.SetInstance(ctx, store.Instance{Version: int64(i)}, store.Change{Now: noon})
		}, nil},
		{"one-time id", func(s store.Store, i int) error {
			return s.OnceIDs.Spend(ctx, store.OnceID{Space: "s", ID: fmt.Sprint(i), Expires: noon.Add(time.Hour)}, noon)
		}, nil},
		{"usage", func(s store.Store, i int) error {
			return s.Usage.Add(ctx, []store.Count{{Workspace: "team-a", Key: fmt.Sprint("key-", i), Day: noon, Logins: 1}})
		}, func(t *testing.T, s store.Store, i int) bool {
			days, err := s.Usage.Days(ctx, "team-a", fmt.Sprint("key-", i), noon.AddDate(0, 0, -1), noon)
			require.NoError(t, err)
			if len(days) > 0 {
				require.EqualValues(t, 1, days[0].Logins, "counted once")
			}
			return len(days) > 0
		}},
	} {
		t.Run(write.name, func(t *testing.T) {
			through, direct, proxy := proxied(t)
			create(t, direct, "team-b", "key-b")
			create(t, through, "team-c", "key-c") // connects, and loads what all share
			for i := range 12 {
				proxy.CutAfter(i * 7)
				err := write.do(through, i)
				switch {
				case err == nil:
					made++
				case errors.Is(err, store.ErrUnavailable):
					lost++
					t.Log(i, err)
				default:
					t.Errorf("%d: %v", i, err)
				}
				if write.want != nil && err == nil {
					require.True(t, write.want(t, direct, i))
				}
			}
		})
	}
	t.Logf("of %d writes whose answers were cut, %d were made, %d unknown", made+lost, made, lost)
	require.Greater(t, made, lost)
}
