package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// startCluster starts three masters for the test.
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
	t.Run("records on one master, usage and limits on all", func(t *testing.T) { distribution(t, client, nodes) })
	t.Run("B19 a master without its replicas", func(t *testing.T) { refusingMaster(t, client) })
	t.Run("a slot that is moving", func(t *testing.T) { slotMigrates(t, client, nodes) })
	t.Run("a slot that has moved", func(t *testing.T) { slotMoves(t, client, nodes) })
}

// distribution writes all kinds of data, and checks which master holds it.
func distribution(t *testing.T, client *redis.ClusterClient, nodes []*servers.Process) {
	const workspaces = 90
	ctx := t.Context()
	s := newDriver(t, client, redisstore.Config{Prefix: "spread"}).Store()
	var counts []store.Count
	for i := range workspaces {
		workspace, id := fmt.Sprint("team-", i), fmt.Sprint("id-", i)
		change := store.Change{
			Now: noon, Once: &store.OnceID{ID: id, Expires: noon.Add(time.Hour)},
			Events: []store.Event{{ID: id, Time: noon, Workspace: workspace}},
		}
		require.NoError(t, s.Keys.Create(ctx, newKey(workspace, id), store.NoLimit, change))
		require.NoError(t, s.Epochs.Revoke(ctx, id, noon.Add(time.Hour), noon))
		_, _, err := s.Limiter.Advance(ctx, id, noon, time.Minute, time.Minute) // which the server keeps for a minute
		require.NoError(t, err)
		counts = append(counts, store.Count{Workspace: "team-1", Key: id, Day: noon, Logins: 1})
	}
	require.NoError(t, s.Usage.Add(ctx, counts))
	inspect(t, client, "spread")
	records, err := client.MasterForKey(ctx, "spread:{spread}:keys")
	require.NoError(t, err)
	for _, node := range nodes {
		held := make(map[string]int)
		for _, name := range (inspector{t, newClient(t, node.Addr()), "spread"}).names() {
			switch kind := kindOf(name); kind {
			case "limit", "day":
				held[kind]++
			case "days", "done":
			default:
				held["records"]++
			}
		}
		t.Logf("on one master: %v", held)
		require.Equal(t, node.Addr() == records.Options().Addr, held["records"] > 0)
		require.Greater(t, held["limit"], workspaces/10)
		require.Greater(t, held["day"], 1)
	}
	page, err := s.Keys.List(ctx, store.KeyQuery{Limit: workspaces})
	require.NoError(t, err)
	require.Len(t, page.Keys, workspaces)
	require.Nil(t, page.Next)
}

// refusingMaster makes one master of three refuse writes, since it may have old data. Calls that
// need only the other masters succeed.
func refusingMaster(t *testing.T, client *redis.ClusterClient) {
	ctx := context.Background()
	s := newDriver(t, client, redisstore.Config{Prefix: "lonely"}).Store()
	create(t, s, "team-a", "key-1")
	at := func(key string) *redis.Client {
		master, err := client.MasterForKey(ctx, key)
		require.NoError(t, err)
		return newClient(t, master.Options().Addr)
	}
	records, limit := at("lonely:{lonely}:keys"), ""
	for i := 0; limit == ""; i++ {
		if id := fmt.Sprint("id-", i); at("lonely:limit:"+id).Options().Addr != records.Options().Addr {
			limit = id
		}
	}
	decisions := map[string]func() error{
		"look up": func() error { _, err := s.Keys.Lookup(ctx, "key-1"); return err },
		"list":    func() error { _, err := s.Keys.List(ctx, store.KeyQuery{}); return err },
		"epochs": func() error {
			_, err := s.Epochs.Read(ctx, store.TokenRef{Workspace: "team-a", Key: "key-1", Credential: "s1-key-1", TokenID: "t"})
			return err
		},
		"settings":  func() error { _, err := s.Settings.Instance(ctx); return err },
		"workspace": func() error { _, err := s.Settings.Workspace(ctx, "team-a"); return err },
		"events":    func() error { _, err := s.Events.List(ctx, store.EventQuery{}); return err },
		"ring":      func() error { _, err := s.SigningKeys.Ring(ctx); return err },
		"lists":     func() error { _, err := s.HostLists.Entries(ctx); return err },
		"one-time id": func() error {
			if _, err := s.OnceIDs.Find(ctx, "space", "id", noon); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		},
	}
	advance := func() error { _, _, err := s.Limiter.Advance(ctx, limit, noon, time.Second, time.Minute); return err }
	for _, try := range []struct {
		name   string
		master *redis.Client
		down   map[string]func() error
		up     map[string]func() error
	}{
		{"of the records", records, decisions, map[string]func() error{"advance": advance}},
		{"of a limit", at("lonely:limit:" + limit), map[string]func() error{"advance": advance}, decisions},
	} {
		t.Run(try.name, func(t *testing.T) {
			require.NoError(t, try.master.ConfigSet(ctx, "min-replicas-to-write", "1").Err())
			for name, call := range try.down {
				require.ErrorIs(t, call(), store.ErrUnavailable, name)
			}
			for name, call := range try.up {
				require.NoError(t, call(), name)
			}
			require.NoError(t, try.master.ConfigSet(ctx, "min-replicas-to-write", "0").Err())
			for name, call := range try.down {
				require.NoError(t, call(), name)
			}
		})
	}
}
