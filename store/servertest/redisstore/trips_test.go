package redisstore_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// TestRoundTrips checks the number of round trips of each call: one for a look-up, and one
// for a change with whatever is written with it.
func TestRoundTrips(t *testing.T) {
	client, h := sharedClient(t), &hook{}
	h.left.Store(1_000_000)
	client.AddHook(h)
	all := slices.Concat(readCalls, refusedCalls, changeCalls)
	var s store.Store
	for _, counted := range []bool{false, true} { // at first the server may not have the scripts
		s = newDriver(t, client, redisstore.Config{Prefix: newPrefix(t, client)}).Store()
		fillForCalls(t, s)
		for _, c := range all {
			h.sent.Store(0)
			require.ErrorIs(t, c.do(t.Context(), s), c.want, c.name)
			if counted && c.trips > 0 {
				require.Equal(t, c.trips, h.sent.Load(), c.name)
			}
		}
	}
	for i := range 300 {
		create(t, s, fmt.Sprint("many-", i%2), fmt.Sprint("many-", i))
	}
	for _, q := range []store.KeyQuery{{}, {Workspace: "many-1"}, {Sort: store.ByName, Descending: true}} {
		h.sent.Store(0)
		page, err := s.Keys.List(t.Context(), q)
		require.NoError(t, err)
		require.Len(t, page.Keys, 100)
		require.NotNil(t, page.Next)
		require.EqualValues(t, 2, h.sent.Load(), "a full page of %+v and its settings", q)
	}
}

// ending is a hook that calls end after each round trip.
type ending struct{ end func() }

func (e *ending) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (e *ending) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (e *ending) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		defer e.end()
		return next(ctx, cmds)
	}
}

// A context that ends between two round trips ends the call.
func TestAContextEndsBetweenTrips(t *testing.T) {
	client, e := sharedClient(t), &ending{end: func() {}}
	client.AddHook(e)
	s := newDriver(t, client, redisstore.Config{Prefix: newPrefix(t, client)}).Store()
	fillForCalls(t, s)
	warm := newDriver(t, client, redisstore.Config{Prefix: newPrefix(t, client)}).Store()
	fillForCalls(t, warm)
	for _, c := range slices.Concat(readCalls, refusedCalls, changeCalls) {
		e.end = func() {}
		require.ErrorIs(t, c.do(t.Context(), warm), c.want, c.name)
		ctx, cancel := context.WithCancel(t.Context())
		e.end = cancel
		err := c.do(ctx, s)
		if c.trips == 1 || c.name == "delete a workspace" { // Purge removes the rest
			require.ErrorIs(t, err, c.want, c.name)
		} else {
			require.ErrorIs(t, err, context.Canceled, c.name)
		}
		cancel()
	}
}
