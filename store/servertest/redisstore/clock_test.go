package redisstore_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// The store's clock and its epochs are the server's time in microseconds.
func TestClock(t *testing.T) {
	client := sharedClient(t)
	s := newDriver(t, client, redisstore.Config{Prefix: newPrefix(t, client)}).Store()
	ctx := t.Context()
	before, err := client.Time(ctx).Result()
	require.NoError(t, err)
	now, err := s.Upkeep.Clock(ctx)
	require.NoError(t, err)
	require.NoError(t, s.Settings.SetInstance(ctx, store.InstanceSettings{}, store.Change{RevokeTokens: true}))
	in, err := s.Settings.Instance(ctx)
	require.NoError(t, err)
	after, err := client.Time(ctx).Result()
	require.NoError(t, err)
	require.GreaterOrEqual(t, now.UnixMicro(), before.UnixMicro())
	require.GreaterOrEqual(t, in.Epoch, now.UnixMicro())
	require.LessOrEqual(t, in.Epoch, after.UnixMicro())
}

// An epoch rises also if it is ahead of the server's clock, because the clock was set
// back, or because another server took over.
func TestEpochsAfterAClockSetBack(t *testing.T) {
	for _, try := range []struct {
		name, what, field string
		raise             func(ctx context.Context, s store.Store, version int64) error
	}{
		{"the instance", "settings", "i", func(ctx context.Context, s store.Store, version int64) error {
			return s.Settings.SetInstance(ctx, store.InstanceSettings{Instance: store.Instance{Version: version}}, store.Change{Now: noon, RevokeTokens: true})
		}},
		{"a workspace", "settings", "wteam-a", func(ctx context.Context, s store.Store, version int64) error {
			return s.Settings.SetWorkspace(ctx, store.Workspace{ID: "team-a", Version: version}, store.Change{Now: noon, RevokeTokens: true})
		}},
		{"a key", "keys", "key-1", func(ctx context.Context, s store.Store, version int64) error {
			k := newKey("team-a", "key-1")
			k.Version = version + 1
			return s.Keys.Update(ctx, k, store.Change{Now: noon, RevokeTokens: true})
		}},
		{"a deleted workspace", "settings", "wteam-a", func(ctx context.Context, s store.Store, version int64) error {
			if version == 0 {
				return s.Settings.SetWorkspace(ctx, store.Workspace{ID: "team-a"}, store.Change{Now: noon, RevokeTokens: true})
			}
			return s.Settings.DeleteWorkspace(ctx, "team-a", noon, store.Change{Now: noon})
		}},
	} {
		t.Run(try.name, func(t *testing.T) {
			ctx, client := t.Context(), sharedClient(t)
			prefix := newPrefix(t, client)
			s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
			create(t, s, "team-a", "key-1")
			require.NoError(t, try.raise(ctx, s, 0))
			now, err := client.Time(ctx).Result()
			require.NoError(t, err)
			ahead := now.Add(time.Hour).UnixMicro()
			// The second word of the record.
			damage(t, client, record(prefix, try.what), try.field, func(record string) string {
				words := strings.SplitN(record, " ", 3)
				epoch, err := strconv.ParseInt(words[1], 10, 64)
				require.NoError(t, err)
				require.InDelta(t, now.UnixMicro(), epoch, float64(time.Minute.Microseconds()))
				return fmt.Sprint(words[0], " ", ahead, " ", words[2])
			})
			require.NoError(t, try.raise(ctx, s, 1))
			raised, err := client.HGet(ctx, record(prefix, try.what), try.field).Result()
			require.NoError(t, err)
			require.Equal(t, strconv.FormatInt(ahead+1, 10), strings.SplitN(raised, " ", 3)[1])
		})
	}
}

// One-time ids and revocations are kept until they have expired for all processes, also
// if the clock of the process that wrote them is wrong.
func TestExpiryWithWrongClocks(t *testing.T) {
	ctx, client := t.Context(), sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	for _, try := range []struct {
		wrong, left, keeps time.Duration
	}{
		{0, time.Hour, time.Hour},
		{0, -time.Hour, 0},
		{-time.Hour, 15 * time.Minute, 75 * time.Minute},
		{time.Hour, 15 * time.Minute, 75 * time.Minute},
		{-20_000 * time.Hour, 15 * time.Minute, 24*time.Hour + 15*time.Minute},
		{20_000 * time.Hour, 15 * time.Minute, 20_000*time.Hour + 15*time.Minute},
	} {
		theirs, err := client.Time(ctx).Result()
		require.NoError(t, err)
		theirs = theirs.Add(try.wrong)
		ends := theirs.Add(try.left)
		require.NoError(t, s.Epochs.Revoke(ctx, "token", ends, theirs))
		require.NoError(t, s.OnceIDs.Spend(ctx, store.OnceID{Space: "test", ID: "id", Expires: ends}, theirs))
		for _, name := range []string{record(prefix, "revoked:token"), record(prefix, "once:test id")} {
			left, err := client.PTTL(ctx, name).Result()
			require.NoError(t, err)
			require.InDelta(t, (try.keeps + 10*time.Minute).Seconds(), left.Seconds(), patience.Seconds(), "%s, %+v", name, try)
			require.NoError(t, client.Del(ctx, name).Err())
		}
	}
}
