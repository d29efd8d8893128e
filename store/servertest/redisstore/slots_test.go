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
)

// slotMoves assigns the slot of the records to another master without the client's
// knowledge.
func slotMoves(t *testing.T, client *redis.ClusterClient, nodes []*servers.Process) {
	ctx, keys := context.Background(), "moving:{moving}:keys"
	s := newDriver(t, client, redisstore.Config{Prefix: "moving"}).Store()
	create(t, s, "team-b", "key-b")
	to := migrate(t, client, nodes, keys, func() {}, func(int) {})
	create(t, s, "team-a", "key-a")
	for _, id := range []string{"key-a", "key-b"} {
		require.Equal(t, id, keyOf(t, s, id).ID)
	}
	held, err := to.HLen(ctx, keys).Result()
	require.NoError(t, err)
	require.EqualValues(t, 2, held)
	inspect(t, client, "moving")
}

// slotMigrates moves slots with their keys to another master under load, as resharding
// does. Meanwhile the server refuses calls with several keys. Callers do not notice,
// unless the move takes longer than they wait.
func slotMigrates(t *testing.T, client *redis.ClusterClient, nodes []*servers.Process) {
	for _, wait := range []int{0, redisstore.WaitNever} {
		t.Run(fmt.Sprint("WaitReplicas ", wait), func(t *testing.T) {
			prefix := fmt.Sprint("migrating", wait)
			own, h := redis.NewClusterClient(client.Options()), &hook{}
			t.Cleanup(func() { _ = own.Close() })
			h.left.Store(1_000_000)
			h.attach(own)
			m := migration{t, newDriver(t, own, redisstore.Config{Prefix: prefix, WaitReplicas: wait}).Store(), h}
			m.run(client, nodes, prefix)
			inspect(t, client, prefix)
		})
	}
}

// migration is a store whose slots are moving.
type migration struct {
	*testing.T
	store.Store
	hook *hook
}

func (m migration) run(client *redis.ClusterClient, nodes []*servers.Process, prefix string) {
	create(m.T, m.Store, "team-1", "key-1")
	w := listen(m.T, m.Store)
	require.NoError(m, m.count(m.Context()))
	var l load
	for worker := range 4 {
		l.ended.Go(func() {
			for i := 0; !l.stopped.Load(); i++ {
				l.write(m.Context(), m.Store, fmt.Sprintf("%d-%d", worker, i))
			}
		})
	}
	defer l.stop()
	swift := true
	for i, key := range []string{prefix + ":{" + prefix + "}:keys", usageDays(m.T, client, prefix)} {
		took, err := m.move(client, nodes, key, &l)
		if took > 3*time.Second {
			swift = false
			break
		}
		require.NoError(m, err)
		m.counted(i + 2)
	}
	if swift {
		before := l.acknowledged()
		require.Eventually(m, func() bool { return l.acknowledged() > before+20 }, patience, time.Millisecond)
	}
	l.stop()
	require.Zero(m, l.lost(m.T, m.Store))
	if !swift {
		for _, err := range l.refused {
			require.ErrorIs(m, err, store.ErrUnavailable)
		}
		return
	}
	require.Empty(m, l.refused)
	create(m.T, m.Store, "team-1", "key-last")
	m.announced(w, l.keys, "key-last")
}

// announced reads notifications up to that of the last key. The Cluster may deliver those
// of two masters late or in another order. A missing one shows as a gap.
func (m migration) announced(w *watcher, keys []string, last string) {
	seen := make(map[string]bool)
	_, gap := w.until(m.T, func(n store.Notification) bool { seen[n.Key] = true; return n.Key == last })
	m.Logf("%d keys, notifications of %d, a gap: %t", len(keys), len(seen), gap)
	if !gap {
		for _, key := range keys {
			require.True(m, seen[key], "no notification of %s", key)
		}
	}
}

// move moves the slot of a key under load. It returns how long that took, and the error
// of a caller meanwhile.
func (m migration) move(client *redis.ClusterClient, nodes []*servers.Process, key string, l *load) (time.Duration, error) {
	before := l.acknowledged()
	require.Eventually(m, func() bool { return l.acknowledged() > before+20 }, patience, time.Millisecond)
	begun, result := time.Now(), make(chan error, 1)
	migrate(m.T, client, nodes, key, func() {
		go func() {
			_, err := m.Keys.Lookup(m.Context(), "key-1")
			_, pruned := m.Usage.Prune(m.Context(), noon.AddDate(0, 0, -1))
			result <- errors.Join(err, pruned, m.count(m.Context()),
				m.Keys.Create(m.Context(), newKey("team-1", "during-"+key), store.NoLimit, store.Change{Now: noon}))
		}()
	}, func(moved int) {
		_, err := m.Usage.ByDay(m.Context(), "team-1", "key-1", noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 1))
		require.NoError(m, err)
		if sent := m.hook.sent.Load(); moved < 2 {
			require.Eventually(m, func() bool { return m.hook.sent.Load() > sent+3 }, patience, time.Millisecond)
		}
	})
	took, err := time.Since(begun), <-result
	m.Logf("the slot of %s moved for %s, and its callers waited for %s", key, took, time.Since(begun))
	return took, err
}

// counters is the number of keys with usage counters. It is large enough that all parts
// are used.
const counters = 60

// count counts a login of each key in one call. If the call is sent again because the slot
// of one part is moving, the other parts must not count twice.
func (m migration) count(ctx context.Context) error {
	var counts []store.Count
	for i := range counters {
		counts = append(counts, store.Count{Workspace: "team-1", Key: fmt.Sprint("key-", i), Day: noon, Logins: 1})
	}
	return m.Usage.Add(ctx, counts)
}

// counted checks that the counters show the given number of calls of count.
func (m migration) counted(times int) {
	m.Helper()
	for i := range counters {
		days, err := m.Usage.ByDay(m.Context(), "team-1", fmt.Sprint("key-", i), noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 1))
		require.NoError(m, err)
		require.Len(m, days, 1)
		require.EqualValues(m, times, days[0].Logins)
	}
}

// usageDays returns a Redis key in a slot with usage counters.
func usageDays(t *testing.T, client redis.UniversalClient, prefix string) string {
	t.Helper()
	for _, name := range (inspector{t, client, prefix}).names() {
		if strings.HasSuffix(name, "}:days") {
			return prefix + ":" + name
		}
	}
	t.Fatal("no counters")
	return ""
}

// migrate moves the slot of a key to the master that it returns. It calls begun when the
// slot begins to move, and then halfway with the number of keys moved so far.
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
		most := 1
		if moved > 1 {
			most = 100
		}
		keys, err := from.ClusterGetKeysInSlot(ctx, int(slot), most).Result()
		require.NoError(t, err)
		if len(keys) == 0 {
			break
		}
		command := []any{"migrate", "127.0.0.1", port(t, to.Options().Addr), "", 0, patience.Milliseconds(), "keys"}
		for _, key := range keys {
			command = append(command, key)
		}
		require.NoError(t, from.Do(ctx, command...).Err())
	}
	for _, c := range []*redis.Client{to, from} {
		require.NoError(t, c.Do(ctx, "cluster", "setslot", slot, "node", id(to)).Err())
	}
	return to
}
