package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// join starts a server in the Cluster of the given one.
func join(t *testing.T, master *redis.Client) *redis.Client {
	t.Helper()
	ctx := context.Background()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	bus := port(t, l.Addr().String())
	require.NoError(t, l.Close())
	p, err := servers.StartRedis(t.Context(), t.TempDir(), "--cluster-enabled", "yes", "--cluster-port", bus,
		"--cluster-node-timeout", "5000", "--repl-diskless-sync-delay", "0")
	started(t, err)
	t.Cleanup(p.Stop)
	// id host:port@bus,... of each
	known, err := master.ClusterNodes(ctx).Result()
	require.NoError(t, err)
	_, after, _ := strings.Cut(known, master.Options().Addr+"@")
	bus = after[:strings.IndexAny(after, ", ")]
	client := newClient(t, p.Addr())
	require.NoError(t, client.Do(ctx, "cluster", "meet", "127.0.0.1", port(t, master.Options().Addr), bus).Err())
	return client
}

// One of three masters of a Cluster is killed, and its replica takes over. Acknowledged
// changes are not lost. The driver works again by itself, although its client would not
// look for the new master.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	plain, nodes := startCluster(t)
	options := plain.Options()
	options.ClusterStateReloadInterval = time.Hour
	client := redis.NewClusterClient(options)
	t.Cleanup(func() { _ = client.Close() })
	ctx := context.Background()
	s := newDriver(t, client, redisstore.Config{Prefix: "failover"}).Store()
	for _, node := range nodes {
		master := newClient(t, node.Addr())
		id, err := master.Do(ctx, "cluster", "myid").Text()
		require.NoError(t, err)
		replica := join(t, master)
		require.Eventually(t, func() bool { return replica.ClusterReplicate(ctx, id).Err() == nil }, patience, 20*time.Millisecond)
		follows(t, master, "online")
	}
	records, err := client.MasterForKey(ctx, "failover:{failover}:keys")
	require.NoError(t, err)
	for _, with := range []bool{true, false} {
		if !with && !soak() {
			continue
		}
		t.Run(fmt.Sprint("with the records: ", with), func(t *testing.T) {
			w := listen(t, s)
			l := begin(s)
			defer l.stop()
			require.Eventually(t, func() bool { return l.acknowledged() > 200 }, 3*patience, time.Millisecond)
			i := slices.IndexFunc(nodes, func(p *servers.Process) bool { return (p.Addr() == records.Options().Addr) == with })
			require.NoError(t, nodes[i].Kill())
			killed, dead := time.Now(), nodes[i].Addr()
			nodes = slices.Delete(nodes, i, i+1)
			if with {
				require.ErrorIs(t, w.end(t), store.ErrUnavailable, "the stream ends")
			}
			for _, node := range nodes {
				c := newClient(t, node.Addr())
				require.Eventually(t, func() bool { return takenOver(ctx, c, dead) }, 3*patience, 20*time.Millisecond)
			}
			t.Logf("the replica took over %s after the kill", time.Since(killed))
			before := l.acknowledged()
			require.Eventually(t, func() bool {
				err := s.Keys.Create(ctx, newKey("team-a", fmt.Sprint("after-", with)), store.NoLimit, store.Change{Now: noon})
				return err == nil || errors.Is(err, store.ErrExists)
			}, patience, 10*time.Millisecond)
			for i := range 20 { // on all masters
				id := fmt.Sprint("after-", i)
				require.Eventually(t, func() bool {
					_, _, err := s.Limiter.Advance(ctx, id, noon, time.Second, time.Minute)
					return errors.Join(err, s.Usage.Add(ctx, []store.Count{{Key: id, Day: noon, Logins: 1}})) == nil
				}, patience, 10*time.Millisecond)
			}
			require.Eventually(t, func() bool { return l.acknowledged() > before+100 }, patience, 10*time.Millisecond)
			t.Logf("works again %s after the kill", time.Since(killed))
			l.stop()
			lost := l.lost(t, s)
			t.Logf("%d of %d acknowledged writes are lost", lost, l.acknowledged())
			require.Zero(t, lost)
			inspect(t, client, "failover")
			require.Eventually(t, func() bool {
				ctx, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				return s.Watch.Watch(ctx, func() {}, func(store.Notification) { cancel() }) != nil && errors.Is(ctx.Err(), context.Canceled)
			}, patience, 10*time.Millisecond, "new streams work")
		})
	}
}

// takenOver reports whether the node knows a new master for the slots of the dead one.
func takenOver(ctx context.Context, node *redis.Client, dead string) bool {
	shards, err := node.ClusterShards(ctx).Result()
	if err != nil {
		return false
	}
	held := int64(0)
	for _, shard := range shards {
		alive := slices.ContainsFunc(shard.Nodes, func(n redis.Node) bool {
			return n.Role == "master" && net.JoinHostPort(n.IP, strconv.FormatInt(n.Port, 10)) != dead
		})
		for _, part := range shard.Slots {
			if alive {
				held += part.End - part.Start + 1
			}
		}
	}
	return held == 16384
}
