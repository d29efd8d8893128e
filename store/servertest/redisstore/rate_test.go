package redisstore_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// BenchmarkRates measures calls on one master, from 1, 16 and 64 goroutines of one
// process: with appendfsync everysec, with always, and with a replica that each change
// waits for. The printed time is per call, over all goroutines: 10 us is 100,000 calls a
// second.
func BenchmarkRates(b *testing.B) {
	for _, server := range []struct {
		name, fsync string
		replica     bool
	}{{"everysec", "everysec", false}, {"always", "always", false}, {"replica", "everysec", true}} {
		b.Run(server.name, func(b *testing.B) {
			p, err := servers.StartRedis(b.Context(), b.TempDir(), "--appendfsync", server.fsync, "--repl-diskless-sync-delay", "0")
			started(b, err)
			b.Cleanup(p.Stop)
			client := redis.NewClient(&redis.Options{Addr: p.Addr(), ContextTimeoutEnabled: true, PoolSize: 64})
			b.Cleanup(func() { _ = client.Close() })
			if server.replica {
				follow(b, client, "online")
			}
			s := newDriver(b, client, redisstore.Config{}).Store()
			r := &rate{s: s, server: client}
			for _, call := range calls {
				for _, callers := range []int{1, 16, 64} {
					b.Run(fmt.Sprint(call.name, "/", callers), func(b *testing.B) { r.measure(b, call.prepare, call.run, callers) })
				}
			}
		})
	}
}

// rate is a store and the number of keys that were created in it.
type rate struct {
	s      store.Store
	server *redis.Client
	made   atomic.Int64
}

var calls = []struct {
	name    string
	prepare bool // the call needs a key that exists
	run     func(r *rate, b *testing.B, k *store.Key) error
}{
	{"look-up", true, func(r *rate, b *testing.B, k *store.Key) error {
		_, err := r.s.Keys.Lookup(b.Context(), k.ID)
		return err
	}},
	{"create", false, func(r *rate, b *testing.B, k *store.Key) error {
		return r.s.Keys.Create(b.Context(), *k, 1_000_000, store.Change{Now: noon})
	}},
	{"create with event and one-time id", false, func(r *rate, b *testing.B, k *store.Key) error {
		return r.s.Keys.Create(b.Context(), *k, 1_000_000, store.Change{
			Events: []store.Event{{ID: k.ID, Time: noon, Actor: k.CreatedBy, Action: "key.create", Workspace: k.Workspace, Key: k.ID}},
			Once:   &store.OnceID{Space: "create", ID: k.ID, Value: k.ID, Expires: noon.Add(time.Hour)}, Now: noon,
			Preconditions: []store.Precondition{{Workspace: k.Workspace}, {}},
		})
	}},
	{"update", true, func(r *rate, b *testing.B, k *store.Key) error {
		k.Disabled = true
		return r.s.Keys.Update(b.Context(), *k, store.Change{Now: noon, RevokeTokens: true})
	}},
	{"delete", true, func(r *rate, b *testing.B, k *store.Key) error {
		return r.s.Keys.Delete(b.Context(), k.Workspace, k.ID, 0, noon, store.Change{Now: noon})
	}},
}

func (r *rate) key() *store.Key {
	n := r.made.Add(1)
	k := newKey(fmt.Sprint("team-", n%1000), fmt.Sprintf("8f14e45f-ceea-467f-9a36-%012d", n))
	k.Version = 1
	return &k
}

// measure makes b.N calls.
func (r *rate) measure(b *testing.B, prepare bool, run func(*rate, *testing.B, *store.Key) error, callers int) {
	keys := make([]*store.Key, b.N)
	for i := range keys {
		keys[i] = r.key()
	}
	each := func(callers int, do func(*store.Key) error) {
		var next atomic.Int64
		var working sync.WaitGroup
		for range callers {
			working.Go(func() {
				for n := next.Add(1); n <= int64(len(keys)); n = next.Add(1) {
					if err := do(keys[n-1]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		working.Wait()
	}
	if prepare {
		each(16, func(k *store.Key) error {
			return r.s.Keys.Create(b.Context(), *k, store.NoLimit, store.Change{Now: noon})
		})
	}
	b.ReportAllocs()
	used := processorTime(b, r.server)
	b.ResetTimer()
	each(callers, func(k *store.Key) error { return run(r, b, k) })
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64((processorTime(b, r.server)-used).Microseconds())/float64(b.N), "server-us/call")
	require.False(b, b.Failed())
}

// processorTime returns the processor time that a server has used.
func processorTime(t testing.TB, server *redis.Client) time.Duration {
	t.Helper()
	info, err := server.Info(t.Context(), "cpu").Result()
	require.NoError(t, err)
	return processorTimeIn(t, info)
}

// processorTimeIn reads an answer to INFO cpu.
func processorTimeIn(t testing.TB, info string) (used time.Duration) {
	t.Helper()
	for _, kind := range []string{"user", "sys"} {
		_, rest, found := strings.Cut(info, "used_cpu_"+kind+":")
		require.True(t, found, info)
		seconds, _, _ := strings.Cut(rest, "\r")
		part, err := time.ParseDuration(seconds + "s")
		require.NoError(t, err)
		used += part
	}
	return used
}
