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

// Epochs, limits and one-time ids may come from another store than the keys.
func TestContractWithEpochsOfAnotherStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store {
		s, other := memstore.New(), memstore.New()
		s.Epochs, s.Usage, s.Limiter = other.Epochs, other.Usage, other.Limiter
		return s
	})
}

// A page is put together in stretches of 512 keys; none is lost or doubled
// where they meet, whatever a condition leaves out.
func TestLongLists(t *testing.T) {
	s, _ := filled(t, 5000)
	ctx := context.Background()
	for i := range 2000 {
		k := realisticKey(10_000 + i)
		k.Workspace, k.Disabled = "workspace-1", i%700 == 0
		require.NoError(t, s.Keys.Create(ctx, k, store.NoLimit, store.Change{}))
	}
	disabled, enabled := true, false
	for _, try := range []struct {
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
		for _, sort := range []store.KeySort{store.ByCreated, store.ByName, store.ByLastUsed} {
			if sort == store.ByLastUsed && try.q.Workspace == "" {
				continue
			}
			for _, descending := range []bool{false, true} {
				for _, limit := range []int{511, 512, 1000} {
					q := try.q
					q.Sort, q.Descending, q.Limit = sort, descending, limit
					seen := make(map[string]bool)
					for {
						page, err := s.Keys.List(ctx, q)
						require.NoError(t, err)
						for _, k := range page.Keys {
							require.False(t, seen[k.ID], "%s: shown twice", try.name)
							seen[k.ID] = true
						}
						if q.After = page.Next; q.After == nil {
							break
						}
					}
					require.Len(t, seen, try.want, "%s by %s, pages of %d", try.name, sort, limit)
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
	_, err := s.Keys.List(context.Background(), store.KeyQuery{Workspace: "large", Sort: store.ByExpiry})
	require.ErrorContains(t, err, "10000 keys")
	require.NoError(t, s.Keys.Delete(context.Background(), "large", realisticKey(0).ID, 0, start, store.Change{}))
	_, err = s.Keys.List(context.Background(), store.KeyQuery{Workspace: "large", Sort: store.ByExpiry})
	require.NoError(t, err)
}

// What Lookup brings is all of one moment: the workspace's epoch is always
// raised before the key's, by one.
func TestLookupIsOneMoment(t *testing.T) {
	s, ctx := memstore.New(), context.Background()
	k := realisticKey(1)
	require.NoError(t, s.Keys.Create(ctx, k, store.NoLimit, store.Change{}))
	require.NoError(t, s.Epochs.Raise(ctx, store.Mark{Workspace: k.Workspace, Epoch: 1}))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				found, err := s.Keys.Lookup(ctx, k.ID)
				if ahead := found.Workspace.Epoch - found.Key.Epoch; err != nil || ahead < 0 || ahead > 1 {
					t.Errorf("workspace %d, key %d: %v", found.Workspace.Epoch, found.Key.Epoch, err)
					return
				}
				state, err := s.Epochs.Read(ctx, store.TokenRef{Workspace: k.Workspace, Key: k.ID})
				if ahead := state.Workspace - state.Key; err != nil || ahead < 0 || ahead > 1 {
					t.Errorf("workspace %d, key %d: %v", state.Workspace, state.Key, err)
					return
				}
			}
		})
	}
	for i := range int64(2000) {
		w := store.Workspace{ID: k.Workspace, Version: i, Epoch: i + 2}
		require.NoError(t, s.Settings.SetWorkspace(ctx, w, store.Change{}))
		k.Version, k.Epoch = i+1, i+2
		require.NoError(t, s.Keys.Update(ctx, k, store.Change{}))
	}
	close(done)
	readers.Wait()
}

func TestASlowWatcherHoldsNobodyUp(t *testing.T) {
	s, ctx := memstore.New(), context.Background()
	ready, stuck, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	var got []uint64
	go func() {
		ended <- s.Watch.Watch(ctx, func() { close(ready) }, func(n store.Notice) {
			<-stuck
			if n.Kind != store.NoticeHeartbeat {
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

// Keys that came and went leave nothing after a purge: neither workspaces nor
// sets of permissions.
func TestWhatIsGoneLeavesNothing(t *testing.T) {
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
			require.Zero(t, n, "the instant is kept to the microsecond")
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

func TestEpochsOfKeysElsewhere(t *testing.T) {
	ctx := context.Background()
	mark := store.Mark{Workspace: "team-a", Key: "key-1", Epoch: 3, Secrets: []store.SecretEnd{{ID: "s1"}}}
	ref := store.TokenRef{Workspace: "team-a", Key: "key-1", Secret: "s1"}

	t.Run("only the Keys of the same New come with their epochs", func(t *testing.T) {
		s := memstore.New()
		require.True(t, s.Epochs.With(s.Keys))
		require.False(t, s.Epochs.With(memstore.New().Keys))
		require.False(t, s.Epochs.With(nil))
	})
	t.Run("a mark stands for the key and names its live secrets", func(t *testing.T) {
		s := memstore.New()
		require.NoError(t, s.Epochs.Raise(ctx, mark))
		state, err := s.Epochs.Read(ctx, ref)
		require.NoError(t, err)
		require.Equal(t, store.EpochState{Key: 3, SecretKnown: true}, state)
		require.NoError(t, s.Epochs.Raise(ctx, store.Mark{Workspace: "team-a", Key: "key-1", Epoch: 2}))
		state, err = s.Epochs.Read(ctx, ref)
		require.NoError(t, err)
		require.Equal(t, store.EpochState{Key: 3}, state)
	})
	t.Run("a mark from a foreign workspace is refused, with all that came with it", func(t *testing.T) {
		s := memstore.New()
		require.NoError(t, s.Epochs.Raise(ctx, mark))
		require.NoError(t, s.Keys.Create(ctx, realisticKey(1), store.NoLimit, store.Change{}))
		for _, key := range []string{"key-1", realisticKey(1).ID} {
			err := s.Epochs.Raise(ctx, store.Mark{Epoch: 9}, store.Mark{Workspace: "team-b", Key: key, Epoch: 9})
			require.ErrorIs(t, err, store.ErrNotFound)
		}
		state, err := s.Epochs.Read(ctx, ref)
		require.NoError(t, err)
		require.Equal(t, store.EpochState{Key: 3, SecretKnown: true}, state)
	})
	t.Run("a key that comes in later starts no lower than its mark", func(t *testing.T) {
		s := memstore.New()
		require.NoError(t, s.Epochs.Raise(ctx, mark))
		require.NoError(t, s.Keys.Create(ctx, store.Key{ID: "key-1", Workspace: "team-a"}, store.NoLimit, store.Change{}))
		found, err := s.Keys.Lookup(ctx, "key-1")
		require.NoError(t, err)
		require.EqualValues(t, 3, found.Key.Epoch)
	})
	t.Run("a mark of another workspace says nothing of a key", func(t *testing.T) {
		s := memstore.New()
		require.NoError(t, s.Epochs.Raise(ctx, mark))
		require.NoError(t, s.Keys.Create(ctx, store.Key{ID: "key-1", Workspace: "team-b"}, store.NoLimit, store.Change{}))
		found, err := s.Keys.Lookup(ctx, "key-1")
		require.NoError(t, err)
		require.EqualValues(t, 1, found.Key.Epoch)
		_, err = s.Epochs.Read(ctx, ref)
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("a mark does not bring a deleted key back", func(t *testing.T) {
		s := memstore.New()
		require.NoError(t, s.Keys.Create(ctx, store.Key{ID: "key-1", Workspace: "team-a"}, store.NoLimit, store.Change{}))
		require.NoError(t, s.Keys.Delete(ctx, "team-a", "key-1", 0, start, store.Change{}))
		require.NoError(t, s.Epochs.Raise(ctx, mark))
		_, err := s.Epochs.Read(ctx, ref)
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}
