package redisstore_test

import (
	"context"
	"errors"
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

// vanishing is a change whose client vanishes. n is different for each change.
type vanishing struct {
	name    string
	victims int // the number of keys that it changes
	do      func(ctx context.Context, s store.Store, n string, c store.Change) error
}

var vanishings = []vanishing{
	{"create", 0, func(ctx context.Context, s store.Store, n string, c store.Change) error {
		return s.Keys.Create(ctx, newKey("team-a", "frozen-"+n), 10_000, c)
	}},
	{"update", 1, func(ctx context.Context, s store.Store, n string, c store.Change) error {
		k := newKey("victims-"+n, "victim-"+n)
		k.Version = 1
		return s.Keys.Update(ctx, k, c)
	}},
	{"delete", 1, func(ctx context.Context, s store.Store, n string, c store.Change) error {
		return s.Keys.Delete(ctx, "victims-"+n, "victim-"+n, 0, noon, c)
	}},
	{"settings", 0, func(ctx context.Context, s store.Store, _ string, c store.Change) error {
		return s.Settings.SetInstance(ctx, store.InstanceSettings{Instance: store.Instance{Version: c.Preconditions[0].Version}}, c)
	}},
	// It removes the keys with two scripts.
	{"delete a workspace", 201, func(ctx context.Context, s store.Store, n string, c store.Change) error {
		return s.Settings.DeleteWorkspace(ctx, "victims-"+n, noon, c)
	}},
}

// A client that vanishes within a request holds no lock in Redis: others can make the
// same change.
func TestVanishedWithinARequest(t *testing.T) {
	t.Parallel()
	for _, v := range vanishings {
		t.Run("B28 "+v.name, func(t *testing.T) {
			t.Parallel()
			newVanished(t, v).withinARequest()
		})
	}
}

// A client that vanishes between the requests of a change holds no lock either.
func TestVanishedBetweenRequests(t *testing.T) {
	t.Parallel()
	for _, v := range vanishings {
		t.Run("B28 "+v.name, func(t *testing.T) {
			t.Parallel()
			newVanished(t, v).betweenRequests()
		})
	}
}

// vanished is a store with a client that vanishes, and with other clients.
type vanished struct {
	*testing.T
	vanishing
	addr    string
	prefix  string
	client  *redis.Client
	others  store.Store
	watcher *watcher
	slowest map[string]time.Duration // of the other clients' calls
}

func newVanished(t *testing.T, v vanishing) vanished {
	t.Helper()
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	others := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	for _, id := range []string{"actor", "key-1"} {
		create(t, others, "team-a", id)
	}
	create(t, others, "team-b", "key-2")
	return vanished{t, v, client.Options().Addr, prefix, client, others, listen(t, others), make(map[string]time.Duration)}
}

func (v vanished) withinARequest() {
	whole := new(cutShort)
	require.False(v, v.freezes("00", v.addr, whole, func() {}, func() bool { return false }))
	n := whole.said.Load()
	for i, left := range []int64{0, 1, n / 4, n / 2, n - n/4, n - 1} {
		// The request ends with the write that checks the server (see Driver.send).
		// Without that part, the change is made.
		c := &cutShort{unmade: left < n-1}
		cut := func() { c.left.Store(left); c.limited.Store(true) }
		require.True(v, v.freezes(fmt.Sprintf("%02d", i+1), v.addr, c, cut, c.cut.Load))
	}
	inspect(v.T, v.client, v.prefix)
}

func (v vanished) betweenRequests() {
	proxy, err := servers.NewProxy(v.addr)
	require.NoError(v, err)
	v.Cleanup(proxy.Close)
	for n := 0; ; n++ {
		var before int
		freeze := func() { before = proxy.Trips(); proxy.FreezeAfter(n) }
		froze := v.freezes(fmt.Sprintf("%02d", n), proxy.Addr(), new(cutShort), freeze, func() bool { return proxy.Trips() == before+n+1 })
		proxy.Abandon()
		if !froze {
			v.Logf("the change ended after %d round trips", n)
			require.Positive(v, n)
			break
		}
	}
	inspect(v.T, v.client, v.prefix)
}

// freezes makes change n with a client that freezes during the change. Once it is frozen,
// other clients make their calls. It reports whether the client froze before the change
// ended.
func (v vanished) freezes(n, addr string, connections *cutShort, freeze func(), frozen func() bool) bool {
	v.Helper()
	for i := range v.victims {
		id := "victim-" + n
		if i > 0 {
			id += fmt.Sprint("-", i)
		}
		create(v.T, v.others, "victims-"+n, id)
	}
	in, err := v.others.Settings.Instance(v.Context())
	require.NoError(v, err)
	// The change has all that a change can have.
	change := store.Change{
		Now: noon, RevokeTokens: true, Once: &store.OnceID{ID: n, Expires: noon.Add(time.Hour)},
		Events:        []store.Event{{ID: n, Time: noon, Workspace: "team-a", Key: n}},
		Preconditions: []store.Precondition{{Version: in.Version}, {Workspace: "team-a"}, {Key: "actor", Version: 1}},
	}
	client := connections.dial(addr)
	defer client.Close()
	// With WaitNever a change is only a script.
	s := newDriver(v.T, client, redisstore.Config{Prefix: v.prefix, WaitReplicas: redisstore.WaitNever}).Store()
	_, err = s.Settings.Instance(v.Context())
	require.NoError(v, err, "the connection is open")
	freeze()
	connections.said.Store(0)
	ended := make(chan error, 1)
	go func() { ended <- v.do(v.Context(), s, n, change) }()
	over := false
	require.Eventually(v, func() bool {
		select {
		case err = <-ended:
			over = true
		default:
		}
		return over || frozen()
	}, patience, time.Millisecond)
	if over {
		require.NoError(v, err)
		return false
	}
	v.othersProceed(n, change, connections.unmade)
	require.Empty(v, ended, "it is still frozen")
	require.NoError(v, client.Close())
	if err := <-ended; v.name != "delete a workspace" || err != nil {
		require.ErrorIs(v, err, store.ErrUnavailable)
	}
	require.Len(v, eventsOf(v.T, v.others, n), 1, "the change was made once")
	return true
}

// othersProceed makes the calls of other clients, first the same change.
func (v vanished) othersProceed(n string, change store.Change, unmade bool) {
	v.Helper()
	ctx, s := v.Context(), v.others
	update := func(id string) func() error {
		return func() error {
			found, err := s.Keys.Lookup(ctx, id)
			if err != nil {
				return err
			}
			return s.Keys.Update(ctx, found.Key, store.Change{RevokeTokens: true})
		}
	}
	calls := []struct {
		name string
		do   func() error
	}{
		{"look up", func() error { _, err := s.Keys.Lookup(ctx, "key-1"); return err }},
		{"read epochs", func() error {
			_, err := s.Epochs.Read(ctx, store.TokenRef{Workspace: "team-a", Key: "key-1", Credential: "s1-key-1"})
			return err
		}},
		{"list", func() error { _, err := s.Keys.List(ctx, store.KeyQuery{}); return err }},
		{"the same change", func() error {
			if err := v.do(ctx, s, n, change); unmade || !errors.Is(err, store.ErrExists) {
				return err
			}
			return nil
		}},
		{"update", update("key-1")},
		{"update elsewhere", update("key-2")},
		{"create", func() error {
			return s.Keys.Create(ctx, newKey("team-a", "other-"+n), 10_000, store.Change{Now: noon})
		}},
		{"save a workspace's settings", func() error {
			return s.Settings.SetWorkspace(ctx, store.Workspace{ID: "team-" + n}, store.Change{})
		}},
		{"save the settings in its preconditions", func() error {
			in, err := s.Settings.Instance(ctx)
			if err != nil {
				return err
			}
			return s.Settings.SetInstance(ctx, in, store.Change{})
		}},
	}
	done := 0
	for _, call := range calls {
		begun := time.Now()
		require.NoError(v, call.do(), "%s, %s", n, call.name)
		v.slowest[call.name] = max(v.slowest[call.name], time.Since(begun))
		done++
	}
	require.Equal(v, len(calls), done)
	v.watcher.upTo(v.T, s, "last-"+n)
}

// cutShort makes clients whose connections, once they are limited, send a limited number
// of bytes to the server, and drop the rest.
type cutShort struct {
	unmade       bool // the limited change is not made
	limited, cut atomic.Bool
	left, said   atomic.Int64
}

func (c *cutShort) dial(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: addr, ContextTimeoutEnabled: true, ReadTimeout: -1, MaxRetries: -1,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return cutConn{conn, c}, err
		},
	})
}

type cutConn struct {
	net.Conn
	c *cutShort
}

func (conn cutConn) Write(b []byte) (int, error) {
	c, whole := conn.c, len(b)
	c.said.CompareAndSwap(0, int64(whole)) // the first request
	if c.limited.Load() {
		b = b[:min(int64(whole), c.left.Load())]
		c.left.Add(-int64(len(b)))
		c.cut.Store(len(b) < whole)
	}
	if len(b) > 0 {
		if n, err := conn.Conn.Write(b); err != nil {
			return n, err
		}
	}
	return whole, nil
}
