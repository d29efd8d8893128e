package redisstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

const patience = 20 * time.Second

// watcher follows a store's notices.
type watcher struct {
	notices chan store.Notice
	ended   chan error
	last    uint64 // the sequence of the latest notice that was read
	cancel  context.CancelFunc
}

func listen(t *testing.T, s store.Store) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{notices: make(chan store.Notice, 10_000), ended: make(chan error, 1), cancel: cancel}
	ready := make(chan struct{})
	go func() {
		w.ended <- s.Watch.Watch(ctx, func() { close(ready) }, func(n store.Notice) { w.notices <- n })
	}()
	t.Cleanup(cancel)
	select {
	case <-ready:
	case err := <-w.ended:
		t.Fatal("Watch ended: ", err)
	case <-time.After(patience):
		t.Fatal("Watch was not ready")
	}
	w.last = w.next(t).Sequence
	return w
}

func (w *watcher) next(t *testing.T) store.Notice {
	t.Helper()
	select {
	case n := <-w.notices:
		return n
	case err := <-w.ended:
		t.Fatal("Watch ended: ", err)
	case <-time.After(patience):
		t.Fatal("no notice")
	}
	return store.Notice{}
}

// until reads notices as long as they follow one another, and returns the
// first that is wanted or shows a gap.
func (w *watcher) until(t *testing.T, wanted func(store.Notice) bool) (n store.Notice, gap bool) {
	t.Helper()
	for {
		n := w.next(t)
		gap := n.Sequence != w.last+1
		if n.Kind == store.NoticeHeartbeat {
			gap = n.Sequence != w.last
		}
		w.last = n.Sequence
		if gap || wanted(n) {
			return n, gap
		}
	}
}

func (w *watcher) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-w.ended:
		return err
	case <-time.After(patience):
		t.Fatal("the stream did not end")
	}
	return nil
}

// silent reads what comes until the stream ends, and returns why.
func (w *watcher) silent(t *testing.T) error {
	t.Helper()
	for {
		select {
		case <-w.notices:
		case err := <-w.ended:
			return err
		case <-time.After(patience):
			t.Fatal("the stream neither ended nor spoke")
		}
	}
}

func aboutKey(id string) func(store.Notice) bool {
	return func(n store.Notice) bool { return n.Kind == store.NoticeKey && n.Key == id }
}

// proxied is a store whose connections run through a proxy, and the same store
// without one.
func proxied(t *testing.T) (through, direct store.Store, proxy *servers.Proxy) {
	t.Helper()
	client := sharedClient(t)
	cfg := redisstore.Config{Prefix: newPrefix(t, client)}
	proxy, err := servers.NewProxy(client.Options().Addr)
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	return newDriver(t, newClient(t, proxy.Addr()), cfg).Store(), newDriver(t, client, cfg).Store(), proxy
}

func create(t testing.TB, s store.Store, workspace, id string) {
	t.Helper()
	require.NoError(t, s.Keys.Create(context.Background(), newKey(workspace, id), store.NoLimit, store.Change{Now: noon}))
}

func TestWatchLosesNothing(t *testing.T) {
	t.Parallel()
	t.Run("B07 a notice lost on the way shows as a gap", func(t *testing.T) {
		t.Parallel()
		through, direct, proxy := proxied(t)
		w := listen(t, through)
		create(t, direct, "team-a", "key-1")
		_, gap := w.until(t, aboutKey("key-1"))
		require.False(t, gap)
		proxy.DropNext("key-lost")
		create(t, direct, "team-a", "key-lost")
		n, gap := w.until(t, aboutKey("key-lost"))
		require.True(t, gap, "got %+v", n)
		require.Equal(t, 1, proxy.Dropped())
		create(t, direct, "team-a", "key-2")
		_, gap = w.until(t, aboutKey("key-2"))
		require.False(t, gap, "the stream goes on")
	})
	t.Run("B07 a lost notice shows with the next one", func(t *testing.T) {
		t.Parallel()
		through, direct, proxy := proxied(t)
		w := listen(t, through)
		proxy.DropNext("key-lost")
		create(t, direct, "team-a", "key-lost")
		require.Eventually(t, func() bool { return proxy.Dropped() == 1 }, patience, time.Millisecond)
		create(t, direct, "team-a", "key-1")
		_, gap := w.until(t, aboutKey("key-1"))
		require.True(t, gap)
	})
	t.Run("B07 a half-open connection falls silent, and ends", func(t *testing.T) {
		t.Parallel()
		through, _, proxy := proxied(t)
		w := listen(t, through)
		w.next(t)
		proxy.Freeze()
		require.ErrorIs(t, w.silent(t), store.ErrUnavailable)
	})
	t.Run("B07 a broken connection ends the stream", func(t *testing.T) {
		t.Parallel()
		through, _, proxy := proxied(t)
		w := listen(t, through)
		proxy.Cut()
		require.ErrorIs(t, w.end(t), store.ErrUnavailable)
		w = listen(t, through)
		w.next(t)
	})
	t.Run("B07 a stream that a failover has set back ends", func(t *testing.T) {
		t.Parallel()
		for _, again := range []int{0, 1, 2, 3} {
			client := sharedClient(t)
			prefix := newPrefix(t, client)
			s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
			create(t, s, "team-a", "key-1")
			create(t, s, "team-a", "key-2")
			state, err := client.Dump(t.Context(), prefix+":{i}:stream").Result()
			require.NoError(t, err)
			create(t, s, "team-a", "key-3")
			create(t, s, "team-a", "key-4")
			w := listen(t, s)
			require.NoError(t, client.RestoreReplace(t.Context(), prefix+":{i}:stream", 0, state).Err())
			for i := range again {
				create(t, s, "team-b", "other-"+string(rune('0'+i)))
			}
			require.ErrorIs(t, w.end(t), store.ErrUnavailable, "%d changes after it", again)
		}
	})
}

// While a change may have been made of which nobody was told, streams send no
// heartbeats, so that caches rely on nothing.
func TestAStreamInDoubt(t *testing.T) {
	t.Parallel()
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	w := listen(t, s)
	begun := time.Now()
	for range 10 {
		require.Equal(t, store.NoticeHeartbeat, w.next(t).Kind)
	}
	t.Logf("10 heartbeats in %s", time.Since(begun))
	dead, _ := dying(t, prefix, 3) // a connection, what comes before, the change itself
	_ = dead.Settings.SetInstance(t.Context(), store.Instance{KeysOff: true}, store.Change{Now: noon})
	in, err := s.Settings.Instance(t.Context())
	require.NoError(t, err)
	require.True(t, in.KeysOff, "it was made")
	beats := 0
	for w.next(t).Kind == store.NoticeHeartbeat {
		beats++
	}
	t.Logf("%d heartbeats before it was told", beats)
	require.Less(t, beats, 7, "2 s have room for 14")
	require.Equal(t, store.NoticeHeartbeat, w.next(t).Kind, "and then again")
}

// Many changes whose writers died at once are told of in stretches: the stream
// stays in doubt until the last.
func TestAStreamInDoubtOfMany(t *testing.T) {
	t.Parallel()
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	w := listen(t, s)
	at, err := client.Time(t.Context()).Result()
	require.NoError(t, err)
	begun := float64(at.Add(-3 * time.Second).UnixMilli())
	const many = 350
	var open []redis.Z
	for i := range many {
		open = append(open, redis.Z{Score: begun, Member: fmt.Sprintf("request-%d %d team-a key-%d ", i, store.NoticeKey, i)})
	}
	require.NoError(t, client.ZAdd(t.Context(), prefix+":{i}:began", open...).Err())
	require.NoError(t, client.ZAdd(t.Context(), prefix+":{i}:open", open...).Err())
	told, beats := 0, 0
	for told < many {
		switch n := w.next(t); {
		case n.Kind == store.NoticeKey:
			told++
		case told > 0:
			beats++
		}
	}
	require.Zero(t, beats, "heartbeats while some were not told of")
	require.Equal(t, store.NoticeHeartbeat, w.next(t).Kind)
}

// A clock that was set back, as that of a replica that takes over may be, does
// not put off what is to be told.
func TestAClockSetBack(t *testing.T) {
	t.Parallel()
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	w := listen(t, s)
	at, err := client.Time(t.Context()).Result()
	require.NoError(t, err)
	ahead := redis.Z{Score: float64(at.Add(time.Hour).UnixMilli()), Member: fmt.Sprintf("request-1 %d team-a key-1 ", store.NoticeKey)}
	require.NoError(t, client.ZAdd(t.Context(), prefix+":{i}:began", ahead).Err())
	require.NoError(t, client.ZAdd(t.Context(), prefix+":{i}:open", ahead).Err())
	beats := 0
	for w.next(t).Kind == store.NoticeHeartbeat {
		beats++
		require.Less(t, beats, 7, "2 s have room for 14")
	}
	require.Equal(t, store.NoticeHeartbeat, w.next(t).Kind)
}
