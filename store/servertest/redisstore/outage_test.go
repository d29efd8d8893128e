package redisstore_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// A call to a server that does not work fails with store.ErrUnavailable within its
// deadline. The error contains no address and no digest. Afterwards all calls work again.
func TestOutages(t *testing.T) {
	t.Parallel()
	p, err := servers.StartRedis(t.Context(), t.TempDir())
	started(t, err)
	t.Cleanup(p.Stop)
	// The proxy's address stays when the server restarts.
	proxy, err := servers.NewProxy(p.Addr())
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	client := newClient(t, proxy.Addr())
	direct := newClient(t, p.Addr())
	s := newDriver(t, client, redisstore.Config{}).Store()
	create(t, s, "team-a", "key-1")
	config := func(name, value string) {
		require.NoError(t, direct.ConfigSet(context.Background(), name, value).Err())
	}
	n := 0
	for _, try := range []struct {
		name      string
		hurt      func()
		heal      func()
		readsWork bool
	}{
		{"B19 paused", func() { require.NoError(t, p.Pause()) }, func() { require.NoError(t, p.Resume()) }, false},
		{"B19 full", func() { config("maxmemory", "1") }, func() { config("maxmemory", "0") }, true},
		{"B19 read-only", func() { require.NoError(t, direct.ReplicaOf(context.Background(), "127.0.0.1", "1").Err()) },
			func() { require.NoError(t, direct.ReplicaOf(context.Background(), "no", "one").Err()) }, false},
		{"B19 without its replicas", func() { config("min-replicas-to-write", "1") }, func() { config("min-replicas-to-write", "0") }, false},
		{"B19 half-open", proxy.Freeze, proxy.Thaw, false},
		{"B19 out of reach", func() { proxy.Refuse(true); proxy.Cut() }, func() { proxy.Refuse(false) }, false},
		{"B19 killed and restarted", func() { require.NoError(t, p.Kill()) },
			func() { require.NoError(t, p.Restart(context.Background())) }, false},
	} {
		t.Run(try.name, func(t *testing.T) {
			try.hurt()
			healed := false
			heal := func() {
				if !healed {
					healed = true
					try.heal()
				}
			}
			defer heal() // the next case begins with a working server
			deadline := 300 * time.Millisecond
			if try.readsWork {
				deadline = patience
			}
			within := func(do func(ctx context.Context) error) error {
				ctx, cancel := context.WithTimeout(context.Background(), deadline)
				defer cancel()
				begun := time.Now()
				err := do(ctx)
				require.Less(t, time.Since(begun), deadline+5*time.Second, "the deadline and some time after it")
				return err
			}
			n++
			key := newKey("team-a", "new-"+string(rune('a'+n)))
			calls := map[string]error{
				"create": within(func(ctx context.Context) error {
					return s.Keys.Create(ctx, key, store.NoLimit, store.Change{Now: noon})
				}),
				"spend": within(func(ctx context.Context) error {
					return s.OnceIDs.Spend(ctx, store.OnceID{ID: key.ID, Expires: noon.Add(time.Hour)}, noon)
				}),
				"revoke": within(func(ctx context.Context) error { return s.Epochs.Revoke(ctx, key.ID, noon.Add(time.Hour), noon) }),
				"advance": within(func(ctx context.Context) error {
					_, _, err := s.Limiter.Advance(ctx, key.ID, noon, time.Second, time.Minute)
					return err
				}),
			}
			reads := map[string]error{
				"look up": within(func(ctx context.Context) error { _, err := s.Keys.Lookup(ctx, "key-1"); return err }),
				"look up a missing key": within(func(ctx context.Context) error {
					_, err := s.Keys.Lookup(ctx, "unknown")
					if errors.Is(err, store.ErrNotFound) {
						return nil
					}
					return err
				}),
				"epochs": within(func(ctx context.Context) error {
					_, err := s.Epochs.Read(ctx, store.TokenRef{Workspace: "team-a", Key: "key-1", Credential: "s1-key-1"})
					return err
				}),
			}
			for name, err := range reads {
				if try.readsWork {
					require.NoError(t, err, name)
				} else {
					calls[name] = err
				}
			}
			for name, err := range calls {
				t.Log(name, ": ", err)
				require.ErrorIs(t, err, store.ErrUnavailable, name)
				for _, contract := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrLimit} {
					require.NotErrorIs(t, err, contract, name)
				}
				for _, private := range []string{"127.0.0.1", port(t, p.Addr()), port(t, proxy.Addr()), "digest-of", "evalsha", key.ID} {
					require.NotContains(t, err.Error(), private, name)
				}
			}
			heal()
			began := time.Now()
			require.Eventually(t, func() bool {
				err := s.Keys.Create(context.Background(), newKey("team-a", "after-"+key.ID), store.NoLimit, store.Change{Now: noon})
				return err == nil || errors.Is(err, store.ErrExists)
			}, patience, 10*time.Millisecond)
			t.Logf("works again after %s", time.Since(began))
			_, err := s.Keys.Lookup(context.Background(), "after-"+key.ID)
			require.NoError(t, err)
		})
	}
}

func port(t testing.TB, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	return port
}

// No server of a Cluster answers, so the client does not know where to send a call.
func TestUnreachableCluster(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{l.Addr().String()}, ContextTimeoutEnabled: true, MaxRetries: -1, MaxRedirects: -1})
	t.Cleanup(func() { _ = client.Close() })
	s := newDriver(t, client, redisstore.Config{}).Store()
	for _, c := range slices.Concat(readCalls, refusedCalls, changeCalls) {
		require.ErrorIs(t, c.do(t.Context(), s), store.ErrUnavailable, c.name)
	}
	require.ErrorIs(t, s.Watch.Watch(t.Context(), func() { t.Error("ready") }, func(n store.Notification) { t.Error(n) }), store.ErrUnavailable)
}

func TestDeadlineIsReported(t *testing.T) {
	through, _, proxy := proxied(t)
	create(t, through, "team-a", "key-1")
	proxy.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := through.Keys.Lookup(ctx, "key-1")
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestServerWithoutScripts(t *testing.T) {
	p, err := servers.StartRedis(t.Context(), t.TempDir())
	started(t, err)
	t.Cleanup(p.Stop)
	client := newClient(t, p.Addr())
	s := newDriver(t, client, redisstore.Config{WaitReplicas: redisstore.WaitNever}).Store()
	waits := newDriver(t, client, redisstore.Config{}).Store()
	for i, s := range []store.Store{s, waits, s, waits} {
		t.Run("B19 NOSCRIPT", func(t *testing.T) {
			require.NoError(t, client.ScriptFlush(t.Context()).Err())
			create(t, s, "team-a", string(rune('a'+i)))
			require.NoError(t, client.ScriptFlush(t.Context()).Err())
			_, err := s.Keys.Lookup(t.Context(), string(rune('a'+i)))
			require.NoError(t, err)
		})
	}
}
