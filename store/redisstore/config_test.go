package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

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
		{"a nil client", (*redis.Client)(nil), redisstore.Config{}, []string{"client: must be a"}},
		{"a nil cluster client", (*redis.ClusterClient)(nil), redisstore.Config{}, []string{"client: must be a"}},
		{"a ring", redis.NewRing(&redis.RingOptions{}), redisstore.Config{}, []string{"client:"}},
		{"without ContextTimeoutEnabled", redis.NewClient(&redis.Options{}), redisstore.Config{}, []string{"ContextTimeoutEnabled"}},
		{"a cluster without ContextTimeoutEnabled", cluster(redis.ClusterOptions{}), redisstore.Config{}, []string{"ContextTimeoutEnabled"}},
		{"reads from replicas", cluster(redis.ClusterOptions{ContextTimeoutEnabled: true, ReadOnly: true}), redisstore.Config{}, []string{"ReadOnly"}},
		{"reads from the nearest", cluster(redis.ClusterOptions{ContextTimeoutEnabled: true, RouteByLatency: true}), redisstore.Config{}, []string{"RouteByLatency"}},
		{"reads from any", cluster(redis.ClusterOptions{ContextTimeoutEnabled: true, RouteRandomly: true}), redisstore.Config{}, []string{"RouteRandomly"}},
		{"a brace in the prefix", good, redisstore.Config{Prefix: "a{b"}, []string{"Config.Prefix"}},
		{"a long prefix", good, redisstore.Config{Prefix: strings.Repeat("a", 65)}, []string{"Config.Prefix"}},
		{"all problems at once", nil, redisstore.Config{Prefix: " ", WaitReplicas: -2, WaitTimeout: time.Millisecond},
			[]string{"client:", "Config.Prefix", "Config.WaitReplicas", "Config.WaitTimeout"}},
		{"the upper bounds", good, redisstore.Config{WaitReplicas: 11, WaitTimeout: 3 * time.Second},
			[]string{"Config.WaitReplicas", "Config.WaitTimeout"}},
		{"a wait that exceeds the client's ReadTimeout", redis.NewClient(&redis.Options{ContextTimeoutEnabled: true, ReadTimeout: 400 * time.Millisecond}),
			redisstore.Config{}, []string{"Config.WaitTimeout"}},
	} {
		t.Run(try.name, func(t *testing.T) {
			_, err := redisstore.New(try.client, try.cfg)
			for _, want := range try.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	_, err := redisstore.New(good, redisstore.Config{Prefix: "a", WaitReplicas: 10, WaitTimeout: 2 * time.Second})
	require.NoError(t, err)
}
