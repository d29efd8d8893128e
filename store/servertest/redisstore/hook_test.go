package redisstore_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// hook passes pipelines until its process dies, and drops all later ones.
type hook struct {
	left   atomic.Int64
	sent   atomic.Int64
	heard  atomic.Bool      // the first dropped pipeline reaches the server; only its answer is lost
	before func(trip int64) // unless nil
}

func (h *hook) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h *hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h *hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if left := h.left.Add(-1); left < 0 {
			if left == -1 && h.heard.Load() {
				_ = next(ctx, cmds)
			}
			for _, cmd := range cmds {
				if c, ok := cmd.(*redis.Cmd); ok {
					c.SetVal(nil)
				}
				cmd.SetErr(redis.ErrClosed)
			}
			return redis.ErrClosed
		}
		if h.before != nil {
			h.before(h.sent.Load() + 1)
		}
		h.sent.Add(1)
		return next(ctx, cmds)
	}
}

// attach must be called before the client's first command. Commands to a node of a
// Cluster pass only the hooks of that node's client.
func (h *hook) attach(client redis.UniversalClient) {
	if cluster, ok := client.(*redis.ClusterClient); ok {
		cluster.OnNewNode(func(node *redis.Client) { node.AddHook(h) })
		return
	}
	client.AddHook(h)
}

// died reports whether a pipeline was dropped.
func (h *hook) died() bool { return h.left.Load() < 0 }

// dying returns a store whose process dies after the given number of round trips.
func dying(t *testing.T, prefix string, trips int) (store.Store, *hook) {
	t.Helper()
	client, h := sharedClient(t), &hook{}
	h.left.Store(int64(trips))
	h.attach(client)
	return newDriver(t, client, redisstore.Config{Prefix: prefix}).Store(), h
}

// connected returns a store of a process whose connection is open.
func connected(t *testing.T, prefix string) (store.Store, *hook) {
	t.Helper()
	s, h := dying(t, prefix, 1_000_000)
	_, err := s.Settings.Instance(t.Context())
	require.NoError(t, err)
	return s, h
}

// eachDeath runs a test once for each point at which a process can die: before each round
// trip and, for the first three, also after it but before the answer.
func eachDeath(t *testing.T, trips int, try func(t *testing.T, dead func(prefix string) (store.Store, *hook))) {
	for n := range trips {
		for _, heard := range []bool{false, true} {
			name := fmt.Sprint("before trip ", n+1)
			if heard && n > 2 {
				continue
			}
			if heard {
				name = fmt.Sprint("before the answer of trip ", n+1)
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				try(t, func(prefix string) (store.Store, *hook) {
					s, h := connected(t, prefix)
					h.heard.Store(heard)
					h.left.Store(int64(n))
					return s, h
				})
			})
		}
	}
}
