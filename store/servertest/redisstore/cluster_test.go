package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// startCluster starts three masters of the test's own.
func startCluster(t *testing.T) (*redis.ClusterClient, []*servers.Process) {
	t.Helper()
	nodes, err := servers.StartRedisCluster(t.Context(), t.TempDir(), 3)
	started(t, err)
	var addrs []string
	for _, node := range nodes {
		t.Cleanup(node.Stop)
		addrs = append(addrs, node.Addr())
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	return client, nodes
}

func TestContractOnACluster(t *testing.T) {
	t.Parallel()
	client, nodes := startCluster(t)
	n := 0
	storetest.Run(t, func(t *testing.T) store.Store {
		n++
		return newDriver(t, client, redisstore.Config{Prefix: fmt.Sprint("latchkey-", n)}).Store()
	})
	t.Run("workspaces lie on all masters", func(t *testing.T) {
		const workspaces = 90
		s := newDriver(t, client, redisstore.Config{Prefix: "spread"}).Store()
		for i := range workspaces {
			k := newKey(fmt.Sprint("team-", i), fmt.Sprint("key-", i))
			require.NoError(t, s.Keys.Create(t.Context(), k, store.NoLimit, store.Change{Now: noon}))
		}
		for _, node := range nodes {
			held := 0
			own := newClient(t, node.Addr())
			keys := own.Scan(t.Context(), 0, "spread:{w:*}:keys", 1000).Iterator()
			for keys.Next(t.Context()) {
				held++
			}
			require.NoError(t, keys.Err())
			t.Logf("%d of %d workspaces on one master", held, workspaces)
			require.Greater(t, held, workspaces/10)
		}
		page, err := s.Keys.List(t.Context(), store.KeyQuery{Limit: workspaces})
		require.NoError(t, err)
		require.Len(t, page.Keys, workspaces)
		require.Nil(t, page.Next)
	})
	t.Run("B19 a master of the settings without its replicas", func(t *testing.T) { lonely(t, client) })
	t.Run("a slot on its way", func(t *testing.T) { slotMigrates(t, client, nodes) })
	t.Run("a slot that has moved", func(t *testing.T) { slotMoves(t, client, nodes) })
}

// lonely lets one master of three refuse writes: what it says may be long out
// of date, and others stand on it.
func lonely(t *testing.T, client *redis.ClusterClient) {
	ctx := context.Background()
	s := newDriver(t, client, redisstore.Config{Prefix: "lonely"}).Store()
	at := func(key string) string {
		master, err := client.MasterForKey(ctx, key)
		require.NoError(t, err)
		return master.Options().Addr
	}
	// A key whose workspace, and a token whose revocation, would lie on masters
	// of their own.
	var ref store.TokenRef
	places := map[string]string{"settings": at("lonely:{i}:settings")}
	for i := 0; ; i++ {
		ref = store.TokenRef{Workspace: fmt.Sprint("team-", i), Key: "key-1", Secret: "s1", TokenID: fmt.Sprint("token-", i/20)}
		places["key"], places["token"] = at("lonely:{w:"+ref.Workspace+"}:keys"), at("lonely:revoked:"+ref.TokenID)
		if places["key"] != places["settings"] && places["token"] != places["settings"] && places["key"] != places["token"] {
			break
		}
	}
	create(t, s, ref.Workspace, ref.Key)
	for name, addr := range places {
		require.NoError(t, newClient(t, addr).ConfigSet(ctx, "min-replicas-to-write", "1").Err())
		_, err := s.Epochs.Read(ctx, ref)
		require.ErrorIs(t, err, store.ErrUnavailable, "epochs, without the %s", name)
		if name != "token" {
			_, err := s.Keys.Lookup(ctx, ref.Key)
			require.ErrorIs(t, err, store.ErrUnavailable, "a look-up, without the %s", name)
		}
		require.NoError(t, newClient(t, addr).ConfigSet(ctx, "min-replicas-to-write", "0").Err())
		_, err = s.Epochs.Read(ctx, ref)
		require.NoError(t, err)
	}
}

// slotMoves gives a workspace's slot to another master behind the client's
// back.
func slotMoves(t *testing.T, client *redis.ClusterClient, nodes []*servers.Process) {
	ctx, key := context.Background(), "moving:{w:team-a}:keys"
	s := newDriver(t, client, redisstore.Config{Prefix: "moving"}).Store()
	create(t, s, "team-b", "key-b")
	to := migrate(t, client, nodes, key, func() {}, func(int) {})
	create(t, s, "team-a", "key-a")
	found, err := s.Keys.Lookup(ctx, "key-a")
	require.NoError(t, err)
	require.Equal(t, "team-a", found.Key.Workspace)
	held, err := to.HLen(ctx, key).Result()
	require.NoError(t, err)
	require.EqualValues(t, 1, held)
}

// slotMigrates moves slots with what lies in them to another master, as
// resharding does, under load. Meanwhile the server refuses what takes several
// keys; no caller sees it, unless it takes longer than callers wait.
func slotMigrates(t *testing.T, client *redis.ClusterClient, nodes []*servers.Process) {
	ctx := context.Background()
	for _, wait := range []int{0, redisstore.WaitNever} {
		prefix := fmt.Sprint("migrating", wait)
		own, h := redis.NewClusterClient(client.Options()), &hook{}
		t.Cleanup(func() { _ = own.Close() })
		h.left.Store(1_000_000)
		own.AddHook(h)
		s := newDriver(t, own, redisstore.Config{Prefix: prefix, WaitReplicas: wait}).Store()
		create(t, s, "team-1", "key-1")
		w := listen(t, s)
		l := begin(s)
		day := store.Count{Workspace: "team-1", Key: "key-1", Day: noon, Logins: 1}
		require.NoError(t, s.Usage.Add(ctx, []store.Count{day}))
		used := usagePart(t, client, prefix)
		swift := true
		for i, tag := range []string{"w:team-1", "i", used} {
			before := l.acknowledged()
			require.Eventually(t, func() bool { return l.acknowledged() > before+20 }, patience, time.Millisecond)
			begun, result := time.Now(), make(chan error, 1)
			migrate(t, client, nodes, prefix+":{"+tag+"}:keys", func() {
				go func() {
					_, err := s.Keys.Lookup(ctx, "key-1")
					_, pruned := s.Usage.Prune(ctx, noon.AddDate(0, 0, -1))
					result <- errors.Join(err, pruned, s.Usage.Add(ctx, []store.Count{day}),
						s.Keys.Create(ctx, newKey("team-1", "during-"+tag), store.NoLimit, store.Change{Now: noon}))
				}()
			}, func(moved int) {
				_, err := s.Usage.Days(ctx, "team-1", "key-1", noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 1))
				require.NoError(t, err)
				if sent := h.sent.Load(); moved < 2 {
					require.Eventually(t, func() bool { return h.sent.Load() > sent+3 }, patience, time.Millisecond)
				}
			})
			took := time.Since(begun)
			if err := <-result; err != nil || took > time.Second {
				t.Logf("%s was on its way for %s: %v", tag, took, err)
				require.Greater(t, took, time.Second)
				swift = false
				break
			}
			days, err := s.Usage.Days(ctx, "team-1", "key-1", noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 1))
			require.NoError(t, err)
			require.Len(t, days, 1)
			require.EqualValues(t, i+2, days[0].Logins)
		}
		before := l.acknowledged()
		require.Eventually(t, func() bool { return l.acknowledged() > before+20 }, patience, time.Millisecond)
		l.stop()
		require.Zero(t, l.lost(t, s))
		if !swift {
			for _, err := range l.refused {
				require.ErrorIs(t, err, store.ErrUnavailable)
			}
			return
		}
		require.Empty(t, l.refused)
		create(t, s, "team-1", "key-last")
		_, gap := w.until(t, aboutKey("key-last"))
		require.False(t, gap)
	}
}

// migrate moves the slot of a key to the master that it returns. It calls begun
// once the slot is on its way, and then halfway with the number of keys that have
// moved.
func migrate(t *testing.T, client *redis.ClusterClient, nodes []*servers.Process, key string, begun func(), halfway func(moved int)) *redis.Client {
	t.Helper()
	ctx := context.Background()
	slot, err := client.ClusterKeySlot(ctx, key).Result()
	require.NoError(t, err)
	client.ReloadState(ctx)
	from, err := client.MasterForKey(ctx, key)
	require.NoError(t, err)
	var to *redis.Client
	for _, node := range nodes {
		if node.Addr() != from.Options().Addr {
			to = newClient(t, node.Addr())
		}
	}
	id := func(c *redis.Client) string {
		text, err := c.Do(ctx, "cluster", "myid").Text()
		require.NoError(t, err)
		return text
	}
	require.NoError(t, to.Do(ctx, "cluster", "setslot", slot, "importing", id(from)).Err())
	require.NoError(t, from.Do(ctx, "cluster", "setslot", slot, "migrating", id(to)).Err())
	begun()
	for moved := 0; ; moved++ {
		halfway(moved)
		keys, err := from.ClusterGetKeysInSlot(ctx, int(slot), 1).Result()
		require.NoError(t, err)
		if len(keys) == 0 {
			break
		}
		require.NoError(t, from.Migrate(ctx, "127.0.0.1", port(t, to.Options().Addr), keys[0], 0, patience).Err())
	}
	for _, c := range []*redis.Client{to, from} {
		require.NoError(t, c.Do(ctx, "cluster", "setslot", slot, "node", id(to)).Err())
	}
	return to
}

// usagePart is where the only counts of a store lie: one part of several, by
// the key that they are of.
func usagePart(t *testing.T, client redis.UniversalClient, prefix string) string {
	t.Helper()
	for _, name := range (inspector{t, client, prefix}).names() {
		if part, found := strings.CutSuffix(name, "}:days"); found {
			return strings.TrimPrefix(part, "{")
		}
	}
	t.Fatal("no counts")
	return ""
}
