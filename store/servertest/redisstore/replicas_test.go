package redisstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// follow starts a replica of the master, and returns when the master reports the given
// state for it.
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

// A replica cannot confirm a change during its first synchronization, which may take
// minutes. Until then, changes do not wait for it.
func TestReplicaDuringSynchronization(t *testing.T) {
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
	require.ErrorIs(t, err, store.ErrUnavailable, "with WaitReplicas 1 the change fails")
}

// A change that no replica confirmed is made nevertheless. Its caller gets an error which
// says that it may have been made, and its notification is sent.
func TestPausedReplica(t *testing.T) {
	t.Parallel()
	p, err := servers.StartRedis(t.Context(), t.TempDir(), "--repl-diskless-sync-delay", "0")
	started(t, err)
	t.Cleanup(p.Stop)
	client := newClient(t, p.Addr())
	replica := follow(t, client, "online")
	s := newDriver(t, client, redisstore.Config{WaitTimeout: 20 * time.Millisecond}).Store()
	w := listen(t, newDriver(t, client, redisstore.Config{}).Store())
	require.NoError(t, replica.Pause())
	ctx := t.Context()
	id := store.OnceID{Space: "test", ID: "request-1", Value: "team-a", Expires: noon.Add(time.Hour)}
	for _, change := range []struct {
		name         string
		notification store.NotificationKind // that of a heartbeat if the change sends none
		make         func() error
		made         func() bool
	}{
		{"create", store.NotificationKey, func() error {
			return s.Keys.Create(ctx, newKey("team-a", "key-1"), store.NoLimit, store.Change{Now: noon})
		}, func() bool { _, err := s.Keys.Lookup(ctx, "key-1"); return err == nil }},
		{"delete", store.NotificationKey, func() error { return s.Keys.Delete(ctx, "team-a", "key-1", 0, noon, store.Change{Now: noon}) },
			func() bool { w, err := s.Settings.Workspace(ctx, "team-a"); return err == nil && w.Keys == 0 }},
		{"revoke", store.NotificationToken, func() error { return s.Epochs.Revoke(ctx, "token-1", noon.Add(time.Hour), noon) },
			func() bool {
				n, err := client.Exists(ctx, record("latchkey", "revoked:token-1")).Result()
				return err == nil && n == 1
			}},
		{"spend", store.NotificationHeartbeat, func() error { return s.OnceIDs.Spend(ctx, id, noon) },
			func() bool { _, err := s.OnceIDs.Find(ctx, "test", "request-1", noon); return err == nil }},
	} {
		t.Run(change.name, func(t *testing.T) {
			require.ErrorIs(t, change.make(), store.ErrUnavailable)
			require.True(t, change.made())
			_, gap := w.until(t, func(n store.Notification) bool { return n.Kind == change.notification })
			require.False(t, gap)
		})
	}
	t.Run("a change that the client resends", func(t *testing.T) {
		proxy, err := servers.NewProxy(p.Addr())
		require.NoError(t, err)
		t.Cleanup(proxy.Close)
		through := newDriver(t, newClient(t, proxy.Addr()), redisstore.Config{WaitReplicas: 1, WaitTimeout: 20 * time.Millisecond}).Store()
		for i := range 20 {
			proxy.CutAfter(i * 7)
			err := through.Keys.Create(ctx, newKey("team-b", fmt.Sprint("again-", i)), store.NoLimit, store.Change{Now: noon})
			require.ErrorIs(t, err, store.ErrUnavailable, "no replica has the change")
		}
		w, err := s.Settings.Workspace(ctx, "team-b")
		require.NoError(t, err)
		require.Positive(t, w.Keys)
	})
}

// When a process sees a replica for the first time, it sends its change twice, the second
// time with WAIT. If a failover between the two loses the change, it is made again.
func TestFailoverAtTheFirstReplica(t *testing.T) {
	t.Parallel()
	p, err := servers.StartRedis(t.Context(), t.TempDir(), "--repl-diskless-sync-delay", "0")
	started(t, err)
	t.Cleanup(p.Stop)
	direct := newClient(t, p.Addr())
	follow(t, direct, "online")
	create(t, newDriver(t, direct, redisstore.Config{WaitTimeout: 2 * time.Second}).Store(), "team-a", "key-1") // the server has the script
	client, h := newClient(t, p.Addr()), &hook{}
	h.left.Store(1_000_000)
	h.attach(client)
	s := newDriver(t, client, redisstore.Config{WaitTimeout: 2 * time.Second}).Store()
	_, err = s.Settings.Instance(t.Context())
	require.NoError(t, err, "the connection is open")
	h.sent.Store(0)
	h.before = func(trip int64) {
		if trip == 2 {
			names, err := direct.Keys(context.Background(), "latchkey:*").Result()
			require.NoError(t, err)
			require.NoError(t, direct.Del(context.Background(), names...).Err())
		}
	}
	create(t, s, "team-a", "key-2")
	require.EqualValues(t, 2, h.sent.Load())
	require.Equal(t, "key-2", keyOf(t, s, "key-2").ID)
	require.Len(t, inspect(t, direct, "latchkey")["team-a"].keys, 1)
}

// An acknowledged change is on as many replicas as required, and takes one round trip.
func TestReplicasConfirm(t *testing.T) {
	t.Parallel()
	p, err := servers.StartRedis(t.Context(), t.TempDir(), "--repl-diskless-sync-delay", "0")
	started(t, err)
	t.Cleanup(p.Stop)
	direct := newClient(t, p.Addr())
	var replicas []*redis.Client
	for range 2 {
		replicas = append(replicas, newClient(t, follow(t, direct, "online").Addr()))
	}
	require.Eventually(t, func() bool {
		info, err := direct.Info(context.Background(), "replication").Result()
		return err == nil && strings.Count(info, "state=online") == len(replicas)
	}, patience, 5*time.Millisecond)
	for _, try := range []struct {
		name       string
		wait, have int
		refused    bool
	}{
		{"none", redisstore.WaitNever, 0, false},
		{"one by default", 0, 1, false},
		{"one", 1, 1, false},
		{"two", 2, 2, false},
		{"more than exist", 3, 2, true},
	} {
		t.Run(try.name, func(t *testing.T) {
			ctx, prefix := t.Context(), "waits-"+strings.ReplaceAll(try.name, " ", "-")
			client, h := newClient(t, p.Addr()), &hook{}
			h.left.Store(1_000_000)
			client.AddHook(h)
			cfg := redisstore.Config{Prefix: prefix, WaitReplicas: try.wait, WaitTimeout: 2 * time.Second}
			if try.refused {
				cfg.WaitTimeout = 100 * time.Millisecond
			}
			s := newDriver(t, client, cfg).Store()
			acknowledged := 0
			for i := range 50 {
				h.sent.Store(0)
				id := fmt.Sprint("key-", i)
				err := s.Keys.Create(ctx, newKey("team-a", id), store.NoLimit, store.Change{Now: noon})
				if i > 0 { // the first call may send the script, and sees the replicas
					require.EqualValues(t, 1, h.sent.Load())
				}
				if err != nil {
					require.ErrorIs(t, err, store.ErrUnavailable)
					if try.refused && i == 2 {
						break // each call waits for the whole timeout
					}
					continue
				}
				acknowledged++
				have := 0
				for _, replica := range replicas {
					found, err := replica.HExists(ctx, record(prefix, "keys"), id).Result()
					require.NoError(t, err)
					if found {
						have++
					}
				}
				require.GreaterOrEqual(t, have, try.have)
			}
			require.Equal(t, try.refused, acknowledged == 0)
		})
	}
}
