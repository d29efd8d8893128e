package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// startSentinel starts a master, replicas and sentinels for the test.
func startSentinel(t *testing.T, replicas int) (*redis.Client, *servers.Sentinel) {
	t.Helper()
	set, err := servers.StartRedisSentinel(t.Context(), t.TempDir(), replicas)
	started(t, err)
	t.Cleanup(set.Stop)
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: set.Name, SentinelAddrs: set.Addrs(), ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { _ = client.Close() })
	return client, set
}

// The master is killed while keys are created and one-time ids are spent. The driver works
// again by itself. The test counts acknowledged writes that are lost.
func TestFailover(t *testing.T) {
	t.Parallel()
	for _, try := range []struct {
		name     string
		wait     int
		lossless bool
	}{
		{"waiting for one replica, by default", 0, true},
		{"waiting for one replica", 1, true},
		{"waiting for none", redisstore.WaitNever, false},
	} {
		if try.wait == 1 && !soak() {
			continue
		}
		t.Run(try.name, func(t *testing.T) {
			t.Parallel()
			client, set := startSentinel(t, 2)
			s := newDriver(t, client, redisstore.Config{WaitReplicas: try.wait}).Store()
			w := listen(t, s)
			l := begin(s)
			require.Eventually(t, func() bool { return l.acknowledged() > 200 }, patience, time.Millisecond)
			require.NoError(t, set.Master.Kill())
			killed, before := time.Now(), l.acknowledged()
			require.ErrorIs(t, w.end(t), store.ErrUnavailable, "the stream ends")
			require.Eventually(t, func() bool { return l.acknowledged() > before+100 }, 3*patience, 10*time.Millisecond)
			t.Logf("100 writes acknowledged again %s after the kill", time.Since(killed))
			l.stop()
			lost := l.lost(t, s)
			t.Logf("%d of %d acknowledged writes are lost", lost, l.acknowledged())
			if try.lossless {
				require.Zero(t, lost)
			}
			listen(t, s).next(t)
		})
	}
}

// A master that has lost its replicas goes on alone, unless changes wait for a replica.
// What it acknowledges alone is lost when a replica takes over.
func TestFailoverToAStaleReplica(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, try := range []struct {
		name string
		wait int
		want int // how many of 20 writes are acknowledged and then lost
	}{
		{"waiting for one if there is any", 0, 20},
		{"waiting for one", 1, 0},
		{"waiting for none", redisstore.WaitNever, 20},
	} {
		if try.wait != 1 && !soak() {
			continue
		}
		t.Run(try.name, func(t *testing.T) {
			t.Parallel()
			client, set := startSentinel(t, 1)
			create(t, newDriver(t, client, redisstore.Config{WaitReplicas: try.wait, WaitTimeout: 2 * time.Second}).Store(), "team-a", "before")
			s := newDriver(t, client, redisstore.Config{WaitReplicas: try.wait, WaitTimeout: 50 * time.Millisecond}).Store()
			master := newClient(t, set.Master.Addr())
			require.NoError(t, master.Do(ctx, "acl", "setuser", "default", "-psync", "-sync").Err())
			require.NoError(t, master.Do(ctx, "client", "kill", "type", "replica").Err())
			acknowledged := 0
			for i := range 20 {
				err := s.Keys.Create(ctx, newKey("team-a", fmt.Sprint("key-", i)), store.NoLimit, store.Change{Now: noon})
				if err == nil {
					acknowledged++
				} else {
					require.ErrorIs(t, err, store.ErrUnavailable)
				}
			}
			require.Equal(t, try.want, acknowledged)
			require.NoError(t, set.Master.Kill())
			var page store.KeyPage
			require.Eventually(t, func() bool {
				var err error
				page, err = s.Keys.List(ctx, store.KeyQuery{})
				return err == nil
			}, 3*patience, 10*time.Millisecond)
			require.Len(t, page.Keys, 1, "only the replica's keys exist")
			require.Equal(t, "before", page.Keys[0].ID)
			t.Logf("%d of %d acknowledged writes are lost", acknowledged, acknowledged+1)
		})
	}
}

// load creates keys and spends one-time ids until it is stopped.
type load struct {
	ended   sync.WaitGroup
	stopped atomic.Bool
	mu      sync.Mutex
	keys    []string
	ids     []store.OnceID
	refused []error
}

func begin(s store.Store) *load {
	l := &load{}
	for worker := range 4 {
		l.ended.Go(func() {
			for i := 0; !l.stopped.Load(); i++ {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				l.write(ctx, s, fmt.Sprintf("%d-%d", worker, i))
				cancel()
			}
		})
	}
	return l
}

func (l *load) write(ctx context.Context, s store.Store, name string) {
	id := store.OnceID{Space: "load", ID: name, Expires: noon.AddDate(10, 0, 0)}
	keyed := s.Keys.Create(ctx, newKey("team-"+name[:1], name), store.NoLimit, store.Change{Now: noon})
	spent := s.OnceIDs.Spend(ctx, id, noon)
	l.mu.Lock()
	defer l.mu.Unlock()
	if keyed == nil {
		l.keys = append(l.keys, name)
	}
	if spent == nil {
		l.ids = append(l.ids, id)
	}
	if err := errors.Join(keyed, spent); err != nil {
		l.refused = append(l.refused, err)
	}
}

func (l *load) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.keys) + len(l.ids)
}

func (l *load) stop() {
	l.stopped.Store(true)
	l.ended.Wait()
}

// lost returns the number of acknowledged writes that are missing.
func (l *load) lost(t *testing.T, s store.Store) int {
	t.Helper()
	lost := 0
	for _, id := range l.keys {
		if _, err := s.Keys.Lookup(context.Background(), id); err != nil {
			require.ErrorIs(t, err, store.ErrNotFound)
			lost++
		}
	}
	for _, id := range l.ids {
		if err := s.OnceIDs.Spend(context.Background(), id, noon); err == nil {
			lost++
		} else {
			require.ErrorIs(t, err, store.ErrExists)
		}
	}
	return lost
}
