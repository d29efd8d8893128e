package redisstore_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

func tokenOf(i int) store.TokenRef {
	return store.TokenRef{Workspace: "team-a", Key: "key-1", Credential: "s1-key-1", TokenID: fmt.Sprint("token-", i)}
}

// Revocations of tokens that a failover lost are written again.
func TestLostRevocations(t *testing.T) {
	client := sharedClient(t)
	for _, try := range []struct {
		name   string
		repair func(t *testing.T, revoker store.Store)
	}{
		{"B07 written again on a read", func(t *testing.T, revoker store.Store) {
			for i := range 2 {
				state, err := revoker.Epochs.Read(t.Context(), tokenOf(i))
				require.NoError(t, err)
				require.True(t, state.Revoked)
			}
		}},
		{"B07 written again when a new watch begins", func(t *testing.T, revoker store.Store) { listen(t, revoker) }},
	} {
		t.Run(try.name, func(t *testing.T) {
			prefix := newPrefix(t, client)
			revoker := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
			other := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
			ctx := t.Context()
			create(t, revoker, "team-a", "key-1")
			for i := range 2 {
				require.NoError(t, revoker.Epochs.Revoke(ctx, tokenOf(i).TokenID, noon.Add(time.Hour), noon))
			}
			require.NoError(t, client.Del(ctx, record(prefix, "revoked:token-0"), record(prefix, "revoked:token-1")).Err())

			try.repair(t, revoker)
			for i, want := range []bool{true, true, false} {
				state, err := other.Epochs.Read(ctx, tokenOf(i))
				require.NoError(t, err)
				require.Equal(t, want, state.Revoked)
			}
		})
	}
}

// A process that has written many revocations can watch again. Revocations that still
// exist send no notification.
func TestManyLostRevocations(t *testing.T) {
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	one := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	other := listen(t, newDriver(t, client, redisstore.Config{Prefix: prefix}).Store())
	ctx := t.Context()
	create(t, one, "team-a", "key-1")
	// More than one request checks.
	const many = 1200
	for i := range many {
		require.NoError(t, one.Epochs.Revoke(ctx, tokenOf(i).TokenID, noon.Add(time.Hour), noon))
	}
	_, gap := other.until(t, func(n store.Notification) bool { return n.Token == tokenOf(many-1).TokenID })
	require.False(t, gap)

	w := listen(t, one)
	for range 5 {
		require.Equal(t, store.NotificationHeartbeat, w.next(t).Kind)
		require.Equal(t, store.NotificationHeartbeat, other.next(t).Kind, "nothing was lost")
	}
	t.Run("B07 all revocations lost", func(t *testing.T) {
		for i := range many {
			require.NoError(t, client.Del(ctx, record(prefix, "revoked:"+tokenOf(i).TokenID)).Err())
		}
		w := listen(t, one)
		require.Equal(t, store.NotificationHeartbeat, w.next(t).Kind)
		notifications, heartbeats := map[string]bool{}, 0
		_, gap := other.until(t, func(n store.Notification) bool {
			if notifications[n.Token] = true; n.Kind == store.NotificationHeartbeat {
				heartbeats++
			}
			return len(notifications) == many+1 || heartbeats == 100 // one is not about a token
		})
		require.Len(t, notifications, many+1)
		require.False(t, gap, "other processes are notified")
		for _, i := range []int{0, many / 2, many - 1} {
			state, err := one.Epochs.Read(ctx, tokenOf(i))
			require.NoError(t, err)
			require.True(t, state.Revoked)
		}
	})
}

// An expired revocation that Redis has removed is not written again, and sends no
// notification. A revocation that has not expired by the clock of the server or of the
// process is written again.
func TestExpiredRevocations(t *testing.T) {
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	ctx := t.Context()
	server, err := client.Time(ctx).Result()
	require.NoError(t, err)
	tries := []struct {
		token      string
		until, now time.Time
		restored   bool
	}{
		{"expired", server.Add(-time.Hour), server, false},
		{"expired just now", server.Add(-time.Minute), server, true},
		{"expires later", server.Add(time.Minute), server, true},
		{"revoked by a clock ahead", server.Add(time.Minute), server.AddDate(2, 0, 0), true},
		{"revoked by a clock behind", server.AddDate(-2, 0, 0).Add(time.Minute), server.AddDate(-2, 0, 0), true},
	}
	for _, try := range tries {
		require.NoError(t, s.Epochs.Revoke(ctx, try.token, try.until, try.now))
		require.Equal(t, int64(1), client.Del(ctx, revokedName(prefix, try.token)).Val())
	}
	listen(t, s)
	for _, try := range tries {
		there, err := client.Exists(ctx, revokedName(prefix, try.token)).Result()
		require.NoError(t, err)
		require.Equal(t, try.restored, there == 1, try.token)
	}
}

func revokedName(prefix, token string) string {
	return record(prefix, "revoked:"+url.PathEscape(token))
}
