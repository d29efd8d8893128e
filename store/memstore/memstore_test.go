package memstore_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memstore.New() })
}

// Limits, usage and signing keys may come from another store than the records.
func TestContractWithLimitsOfAnotherStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store {
		s, other := memstore.New(), memstore.New()
		s.Usage, s.Limiter = other.Usage, other.Limiter
		return s
	})
}

// A page is read in batches of 512 keys. No key is lost or repeated between batches,
// whatever the conditions of the query leave out.
func TestLongLists(t *testing.T) {
	s, _ := filled(t, 5000)
	ctx := context.Background()
	for i := range 2000 {
		k := realisticKey(10_000 + i)
		k.Workspace, k.Disabled = "workspace-1", i%700 == 0
		require.NoError(t, s.Keys.Create(ctx, k, store.NoLimit, store.Change{}))
	}
	disabled, enabled := true, false
	for _, tc := range []struct {
		name string
		q    store.KeyQuery
		want int
	}{
		{"all", store.KeyQuery{}, 7000},
		{"one workspace", store.KeyQuery{Workspace: "workspace-1"}, 2005},
		{"few of many", store.KeyQuery{Disabled: &disabled}, 3},
		{"most of one workspace", store.KeyQuery{Workspace: "workspace-1", Disabled: &enabled}, 2002},
		{"none", store.KeyQuery{Text: "nowhere"}, 0},
	} {
		for _, sort := range []store.KeySort{store.ByCreated, store.ByName, store.ByExpiry, store.ByLastUsed} {
			if sort == store.ByLastUsed && tc.q.Workspace == "" {
				continue
			}
			for _, descending := range []bool{false, true} {
				for _, limit := range []int{511, 512, 1000} {
					q := tc.q
					q.Sort, q.Descending, q.Limit = sort, descending, limit
					seen := make(map[string]bool)
					for {
						page, err := s.Keys.List(ctx, q)
						require.NoError(t, err)
						for _, k := range page.Keys {
							require.False(t, seen[k.ID], "%s: shown twice", tc.name)
							seen[k.ID] = true
						}
						if q.After = page.Next; q.After == nil {
							break
						}
					}
					require.Len(t, seen, tc.want, "%s by %s, pages of %d", tc.name, sort, limit)
				}
			}
		}
	}
}

func TestSortedListsAreBounded(t *testing.T) {
	s := memstore.New()
	for i := range store.MaxSorted + 1 {
		k := realisticKey(i)
		k.Workspace = "large"
		require.NoError(t, s.Keys.Create(context.Background(), k, store.NoLimit, store.Change{}))
	}
	_, err := s.Keys.List(context.Background(), store.KeyQuery{Workspace: "large", Sort: store.ByLastUsed})
	require.ErrorContains(t, err, "10000 keys")
	_, err = s.Keys.List(context.Background(), store.KeyQuery{Sort: store.ByExpiry})
	require.NoError(t, err)
	require.NoError(t, s.Keys.Delete(context.Background(), "large", realisticKey(0).ID, 0, start, store.Change{}))
	_, err = s.Keys.List(context.Background(), store.KeyQuery{Workspace: "large", Sort: store.ByLastUsed})
	require.NoError(t, err)
}

// Lookup and Read return records as of one moment. The test always changes the
// workspace's record before the key's, so its version may be ahead by one at most.
func TestLookupIsOneMoment(t *testing.T) {
	s, ctx := memstore.New(), context.Background()
	k := realisticKey(1)
	require.NoError(t, s.Keys.Create(ctx, k, store.NoLimit, store.Change{}))
	ref := store.TokenRef{Workspace: k.Workspace, Key: k.ID}
	state := func() (store.EpochState, error) { return s.Epochs.Read(ctx, ref) }
	first, err := state()
	require.NoError(t, err)
	states := map[store.EpochState]bool{first: true} // the states that a reader may see
	var seen [4]map[store.EpochState]bool
	done := make(chan struct{})
	var readers sync.WaitGroup
	for i := range seen {
		seen[i] = map[store.EpochState]bool{}
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				found, err := s.Keys.Lookup(ctx, k.ID)
				if ahead := found.Workspace.Version - found.Key.Version + 1; err != nil || ahead < 0 || ahead > 1 {
					t.Errorf("workspace %d, key %d: %v", found.Workspace.Version, found.Key.Version, err)
					return
				}
				now, err := state()
				if err != nil {
					t.Error(err)
					return
				}
				seen[i][now] = true
			}
		})
	}
	revoking := store.Change{RevokeTokens: true}
	for i := range int64(2000) {
		require.NoError(t, s.Settings.SetWorkspace(ctx, store.Workspace{ID: k.Workspace, Version: i}, revoking))
		between, err := state()
		require.NoError(t, err)
		k.Version = i + 1
		require.NoError(t, s.Keys.Update(ctx, k, revoking))
		after, err := state()
		require.NoError(t, err)
		states[between], states[after] = true, true
	}
	close(done)
	readers.Wait()
	for _, some := range seen {
		for now := range some {
			require.True(t, states[now], "%+v never existed", now)
		}
	}
}

func TestASlowWatcherDelaysNoChange(t *testing.T) {
	s, ctx := memstore.New(), context.Background()
	ready, stuck, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	var got []uint64
	go func() {
		ended <- s.Watch.Watch(ctx, func() { close(ready) }, func(n store.Notification) {
			<-stuck
			if n.Kind != store.NotificationHeartbeat {
				got = append(got, n.Sequence)
			}
		})
	}()
	<-ready
	for i := range 2000 {
		require.NoError(t, s.Keys.Create(ctx, realisticKey(i), store.NoLimit, store.Change{}))
	}
	close(stuck)
	require.ErrorIs(t, <-ended, store.ErrUnavailable)
	require.GreaterOrEqual(t, len(got), 1024)
	for i, n := range got {
		require.EqualValues(t, i+1, n, "no gap before the end")
	}
}

// Deleted keys use no memory after a purge, neither for their workspaces nor for their
// permissions.
func TestPurgedKeysUseNoMemory(t *testing.T) {
	s, ctx := memstore.New(), context.Background()
	before := heap()
	for i := range 20_000 {
		k := realisticKey(i)
		k.Workspace = "brief-" + strconv.Itoa(i)
		k.Permissions = scope.MustParse("only." + k.ID)
		require.NoError(t, s.Keys.Create(ctx, k, store.NoLimit, store.Change{}))
		k.Permissions = scope.MustParse("other." + k.ID)
		k.Version = 1
		require.NoError(t, s.Keys.Update(ctx, k, store.Change{}))
		require.NoError(t, s.Keys.Delete(ctx, k.Workspace, k.ID, 0, start, store.Change{}))
		if i%100 == 99 {
			n, err := s.Upkeep.Purge(ctx, start.Add(1))
			require.NoError(t, err)
			require.Zero(t, n, "the time of deletion is stored to the microsecond")
			n, err = s.Upkeep.Purge(ctx, start.Add(time.Second))
			require.NoError(t, err)
			require.Equal(t, 100, n)
		}
	}
	require.Less(t, heap()-before, int64(500_000))
	runtime.KeepAlive(s)
}

func TestPruneOfManyEvents(t *testing.T) {
	s, ctx := memstore.New(), context.Background()
	for i := range 3000 {
		e := store.Event{ID: strconv.Itoa(i), Time: start.Add(time.Duration(i) * time.Second), Workspace: "team-a"}
		require.NoError(t, s.Events.Append(ctx, e))
	}
	n, err := s.Events.Prune(ctx, start.Add(2500*time.Second))
	require.NoError(t, err)
	require.Equal(t, 2500, n)
	page, err := s.Events.List(ctx, store.EventQuery{Workspace: "team-a", Limit: store.MaxPage})
	require.NoError(t, err)
	require.Len(t, page.Events, 500)
}

func TestRingIsNotDurable(t *testing.T) {
	require.False(t, memstore.New().SigningKeys.Durable())
}

// A workspace without keys and settings takes no place on a page and no memory.
func TestEmptyWorkspacesAreRemoved(t *testing.T) {
	s, ctx := memstore.New(), context.Background()
	for i := range 3 {
		require.NoError(t, s.Keys.Create(ctx, realisticKey(i), store.NoLimit, store.Change{}))
	}
	for i := range 2 {
		require.NoError(t, s.Keys.Delete(ctx, realisticKey(i).Workspace, realisticKey(i).ID, 0, start, store.Change{}))
	}
	page, err := s.Workspaces.List(ctx, "", 1)
	require.NoError(t, err)
	require.Equal(t, store.WorkspacePage{Workspaces: []store.Workspace{{ID: realisticKey(2).Workspace, Keys: 1}}}, page)
}
