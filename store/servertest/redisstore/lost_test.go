package redisstore_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// lostChange is a kind of change. begin prepares a change with the given id through
// direct. It returns a function that makes the change through through, and one that
// returns how often it was made.
type lostChange struct {
	name     string
	notifies bool // the change sends a notification
	carries  bool // the change takes a store.Change
	begin    func(t *testing.T, through, direct store.Store, id string, c store.Change) (do func() error, effects func() int)
}

var lostChanges = []lostChange{
	{"create", true, true, func(t *testing.T, through, direct store.Store, id string, c store.Change) (func() error, func() int) {
		return func() error { return through.Keys.Create(t.Context(), newKey(id, id), store.NoLimit, c) },
			func() int { return workspaceOf(t, direct, id).Keys }
	}},
	{"update", true, true, func(t *testing.T, through, direct store.Store, id string, c store.Change) (func() error, func() int) {
		create(t, direct, id, id)
		k := keyOf(t, direct, id)
		return func() error { return through.Keys.Update(t.Context(), k, c) },
			func() int { return int(keyOf(t, direct, id).Version - k.Version) }
	}},
	{"delete", true, true, func(t *testing.T, through, direct store.Store, id string, c store.Change) (func() error, func() int) {
		create(t, direct, id, id)
		create(t, direct, id, id+"-other")
		return func() error { return through.Keys.Delete(t.Context(), id, id, 0, noon, c) },
			func() int { return 2 - workspaceOf(t, direct, id).Keys }
	}},
	{"settings", true, true, func(t *testing.T, through, direct store.Store, _ string, c store.Change) (func() error, func() int) {
		read := func() store.InstanceSettings {
			in, err := direct.Settings.Instance(t.Context())
			require.NoError(t, err)
			return in
		}
		before := read()
		return func() error { return through.Settings.SetInstance(t.Context(), before, c) },
			func() int { return int(read().Version - before.Version) }
	}},
	{"a workspace's settings", true, true, func(t *testing.T, through, direct store.Store, id string, c store.Change) (func() error, func() int) {
		return func() error { return through.Settings.SetWorkspace(t.Context(), store.Workspace{ID: id}, c) },
			func() int { return int(workspaceOf(t, direct, id).Version) }
	}},
	{"delete a workspace", true, true, func(t *testing.T, through, direct store.Store, id string, c store.Change) (func() error, func() int) {
		create(t, direct, id, id)
		return func() error { return through.Settings.DeleteWorkspace(t.Context(), id, noon, c) },
			func() int {
				w := workspaceOf(t, direct, id)
				require.Equal(t, w.Deleted, w.Keys == 0)
				return int(w.Version)
			}
	}},
	{"rehash", true, false, func(t *testing.T, through, direct store.Store, id string, _ store.Change) (func() error, func() int) {
		create(t, direct, id, id)
		digest := keyOf(t, direct, id).Credentials[0].Digest
		return func() error { return through.Upkeep.Rehash(t.Context(), id, "s1-"+id, digest, "better") },
			func() int { return count(keyOf(t, direct, id).Credentials[0].Digest == "better") }
	}},
	{"revoke", true, false, func(t *testing.T, through, direct store.Store, id string, _ store.Change) (func() error, func() int) {
		create(t, direct, id, id)
		return func() error { return through.Epochs.Revoke(t.Context(), id, noon.Add(time.Hour), noon) },
			func() int {
				state, err := direct.Epochs.Read(t.Context(), store.TokenRef{Workspace: id, Key: id, TokenID: id})
				require.NoError(t, err)
				return count(state.Revoked)
			}
	}},
	{"ring", true, false, func(t *testing.T, through, direct store.Store, id string, _ store.Change) (func() error, func() int) {
		read := func() store.Ring {
			r, err := direct.SigningKeys.Ring(t.Context())
			require.NoError(t, err)
			return r
		}
		before := read()
		next := store.Ring{Version: before.Version, Keys: []store.SigningKey{{ID: id}}}
		return func() error { return through.SigningKeys.SetRing(t.Context(), next) },
			func() int { return int(read().Version - before.Version) }
	}},
	{"spend", false, false, func(t *testing.T, through, direct store.Store, id string, _ store.Change) (func() error, func() int) {
		once := store.OnceID{Space: "alone", ID: id, Expires: noon.Add(time.Hour)}
		return func() error { return through.OnceIDs.Spend(t.Context(), once, noon) },
			func() int { _, err := direct.OnceIDs.Find(t.Context(), "alone", id, noon); return count(err == nil) }
	}},
	{"record", false, false, func(t *testing.T, through, direct store.Store, id string, _ store.Change) (func() error, func() int) {
		return func() error {
			return through.HostLists.Record(t.Context(), store.ListEntry{List: store.Signers, Name: id, Fingerprint: "f"})
		}, func() int { return entriesOf(t, direct, id) }
	}},
	{"forget", false, false, func(t *testing.T, through, direct store.Store, id string, _ store.Change) (func() error, func() int) {
		require.NoError(t, direct.HostLists.Record(t.Context(), store.ListEntry{List: store.Peppers, Name: id, Fingerprint: "f"}))
		return func() error { return through.HostLists.Forget(t.Context(), store.Peppers, id) },
			func() int { return 1 - entriesOf(t, direct, id) }
	}},
	{"append", false, false, func(t *testing.T, through, direct store.Store, id string, _ store.Change) (func() error, func() int) {
		return func() error { return through.Events.Append(t.Context(), store.Event{ID: id, Time: noon, Key: id}) },
			func() int { return len(eventsOf(t, direct, id)) }
	}},
	{"usage", false, false, func(t *testing.T, through, direct store.Store, id string, _ store.Change) (func() error, func() int) {
		return func() error {
				return through.Usage.Add(t.Context(), []store.Count{{Workspace: id, Key: id, Day: noon, Logins: 1}})
			}, func() int {
				days, err := direct.Usage.ByDay(t.Context(), id, id, noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 1))
				require.NoError(t, err)
				if len(days) == 0 {
					return 0
				}
				return int(days[0].Logins)
			}
	}},
}

// A client resends a request if the answer is lost. The change is made only once: with
// one effect, one event and one notification.
func TestALostAnswer(t *testing.T) {
	t.Parallel()
	var made, unknown atomic.Int64
	t.Run("changes", func(t *testing.T) {
		for _, change := range lostChanges {
			t.Run(change.name, func(t *testing.T) {
				t.Parallel()
				change.lose(t, &made, &unknown)
			})
		}
	})
	t.Logf("of %d changes with a truncated answer, %d were acknowledged, %d have an unknown outcome", made.Load()+unknown.Load(), made.Load(), unknown.Load())
	require.Greater(t, made.Load(), unknown.Load())
}

func (l lostChange) lose(t *testing.T, made, unknown *atomic.Int64) {
	shared := sharedClient(t)
	prefix := newPrefix(t, shared)
	direct := newDriver(t, shared, redisstore.Config{Prefix: prefix}).Store()
	proxy, err := servers.NewProxy(shared.Options().Addr)
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	var dials atomic.Int64
	client := redis.NewClient(&redis.Options{
		Addr: proxy.Addr(), ContextTimeoutEnabled: true,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	})
	t.Cleanup(func() { _ = client.Close() })
	through := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	create(t, through, "team", "key") // connects, and loads the script
	w := listen(t, direct)
	// A script's answer is 8 bytes. What follows it in the same trip is longer.
	for i, bytes := range []int{0, 1, 2, 4, 7, 8, 30, 200} {
		id := fmt.Sprint("id-", i)
		c := store.Change{
			Now: noon, Once: &store.OnceID{Space: "with", ID: id, Expires: noon.Add(time.Hour)},
			Events: []store.Event{{ID: "event-" + id, Time: noon, Key: id}},
		}
		do, effects := l.begin(t, through, direct, id, c)
		w.upTo(t, direct, fmt.Sprint("before-", i))
		proxy.CutAfter(bytes)
		err := do()
		n := effects()
		if err == nil {
			made.Add(1)
			require.Equal(t, 1, n, "made once, cut after %d bytes", bytes)
		} else {
			unknown.Add(1)
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.LessOrEqual(t, n, 1, "made once at most, cut after %d bytes", bytes)
		}
		if l.carries {
			require.Len(t, eventsOf(t, direct, id), n)
			_, err := direct.OnceIDs.Find(t.Context(), "with", id, noon)
			require.Equal(t, n == 1, err == nil, "the one-time id is spent if and only if the change was made")
		}
		notifications := w.upTo(t, direct, fmt.Sprint("after-", i))
		if l.notifies {
			require.Len(t, notifications, n, "one notification")
		} else {
			require.Empty(t, notifications)
		}
	}
	require.GreaterOrEqual(t, dials.Load(), int64(5), "the connection was cut before the end of the answer")
	inspect(t, shared, prefix)
}

// upTo creates a key, and returns the notifications before that of the key.
func (w *watcher) upTo(t *testing.T, s store.Store, key string) (notifications []store.Notification) {
	t.Helper()
	create(t, s, "last", key)
	return w.before(t, key)
}

// before returns the notifications before that of a key, and checks that none is lost.
func (w *watcher) before(t *testing.T, key string) (notifications []store.Notification) {
	t.Helper()
	_, gap := w.until(t, func(n store.Notification) bool {
		if aboutKey(key)(n) {
			return true
		}
		if n.Kind != store.NotificationHeartbeat {
			notifications = append(notifications, n)
		}
		return false
	})
	require.False(t, gap)
	return notifications
}

func keyOf(t *testing.T, s store.Store, id string) store.Key {
	t.Helper()
	found, err := s.Keys.Lookup(t.Context(), id)
	require.NoError(t, err)
	return found.Key
}

func workspaceOf(t *testing.T, s store.Store, id string) store.Workspace {
	t.Helper()
	w, err := s.Settings.Workspace(t.Context(), id)
	require.NoError(t, err)
	return w
}

func eventsOf(t *testing.T, s store.Store, key string) []store.Event {
	t.Helper()
	page, err := s.Events.List(t.Context(), store.EventQuery{Key: key})
	require.NoError(t, err)
	return page.Events
}

func entriesOf(t *testing.T, s store.Store, name string) int {
	t.Helper()
	entries, err := s.HostLists.Entries(t.Context())
	require.NoError(t, err)
	n := 0
	for _, e := range entries {
		n += count(e.Name == name)
	}
	return n
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}
