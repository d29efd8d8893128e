package redisstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// The store's clock, and so its epochs, is the server's, to the microsecond.
func TestClock(t *testing.T) {
	client := sharedClient(t)
	s := newDriver(t, client, redisstore.Config{Prefix: newPrefix(t, client)}).Store()
	ctx := t.Context()
	before, err := client.Time(ctx).Result()
	require.NoError(t, err)
	now, err := s.Upkeep.Clock(ctx)
	require.NoError(t, err)
	require.NoError(t, s.Settings.SetInstance(ctx, store.Instance{}, store.Change{EndTokens: true}))
	in, err := s.Settings.Instance(ctx)
	require.NoError(t, err)
	after, err := client.Time(ctx).Result()
	require.NoError(t, err)
	require.GreaterOrEqual(t, now.UnixMicro(), before.UnixMicro())
	require.GreaterOrEqual(t, in.Epoch, now.UnixMicro())
	require.LessOrEqual(t, in.Epoch, after.UnixMicro())
}
