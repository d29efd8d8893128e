package redisstore_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// hook lets pipelines through until it is told to die, and drops all from then
// on.
type hook struct {
	left   atomic.Int64
	sent   atomic.Int64
	heard  atomic.Bool      // of the first that is dropped the answer alone is lost
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

// dying is a store whose process dies after the given number of trips.
func dying(t *testing.T, prefix string, trips int) (store.Store, *hook) {
	t.Helper()
	client, h := sharedClient(t), &hook{}
	h.left.Store(int64(trips))
	client.AddHook(h)
	return newDriver(t, client, redisstore.Config{Prefix: prefix}).Store(), h
}
