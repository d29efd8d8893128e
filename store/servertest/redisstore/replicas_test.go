package redisstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// follow starts a replica of the master, and returns when the master says
// that it is in the given state.
func follow(t testing.TB, master *redis.Client, state string) *servers.Process {
	t.Helper()
	p, err := servers.StartRedis(t.Context(), t.TempDir(), "--replicaof", "127.0.0.1 "+port(t, master.Options().Addr))
	started(t, err)
	t.Cleanup(p.Stop)
	follows(t, master, state)
	return p
}

func follows(t testing.TB, master *redis.Client, state string) {
	t.Helper()
	require.Eventually(t, func() bool {
		info, err := master.Info(context.Background(), "replication").Result()
		return err == nil && strings.Contains(info, "state="+state)
	}, patience, 5*time.Millisecond)
}

// A replica that gets its first copy can confirm nothing, for minutes if there
// is much to copy. Until it has it, there is no replica to wait for.
func TestAReplicaThatIsStillCopying(t *testing.T) {
	t.Parallel()
	p, err := servers.StartRedis(t.Context(), t.TempDir(), "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "3600")
	started(t, err)
	t.Cleanup(p.Stop)
	client := newClient(t, p.Addr())
	s := newDriver(t, client, redisstore.Config{}).Store()
	strict := newDriver(t, client, redisstore.Config{WaitReplicas: 1, WaitTimeout: 20 * time.Millisecond}).Store()
	create(t, s, "team-a", "key-1")
	follow(t, client, "wait_bgsave")
	create(t, s, "team-a", "key-2")
	err = strict.Keys.Create(t.Context(), newKey("team-a", "key-3"), store.NoLimit, store.Change{Now: noon})
	require.ErrorIs(t, err, store.ErrUnavailable, "who asks for one gets no less")
}

// A change that no replica confirmed is made all the same: its caller knows
// that it may be, and watchers are told of it at once.
func TestAReplicaThatStandsStill(t *testing.T) {
	t.Parallel()
	p, err := servers.StartRedis(t.Context(), t.TempDir(), "--repl-diskless-sync-delay", "0")
	started(t, err)
	t.Cleanup(p.Stop)
	client := newClient(t, p.Addr())
	replica := follow(t, client, "online")
	s := newDriver(t, client, redisstore.Config{WaitTimeout: 20 * time.Millisecond}).Store()
	require.NoError(t, replica.Pause())
	ctx := t.Context()
	id := store.OnceID{Space: "test", ID: "request-1", Value: "team-a", Expires: noon.Add(time.Hour)}
	for _, change := range []struct {
		name string
		make func() error
		made func() bool
	}{
		{"create", func() error {
			return s.Keys.Create(ctx, newKey("team-a", "key-1"), store.NoLimit, store.Change{Now: noon})
		}, func() bool { _, err := s.Keys.Lookup(ctx, "key-1"); return err == nil }},
		{"delete", func() error { return s.Keys.Delete(ctx, "team-a", "key-1", 0, noon, store.Change{Now: noon}) },
			func() bool { w, err := s.Settings.Workspace(ctx, "team-a"); return err == nil && w.Keys == 0 }},
		{"revoke", func() error { return s.Epochs.Revoke(ctx, "token-1", noon.Add(time.Hour), noon) },
			func() bool {
				n, err := client.Exists(ctx, "latchkey:revoked:token-1").Result()
				return err == nil && n == 1
			}},
		{"spend", func() error { return s.OnceIDs.Spend(ctx, id, noon) },
			func() bool { _, err := s.OnceIDs.Find(ctx, "test", "request-1", noon); return err == nil }},
	} {
		t.Run(change.name, func(t *testing.T) {
			require.ErrorIs(t, change.make(), store.ErrUnavailable)
			require.True(t, change.made())
			open, err := client.ZCard(ctx, "latchkey:{i}:open").Result()
			require.NoError(t, err)
			require.Zero(t, open, "all is told")
			waited, err := client.Keys(ctx, "*:waited").Result()
			require.NoError(t, err)
			require.NotEmpty(t, waited, "what is waited for is a write of the connection that waits, also if it had to send the call again")
			require.NoError(t, client.Del(ctx, waited...).Err())
		})
	}
}
