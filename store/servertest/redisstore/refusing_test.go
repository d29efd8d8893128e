package redisstore_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// A server that refuses writes because it was demoted, or because it lost its replicas,
// may have old data, so all calls fail. A server that is full has current data: it
// answers reads, and makes only changes that need no memory.
func TestServersThatRefuseWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := servers.StartRedis(t.Context(), dir)
	started(t, err)
	t.Cleanup(p.Stop)
	direct := newClient(t, p.Addr())
	ctx := context.Background()
	config := func(pairs ...string) func() {
		return func() {
			for i := 0; i < len(pairs); i += 2 {
				require.NoError(t, direct.ConfigSet(ctx, pairs[i], pairs[i+1]).Err())
			}
		}
	}
	replicaOf := func(host, port string) func() {
		return func() { require.NoError(t, direct.ReplicaOf(ctx, host, port).Err()) }
	}
	for _, try := range []struct {
		name       string
		hurt, heal func()
		answers    bool // it answers reads, and refuses changes that the records do not allow
		streams    bool
		whenFull   bool
	}{
		{name: "B19 demoted", hurt: replicaOf("127.0.0.1", "1"), heal: replicaOf("no", "one")},
		{name: "B19 without its replicas", hurt: config("min-replicas-to-write", "1"), heal: config("min-replicas-to-write", "0")},
		{name: "B19 its memory is full", hurt: config("maxmemory", "1"), heal: config("maxmemory", "0"), answers: true, streams: true, whenFull: true},
		// It also refuses the stream's pings.
		{name: "B19 its disk is full", answers: true, hurt: func() {
			config("save", "3600 1")()
			snapshotsFail(t, direct, dir)
		}, heal: config("save", "")},
	} {
		t.Run(try.name, func(t *testing.T) {
			prefix := newPrefix(t, direct)
			cfg := redisstore.Config{Prefix: prefix}
			s := newDriver(t, newClient(t, p.Addr()), cfg).Store()
			fillForCalls(t, s)
			w := listen(t, s)
			try.hurt()
			healed := false
			heal := func() {
				if !healed {
					healed = true
					try.heal()
				}
			}
			defer heal() // the next case begins with a working server
			before := contents(t, direct, prefix)
			refused := func(name string, err error) {
				t.Helper()
				require.ErrorIs(t, err, store.ErrUnavailable, name)
				for _, contract := range []error{store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrLimit} {
					require.NotErrorIs(t, err, contract, name)
				}
			}
			for _, c := range slices.Concat(readCalls, refusedCalls) {
				if err := c.do(ctx, s); try.answers {
					require.ErrorIs(t, err, c.want, c.name)
				} else {
					refused(c.name, err)
				}
			}
			for _, c := range changeCalls {
				if !try.whenFull || !c.whenFull {
					refused(c.name, c.do(ctx, s))
				}
			}
			after := contents(t, direct, prefix)
			require.Empty(t, written(before, after))
			for name := range before {
				if _, found := after[name]; !found {
					require.Contains(t, name, ":done:", "it has not expired")
				}
			}
			if try.streams {
				for range 5 {
					require.Equal(t, store.NotificationHeartbeat, w.next(t).Kind)
				}
				listen(t, s).next(t)
			} else {
				refused("the stream", w.untilEnd(t))
				heard := func() { require.True(t, try.answers, "a new stream must not begin") }
				refused("another stream", s.Watch.Watch(ctx, heard, func(store.Notification) { heard() }))
			}
			for _, c := range changeCalls {
				if try.whenFull && c.whenFull {
					require.NoError(t, c.do(ctx, s), c.name)
				}
			}
			heal()
			for _, c := range changeCalls {
				if !try.whenFull || !c.whenFull {
					require.NoError(t, c.do(ctx, s), "%s, when the server works again", c.name)
				}
			}
		})
	}
}

// snapshotsFail creates a directory with the name of the snapshot's file.
func snapshotsFail(t *testing.T, client *redis.Client, dir string) {
	t.Helper()
	ctx := context.Background()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "dump.rdb"), 0o700))
	require.Eventually(t, func() bool {
		_ = client.BgSave(ctx).Err() // a snapshot may be running already
		info, err := client.Info(ctx, "persistence").Result()
		return err == nil && strings.Contains(info, "rdb_last_bgsave_status:err")
	}, patience, 10*time.Millisecond)
}
