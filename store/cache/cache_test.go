package cache_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestConfig(t *testing.T) {
	st := memstore.New()
	lacking := st
	lacking.Watch, lacking.Keys = nil, nil
	for _, tc := range []struct {
		name  string
		store store.Store
		cfg   cache.Config
		want  []string
	}{
		{"bound too short", st, cache.Config{Bound: 499 * time.Millisecond}, []string{"Config.Bound is 499ms", "500ms to 1m"}},
		{"bound too long", st, cache.Config{Bound: 61 * time.Second}, []string{"Config.Bound is 1m1s"}},
		{"too few entries", st, cache.Config{Entries: 63}, []string{"Config.Entries is 63", "64 to 10000000"}},
		{"too many entries", st, cache.Config{Entries: 10_000_001}, []string{"Config.Entries is 10000001"}},
		{"misses too long", st, cache.Config{MissFor: 2 * time.Minute}, []string{"Config.MissFor is 2m0s"}},
		{"fields missing", lacking, cache.Config{}, []string{"Store.Keys is missing", "Store.Watch"}},
		{"a stream of epochs that live beside the keys", st, cache.Config{EpochsWatch: st.Watch}, []string{"Config.EpochsWatch"}},
		{"all at once", lacking, cache.Config{Bound: -1, Entries: -1}, []string{"Config.Bound", "Config.Entries", "Store.Keys"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := cache.New(tc.store, tc.cfg)
			for _, part := range tc.want {
				require.ErrorContains(t, err, part)
			}
		})
	}
	t.Run("what is missing below stays missing", func(t *testing.T) {
		st := memstore.New()
		st.Upkeep, st.Epochs = nil, nil
		c, err := cache.New(st, cache.Config{})
		require.NoError(t, err)
		require.Nil(t, c.Store().Upkeep)
		require.Nil(t, c.Store().Epochs)
	})
}

func TestSecondReadsComeFromMemory(t *testing.T) {
	tapped, below, tap := newTap()
	create(t, below, newKey("team-a", "key-1"), newKey("team-a", "key-2"), newKey("team-b", "key-3"))
	st := cached(t, tapped, patient)
	tap.take()
	for range 100 {
		for _, id := range []string{"key-1", "key-2", "key-3"} {
			got, err := st.Keys.Lookup(background, id)
			require.NoError(t, err)
			want, err := below.Keys.Lookup(background, id)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		_, err := st.Keys.Lookup(background, "unknown")
		require.ErrorIs(t, err, store.ErrNotFound)
		for _, id := range []string{"team-a", "team-b", "team-c"} {
			w, err := st.Settings.Workspace(background, id)
			require.NoError(t, err)
			require.Equal(t, id, w.ID)
		}
		_, err = st.Settings.Instance(background)
		require.NoError(t, err)
		state, err := st.Epochs.Read(background, token("key-1"))
		require.NoError(t, err)
		require.Equal(t, store.EpochState{Key: 1, SecretKnown: true}, state)
		_, err = st.Epochs.Read(background, token("unknown"))
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	require.Equal(t, map[string]int{"Lookup": 4, "Workspace": 1, "Epochs": 2}, tap.take(),
		"a look-up brings its settings: only the third workspace is read by itself")
}

func TestRecordsAreCopiedOut(t *testing.T) {
	tapped, below, _ := newTap()
	create(t, below, newKey("team-a", "key-1"))
	st := cached(t, tapped, patient)
	for range 3 {
		found, err := st.Keys.Lookup(background, "key-1")
		require.NoError(t, err)
		require.Equal(t, "d1", found.Key.Secrets[0].Digest)
		require.Equal(t, "https://one.example.com", found.Key.Resources[0])
		found.Key.Secrets[0].Digest, found.Key.Resources[0] = "", ""
	}
}

// What a change through the cache did is seen by every read that begins after
// it returned, whatever was held before.
func TestOwnChangesAreSeenAtOnce(t *testing.T) {
	change := store.Change{Now: noon}
	key := func(t *testing.T, st store.Store) store.Found {
		t.Helper()
		found, err := st.Keys.Lookup(background, "key-1")
		require.NoError(t, err)
		return found
	}
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, st store.Store)
		see    func(t *testing.T, st store.Store)
	}{
		{"Create", func(t *testing.T, st store.Store) {
			_, err := st.Keys.Lookup(background, "key-2")
			require.ErrorIs(t, err, store.ErrNotFound)
			create(t, st, newKey("team-a", "key-2"))
		}, func(t *testing.T, st store.Store) {
			_, err := st.Keys.Lookup(background, "key-2")
			require.NoError(t, err, "an id just created works at once")
			require.Equal(t, 2, key(t, st).Workspace.Keys)
		}},
		{"Update", func(t *testing.T, st store.Store) { update(t, st, "key-1", disable) }, func(t *testing.T, st store.Store) {
			require.True(t, key(t, st).Key.Disabled)
			state, err := st.Epochs.Read(background, token("key-1"))
			require.NoError(t, err)
			require.EqualValues(t, 2, state.Key)
		}},
		{"Delete", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Keys.Delete(background, "team-a", "key-1", 0, noon, change))
		}, func(t *testing.T, st store.Store) {
			_, err := st.Keys.Lookup(background, "key-1")
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = st.Epochs.Read(background, token("key-1"))
			require.ErrorIs(t, err, store.ErrNotFound)
			w, err := st.Settings.Workspace(background, "team-a")
			require.NoError(t, err)
			require.Zero(t, w.Keys)
		}},
		{"Rehash", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Upkeep.Rehash(background, "key-1", "s1", "d1", "better"))
		}, func(t *testing.T, st store.Store) {
			require.Equal(t, "better", key(t, st).Key.Secrets[0].Digest)
		}},
		{"Touch", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Upkeep.Touch(background, []store.Use{{Key: "key-1", Secret: "s2", At: noon}}))
		}, func(t *testing.T, st store.Store) {
			require.Equal(t, noon, key(t, st).Key.LastUsed)
			require.Equal(t, noon, key(t, st).Key.Secrets[1].LastUsed)
			require.Zero(t, key(t, st).Key.Secrets[0].LastUsed)
		}},
		{"SetInstance", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Settings.SetInstance(background, store.Instance{KeysOff: true, Epoch: 3}, change))
		}, func(t *testing.T, st store.Store) {
			require.True(t, key(t, st).Instance.KeysOff)
			state, err := st.Epochs.Read(background, token("key-1"))
			require.NoError(t, err)
			require.EqualValues(t, 3, state.Instance)
		}},
		{"SetWorkspace", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Suspended: true, Epoch: 3}, change))
		}, func(t *testing.T, st store.Store) {
			require.True(t, key(t, st).Workspace.Suspended)
			state, err := st.Epochs.Read(background, token("key-1"))
			require.NoError(t, err)
			require.EqualValues(t, 3, state.Workspace)
		}},
		{"DeleteWorkspace", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Settings.DeleteWorkspace(background, "team-a", noon, change))
		}, func(t *testing.T, st store.Store) {
			_, err := st.Keys.Lookup(background, "key-1")
			require.ErrorIs(t, err, store.ErrNotFound)
			_, err = st.Epochs.Read(background, token("key-1"))
			require.ErrorIs(t, err, store.ErrNotFound)
		}},
		{"Raise", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Epochs.Raise(background, store.Mark{Epoch: 5}, store.Mark{Workspace: "team-a", Epoch: 6},
				store.Mark{Workspace: "team-a", Key: "key-1", Epoch: 7}))
		}, func(t *testing.T, st store.Store) {
			state, err := st.Epochs.Read(background, token("key-1"))
			require.NoError(t, err)
			require.Equal(t, store.EpochState{Instance: 5, Workspace: 6, Key: 7, SecretKnown: true}, state)
			found := key(t, st)
			require.Equal(t, [3]int64{5, 6, 7}, [3]int64{found.Instance.Epoch, found.Workspace.Epoch, found.Key.Epoch})
		}},
		{"Revoke", func(t *testing.T, st store.Store) {
			require.NoError(t, st.Epochs.Revoke(background, token("key-1").TokenID, noon.AddDate(100, 0, 0), noon))
		}, func(t *testing.T, st store.Store) {
			state, err := st.Epochs.Read(background, token("key-1"))
			require.NoError(t, err)
			require.True(t, state.Revoked)
		}},
	} {
		// The stream of one arrives nowhere: what it sees it knows by itself.
		t.Run(tc.name+" here", func(t *testing.T) {
			below := memstore.New()
			create(t, below, newKey("team-a", "key-1"))
			deaf := newLine(below.Watch)
			below.Watch = deaf
			st := cached(t, below, patient)
			deaf.set(func(l *line) { l.frozen = true })
			warm(t, st)
			tc.change(t, st)
			tc.see(t, st)
		})
		// The other knows it from its stream only.
		t.Run(tc.name+" elsewhere", func(t *testing.T) {
			if tc.name == "Touch" {
				t.Skip("uses are not told")
			}
			below := memstore.New()
			create(t, below, newKey("team-a", "key-1"))
			st, elsewhere := cached(t, below, patient), cached(t, below, patient)
			warm(t, st)
			_, err := st.Keys.Lookup(background, "key-2")
			require.ErrorIs(t, err, store.ErrNotFound)
			heard := watching(t, st)
			tc.change(t, elsewhere)
			notices := 1
			if tc.name == "Raise" {
				notices = 3
			}
			heard.await(notices)
			tc.see(t, st)
		})
	}
}

// warm reads all that is cached of key-1.
func warm(t testing.TB, st store.Store) {
	t.Helper()
	for range 2 {
		_, err := st.Keys.Lookup(background, "key-1")
		require.NoError(t, err)
		_, err = st.Epochs.Read(background, token("key-1"))
		require.NoError(t, err)
	}
}

// A change whose outcome is unknown is read again too: here it was written,
// and its answer was lost.
func TestAFailedChangeIsReadAgain(t *testing.T) {
	below := memstore.New()
	create(t, below, newKey("team-a", "key-1"))
	deaf := newLine(below.Watch)
	below.Watch, below.Keys = deaf, lostAnswers{below.Keys}
	st := cached(t, below, patient)
	deaf.set(func(l *line) { l.frozen = true })
	found, err := st.Keys.Lookup(background, "key-1")
	require.NoError(t, err)
	disable(&found.Key)
	require.ErrorIs(t, st.Keys.Update(background, found.Key, store.Change{}), store.ErrUnavailable)
	found, err = st.Keys.Lookup(background, "key-1")
	require.NoError(t, err)
	require.True(t, found.Key.Disabled)
}

func TestUnknownIDsLeaveRoomForKeys(t *testing.T) {
	tapped, below, tap := newTap()
	const many = 500
	for i := range many {
		create(t, below, newKey("team-a", fmt.Sprint("key-", i)))
	}
	st := cached(t, tapped, patient)
	for i := range many {
		_, err := st.Keys.Lookup(background, fmt.Sprint("key-", i))
		require.NoError(t, err)
	}
	for i := range 20_000 {
		_, err := st.Keys.Lookup(background, fmt.Sprint("unknown-", i))
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	tap.take()
	for i := range many {
		_, err := st.Keys.Lookup(background, fmt.Sprint("key-", i))
		require.NoError(t, err)
	}
	// A full bucket may have cost a few their place from the start.
	require.LessOrEqual(t, tap.take()["Lookup"], many/50, "the flood must not push keys out")
}
