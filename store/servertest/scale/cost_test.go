package scale_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// some is the number of keys in these tests.
const some = perWorkspace

func turns() int {
	if soak() {
		return 60
	}
	return 4
}

// lookUp is the query of a look-up as a host would write it.
const lookUp = `SELECT k.id, k.workspace, k.name, k.permissions, k.requested, k.credentials, k.resources, k.not_after, k.not_after_text,
	k.disabled, k.creator_kind, k.creator_id, k.created, k.updated, k.last_used, k.version, k.epoch, k.depth,
	w.suspended, w.deleted, w.max_keys, w.require_expiry, w.max_lifetime, w.enforced_from, w.epoch, w.updated, w.version, w.held,
	i.keys_off, i.max_keys, i.require_expiry, i.max_lifetime, i.enforced_from, i.epoch, i.updated, i.version
	FROM latchkey_keys k JOIN latchkey_workspaces w ON w.id = k.workspace JOIN latchkey_instance i ON i.id = 1 WHERE k.id = `

// bare returns a function that makes a round trip of the database's client with the bytes
// of a look-up, and does not decode the answer.
func bare(t *testing.T, name string, s *site) func(n int) error {
	t.Helper()
	ctx := context.Background()
	if s.redis != nil {
		// The answer of the script, as fields of two hashes.
		k := keyOf(0)
		record := k.Name + permissions.String() + permissions.String() + k.Credentials[0].Digest + k.Credentials[0].ID + strings.Repeat("x", 150)
		require.NoError(t, s.redis.HSet(ctx, "bare", "record", record, "held", "100").Err())
		id := strings.Repeat("x", 150) // as long as the script's hash and the names of its keys
		return func(int) error {
			_, err := s.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
				p.HMGet(ctx, "bare", "record", "a", "b", "c", "d", "held", id)
				p.HMGet(ctx, "bare", "version", "epoch", "body", "deleted")
				return nil
			})
			return err
		}
	}
	text := lookUp + "?"
	if name == "PostgreSQL" {
		text = lookUp + "$1"
	}
	stmt, err := s.db.PrepareContext(ctx, text)
	require.NoError(t, err)
	t.Cleanup(func() { _ = stmt.Close() })
	return func(n int) error {
		rows, err := stmt.QueryContext(ctx, []byte(idOf(n%some)))
		if err != nil {
			return err
		}
		if !rows.Next() {
			return fmt.Errorf("no row: %w", rows.Err())
		}
		return rows.Close()
	}
}

// TestCost prints how much processor time a look-up costs this process beyond its client's
// round trip. The documented value is at most 30 us. The test allows ten times that, and
// checks it only without the race detector.
func TestCost(t *testing.T) {
	for _, r := range rigs[1:] {
		t.Run(r.name, func(t *testing.T) {
			s := r.start(t, nil).open(t)
			require.NoError(t, fill(t.Context(), s.store, 0, some))
			best, err := compare(turns(), bare(t, r.name, s), func(n int) error {
				_, err := s.store.Keys.Lookup(context.Background(), idOf(n%some))
				return err
			})
			require.NoError(t, err)
			floor, whole := best[0], best[1]
			t.Logf("%s: a look-up takes %s (processor %s), the bare round trip %s (%s): ours %s",
				r.name, whole.wall, whole.cpu, floor.wall, floor.cpu, whole.cpu-floor.cpu)
			if !raced {
				require.Less(t, whole.cpu-floor.cpu, 300*time.Microsecond)
			}
		})
	}
}

// TestCached prints the cost of a login through a warm cache, relative to one on memstore.
// The documented ratio is 1.15. The test allows ten times that, and checks it only without
// the race detector.
func TestCached(t *testing.T) {
	for _, r := range rigs {
		t.Run(r.name, func(t *testing.T) {
			below := r.start(t, nil).open(t).store
			c, err := cache.New(below, cache.Config{Bound: time.Minute, Logger: quiet})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			var watching sync.WaitGroup
			watching.Go(func() { c.Run(ctx) })
			defer watching.Wait()
			defer cancel()
			memory := memstore.New()
			there := newLogins(t, memory, memory, some)
			here := newLogins(t, c.Store(), below, some)
			require.Eventually(t, c.Usable, time.Minute, time.Millisecond)
			best, err := compare(turns(), there.once, here.once)
			require.NoError(t, err)
			floor, cached := best[0], best[1]
			wall, cpu := float64(cached.wall)/float64(floor.wall), float64(cached.cpu)/float64(max(1, floor.cpu))
			t.Logf("a login on cache and %s takes %s (processor %s), on memstore %s (%s): %.2fx (%.2fx)", r.name,
				cached.wall, cached.cpu, floor.wall, floor.cpu, wall, cpu)
			if !raced {
				require.Less(t, min(wall, cpu), 11.5)
			}
		})
	}
}
