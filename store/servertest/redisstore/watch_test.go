package redisstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

const patience = 20 * time.Second

// watcher reads a store's notifications.
type watcher struct {
	notifications chan store.Notification
	ended         chan error
	last          uint64 // the sequence number of the last notification that was read
	cancel        context.CancelFunc
}

func listen(t *testing.T, s store.Store) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{notifications: make(chan store.Notification, 10_000), ended: make(chan error, 1), cancel: cancel}
	ready := make(chan struct{})
	go func() {
		w.ended <- s.Watch.Watch(ctx, func() { close(ready) }, func(n store.Notification) { w.notifications <- n })
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

func (w *watcher) next(t *testing.T) store.Notification {
	t.Helper()
	select {
	case n := <-w.notifications:
		return n
	case err := <-w.ended:
		t.Fatal("Watch ended: ", err)
	case <-time.After(patience):
		t.Fatal("no notification")
	}
	return store.Notification{}
}

// until reads notifications while their numbers have no gap, and returns the first that
// is wanted or shows a gap.
func (w *watcher) until(t *testing.T, wanted func(store.Notification) bool) (n store.Notification, gap bool) {
	t.Helper()
	for {
		n := w.next(t)
		gap := n.Sequence != w.last+1
		if n.Kind == store.NotificationHeartbeat {
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

// untilEnd reads notifications until the stream ends, and returns its error.
func (w *watcher) untilEnd(t *testing.T) error {
	t.Helper()
	for {
		select {
		case <-w.notifications:
		case err := <-w.ended:
			return err
		case <-time.After(patience):
			t.Fatal("the stream sent nothing and did not end")
		}
	}
}

func aboutKey(id string) func(store.Notification) bool {
	return func(n store.Notification) bool { return n.Kind == store.NotificationKey && n.Key == id }
}

// proxied returns a store whose connections go through a proxy, and the same store
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
	t.Run("B07 a lost notification shows as a gap", func(t *testing.T) {
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
	t.Run("B07 a lost notification shows with the next one", func(t *testing.T) {
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
	t.Run("B07 a half-open connection sends nothing more, and ends", func(t *testing.T) {
		t.Parallel()
		through, _, proxy := proxied(t)
		w := listen(t, through)
		w.next(t)
		proxy.Freeze()
		require.ErrorIs(t, w.untilEnd(t), store.ErrUnavailable)
	})
	t.Run("B07 a half-open connection of a client without timeouts ends", func(t *testing.T) {
		t.Parallel()
		client := sharedClient(t)
		cfg := redisstore.Config{Prefix: newPrefix(t, client)}
		proxy, err := servers.NewProxy(client.Options().Addr)
		require.NoError(t, err)
		t.Cleanup(proxy.Close)
		patient := redis.NewClient(&redis.Options{Addr: proxy.Addr(), ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1})
		t.Cleanup(func() { _ = patient.Close() })
		w := listen(t, newDriver(t, patient, cfg).Store())
		w.next(t)
		proxy.Freeze()
		require.ErrorIs(t, w.untilEnd(t), store.ErrUnavailable)
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
	t.Run("B07 a stream ends if a failover sets its numbers back", func(t *testing.T) {
		t.Parallel()
		for _, again := range []int{0, 1, 2, 3} {
			client := sharedClient(t)
			prefix := newPrefix(t, client)
			s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
			create(t, s, "team-a", "key-1")
			create(t, s, "team-a", "key-2")
			state, err := client.Dump(t.Context(), record(prefix, "stream")).Result()
			require.NoError(t, err)
			create(t, s, "team-a", "key-3")
			create(t, s, "team-a", "key-4")
			w := listen(t, s)
			require.NoError(t, client.RestoreReplace(t.Context(), record(prefix, "stream"), 0, state).Err())
			for i := range again {
				create(t, s, "team-b", "other-"+string(rune('0'+i)))
			}
			require.ErrorIs(t, w.end(t), store.ErrUnavailable, "%d changes after it", again)
		}
	})
}

// One script makes a change and publishes its notification. Whenever the writer dies, both
// are there or neither is, and heartbeats continue.
func TestNotificationsOfDeadWriters(t *testing.T) {
	t.Parallel()
	for _, write := range []struct {
		name         string
		do           func(ctx context.Context, s store.Store) error
		notification store.Notification
	}{
		{"create", func(ctx context.Context, s store.Store) error {
			once := store.OnceID{Space: "test", ID: "request-1", Value: "key-2", Expires: noon.Add(time.Hour)}
			return s.Keys.Create(ctx, newKey("team-a", "key-2"), 2, store.Change{
				Now: noon, Once: &once, Events: []store.Event{{ID: "event-1", Time: noon, Workspace: "team-a", Key: "key-2"}},
			})
		}, store.Notification{Kind: store.NotificationKey, Workspace: "team-a", Key: "key-2"}},
		{"update", func(ctx context.Context, s store.Store) error {
			k := newKey("team-a", "key-1")
			k.Version, k.Disabled = 1, true
			return s.Keys.Update(ctx, k, store.Change{Now: noon, RevokeTokens: true})
		}, store.Notification{Kind: store.NotificationKey, Workspace: "team-a", Key: "key-1"}},
		{"delete", func(ctx context.Context, s store.Store) error {
			return s.Keys.Delete(ctx, "team-a", "key-1", 1, noon, store.Change{Now: noon})
		}, store.Notification{Kind: store.NotificationKey, Workspace: "team-a", Key: "key-1"}},
		{"replace a digest", func(ctx context.Context, s store.Store) error {
			return s.Upkeep.Rehash(ctx, "key-1", "s1-key-1", newKey("", "key-1").Credentials[0].Digest, "hmac-sha256$2$other")
		}, store.Notification{Kind: store.NotificationKey, Workspace: "team-a", Key: "key-1"}},
		{"settings of the instance", func(ctx context.Context, s store.Store) error {
			return s.Settings.SetInstance(ctx, store.InstanceSettings{Instance: store.Instance{KeysOff: true}}, store.Change{Now: noon})
		}, store.Notification{Kind: store.NotificationInstance}},
		{"settings of a workspace", func(ctx context.Context, s store.Store) error {
			return s.Settings.SetWorkspace(ctx, store.Workspace{ID: "team-a", Suspended: true}, store.Change{Now: noon})
		}, store.Notification{Kind: store.NotificationWorkspace, Workspace: "team-a"}},
		{"delete a workspace", func(ctx context.Context, s store.Store) error {
			return s.Settings.DeleteWorkspace(ctx, "team-a", noon, store.Change{Now: noon})
		}, store.Notification{Kind: store.NotificationWorkspace, Workspace: "team-a"}},
		{"revoke", func(ctx context.Context, s store.Store) error {
			return s.Epochs.Revoke(ctx, "token-1", noon.Add(time.Hour), noon)
		}, store.Notification{Kind: store.NotificationToken, Token: "token-1"}},
		{"signing keys", func(ctx context.Context, s store.Store) error {
			return s.SigningKeys.SetRing(ctx, store.Ring{})
		}, store.Notification{Kind: store.NotificationSigningKeys}},
	} {
		t.Run(write.name, func(t *testing.T) {
			t.Parallel()
			var not, lost bool
			for trips, finished := 0, false; !finished; trips++ {
				for _, heard := range []bool{false, true} {
					made, left, err := writerDiesAfter(t, trips, heard, write.do, write.notification)
					not, lost, finished = not || !made, lost || made && err != nil, left > 0
				}
			}
			require.True(t, not, "no writer died before its change")
			require.True(t, lost, "no writer died after it")
		})
	}
}

// writerDiesAfter makes a change through a writer that dies after the given number of
// round trips. It returns whether the change was made, how many round trips the writer had
// left, and the writer's error. If heard is true, the server receives the writer's last
// request.
func writerDiesAfter(t *testing.T, trips int, heard bool, do func(context.Context, store.Store) error, want store.Notification) (made bool, left int64, err error) {
	t.Helper()
	ctx, client := context.Background(), sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	create(t, s, "team-a", "key-1")
	w := listen(t, s)
	before := contents(t, client, prefix)
	dead, h := dying(t, prefix, 1000)
	_, err = dead.Settings.Instance(ctx)
	require.NoError(t, err, "the connection is open")
	h.left.Store(int64(trips))
	h.heard.Store(heard)
	err = do(ctx, dead)
	made = len(written(before, contents(t, client, prefix))) > 0
	if err == nil {
		require.True(t, made, "an acknowledged change is lost")
	} else {
		require.ErrorIs(t, err, store.ErrUnavailable)
	}
	notifications := w.upTo(t, s, "last") // skips heartbeats from before the change
	if made {
		require.Len(t, notifications, 1)
		want.Sequence = notifications[0].Sequence
		require.Equal(t, want, notifications[0])
	} else {
		require.Empty(t, notifications)
	}
	require.Equal(t, store.NotificationHeartbeat, w.next(t).Kind)
	return made, h.left.Load(), err
}

// Redis publishes to all databases of a server. Stores with the same prefix in two
// databases do not get each other's notifications.
func TestWatchInAnotherDatabase(t *testing.T) {
	client := sharedClient(t)
	options := *client.Options()
	options.DB = 1
	second := redis.NewClient(&options)
	t.Cleanup(func() { _ = second.Close() })
	prefix := newPrefix(t, second)
	here := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	there := newDriver(t, second, redisstore.Config{Prefix: prefix}).Store()
	w := listen(t, here)
	for _, id := range []string{"key-1", "key-2", "key-3"} {
		create(t, there, "team-a", id)
	}
	for range 3 {
		require.Equal(t, store.NotificationHeartbeat, w.next(t).Kind)
	}
	own := listen(t, there)
	create(t, there, "team-a", "key-4")
	n, gap := own.until(t, func(n store.Notification) bool { return n.Kind == store.NotificationKey })
	require.False(t, gap)
	require.Equal(t, "key-4", n.Key)
}
