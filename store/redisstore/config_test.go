package redisstore_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/internal/servers"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

func TestNewRefuses(t *testing.T) {
	good := redis.NewClient(&redis.Options{ContextTimeoutEnabled: true})
	defer good.Close()
	cluster := func(o redis.ClusterOptions) redis.UniversalClient {
		o.Addrs = []string{"127.0.0.1:1"}
		c := redis.NewClusterClient(&o)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	for _, try := range []struct {
		name   string
		client redis.UniversalClient
		cfg    redisstore.Config
		want   []string
	}{
		{"no client", nil, redisstore.Config{}, []string{"client:"}},
		{"a nil client", (*redis.Client)(nil), redisstore.Config{}, []string{"client: missing"}},
		{"a nil cluster client", (*redis.ClusterClient)(nil), redisstore.Config{}, []string{"client: missing"}},
		{"a ring", redis.NewRing(&redis.RingOptions{}), redisstore.Config{}, []string{"client:"}},
		{"calls that outlive their deadline", redis.NewClient(&redis.Options{}), redisstore.Config{}, []string{"ContextTimeoutEnabled"}},
		{"the same in a cluster", cluster(redis.ClusterOptions{}), redisstore.Config{}, []string{"ContextTimeoutEnabled"}},
		{"reads from replicas", cluster(redis.ClusterOptions{ContextTimeoutEnabled: true, ReadOnly: true}), redisstore.Config{}, []string{"ReadOnly"}},
		{"reads from the nearest", cluster(redis.ClusterOptions{ContextTimeoutEnabled: true, RouteByLatency: true}), redisstore.Config{}, []string{"RouteByLatency"}},
		{"reads from any", cluster(redis.ClusterOptions{ContextTimeoutEnabled: true, RouteRandomly: true}), redisstore.Config{}, []string{"RouteRandomly"}},
		{"a brace in the prefix", good, redisstore.Config{Prefix: "a{b"}, []string{"Config.Prefix"}},
		{"a long prefix", good, redisstore.Config{Prefix: strings.Repeat("a", 65)}, []string{"Config.Prefix"}},
		{"all problems at once", nil, redisstore.Config{Prefix: " ", WaitReplicas: -2, WaitTimeout: time.Millisecond, Pointers: 1},
			[]string{"client:", "Config.Prefix", "Config.WaitReplicas", "Config.WaitTimeout", "Config.Pointers"}},
		{"the upper bounds", good, redisstore.Config{WaitReplicas: 11, WaitTimeout: 3 * time.Second, Pointers: 100_000_001},
			[]string{"Config.WaitReplicas", "Config.WaitTimeout", "Config.Pointers"}},
		{"a wait that the client cuts off", redis.NewClient(&redis.Options{ContextTimeoutEnabled: true, ReadTimeout: 400 * time.Millisecond}),
			redisstore.Config{}, []string{"Config.WaitTimeout"}},
	} {
		t.Run(try.name, func(t *testing.T) {
			_, err := redisstore.New(try.client, try.cfg)
			for _, want := range try.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	_, err := redisstore.New(good, redisstore.Config{Prefix: "a", WaitReplicas: 10, WaitTimeout: 2 * time.Second, Pointers: 1000})
	require.NoError(t, err)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	p, err := servers.StartRedis(t.Context(), t.TempDir())
	started(t, err)
	t.Cleanup(p.Stop)
	client := newClient(t, p.Addr())
	var log bytes.Buffer
	d := newDriver(t, client, redisstore.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	set := func(pairs ...string) {
		for i := 0; i < len(pairs); i += 2 {
			require.NoError(t, client.ConfigSet(t.Context(), pairs[i], pairs[i+1]).Err())
		}
	}
	for _, try := range []struct {
		name  string
		pairs []string
		want  []string
	}{
		{"all is well", []string{"maxmemory-policy", "noeviction", "appendonly", "yes", "appendfsync", "always"}, nil},
		{"a second may be lost", []string{"appendfsync", "everysec"}, []string{"appendfsync everysec"}},
		{"keys may be evicted", []string{"appendfsync", "always", "maxmemory-policy", "volatile-lru"}, []string{"maxmemory-policy volatile-lru"}},
		{"snapshots only", []string{"maxmemory-policy", "noeviction", "appendonly", "no", "save", "3600 1"}, []string{"from time to time"}},
		{"nothing on disk", []string{"save", ""}, []string{"nothing to disk"}},
		{"both", []string{"maxmemory-policy", "allkeys-lru"}, []string{"maxmemory-policy allkeys-lru", "nothing to disk"}},
	} {
		t.Run(try.name, func(t *testing.T) {
			set(try.pairs...)
			log.Reset()
			found, err := d.Check(t.Context())
			require.NoError(t, err)
			require.Len(t, found, len(try.want))
			for i, want := range try.want {
				require.Contains(t, found[i], want)
				require.Contains(t, log.String(), want)
			}
		})
	}
	t.Run("a server that does not tell", func(t *testing.T) {
		require.NoError(t, client.Do(t.Context(), "acl", "setuser", "default", "-config").Err())
		found, err := d.Check(t.Context())
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Contains(t, found[0], "does not tell")
	})
	t.Run("no server", func(t *testing.T) {
		p.Stop()
		_, err := d.Check(t.Context())
		require.Error(t, err)
	})
}
