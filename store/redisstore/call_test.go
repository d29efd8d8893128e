package redisstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// A call that cannot be sent is store.ErrUnavailable, also if no server of a Cluster
// answers which node to ask.
func TestUnreachableServer(t *testing.T) {
	single := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1})
	cluster := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{"127.0.0.1:1"}, ContextTimeoutEnabled: true, MaxRedirects: -1, DialerRetries: 1,
	})
	for name, client := range map[string]redis.UniversalClient{"one server": single, "a cluster": cluster} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { _ = client.Close() })
			driver, err := redisstore.New(client, redisstore.Config{})
			require.NoError(t, err)
			s, now := driver.Store(), time.Unix(0, 0)
			for name, call := range map[string]func(ctx context.Context) error{
				"create": func(ctx context.Context) error {
					return s.Keys.Create(ctx, store.Key{ID: "key-1", Workspace: "team-a"}, store.NoLimit, store.Change{})
				},
				"look up":   func(ctx context.Context) error { _, err := s.Keys.Lookup(ctx, "key-1"); return err },
				"list":      func(ctx context.Context) error { _, err := s.Keys.List(ctx, store.KeyQuery{}); return err },
				"purge":     func(ctx context.Context) error { _, err := s.Upkeep.Purge(ctx, now); return err },
				"add usage": func(ctx context.Context) error { return s.Usage.Add(ctx, []store.Count{{Day: now, Logins: 1}}) },
				"prune":     func(ctx context.Context) error { _, err := s.Usage.Prune(ctx, now); return err },
				"advance": func(ctx context.Context) error {
					_, _, err := s.Limiter.Advance(ctx, "id", now, time.Second, time.Minute)
					return err
				},
			} {
				t.Run(name, func(t *testing.T) {
					require.ErrorIs(t, call(t.Context()), store.ErrUnavailable)
				})
			}
		})
	}
}
