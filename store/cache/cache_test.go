package cache_test

import (
	"cmp"
	"context"
	"fmt"
	"strings"
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
	lacking.Watch, lacking.Keys, lacking.Secrets, lacking.Epochs = nil, nil, nil, nil
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
		{"fields missing", lacking, cache.Config{}, []string{"Store.Keys is missing", "Store.Secrets is missing", "Store.Epochs is missing", "Store.Watch"}},
		{"all at once", lacking, cache.Config{Bound: -1, Entries: -1}, []string{"Config.Bound", "Config.Entries", "Store.Keys"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := cache.New(tc.store, tc.cfg)
			for _, part := range tc.want {
				require.ErrorContains(t, err, part)
			}
		})
	}
	t.Run("fields that are nil stay nil", func(t *testing.T) {
		st := memstore.New()
		st.Upkeep, st.Settings = nil, nil
		c, err := cache.New(st, cache.Config{})
		require.NoError(t, err)
		require.Nil(t, c.Store().Upkeep)
		require.Nil(t, c.Store().Settings)
	})
}

func TestSecondReadsComeFromMemory(t *testing.T) {
	tapped, below, tap := newTap()
	create(t, below, newKey("team-a", "key-1"), newKey("team-a", "key-2"), newKey("team-b", "key-3"))
	st := cached(t, tapped, patient)
	tap.Take()
	for range 100 {
		for _, id := range []string{"key-1", "key-2", "key-3"} {
			for _, by := range finders {
				got, err := by.find(background, st, id)
				require.NoError(t, err)
				want, err := by.find(background, below, id)
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
		}
		_, err := st.Reads().Lookup(background, "unknown")
		require.ErrorIs(t, err, store.ErrNotFound)
		state, err := st.Reads().Read(background, token("key-1"))
		require.NoError(t, err)
		want, err := below.Epochs.Read(background, token("key-1"))
		require.NoError(t, err)
		require.True(t, want.CredentialKnown)
		require.Equal(t, want, state)
		_, err = st.Reads().Read(background, token("unknown"))
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	require.Equal(t, map[string]int{"Keys.Lookup": 4, "Secrets.LookupSecret": 3, "Epochs.Read": 2}, tap.Take())
}

// Unknown ids are cached up to the longest id of a key.
func TestLongUnknownIDsAreNotKept(t *testing.T) {
	tapped, _, tap := newTap()
	st := cached(t, tapped, patient)
	tap.Take()
	for range 3 {
		for _, length := range []int{255, 256} {
			_, err := st.Reads().Lookup(background, strings.Repeat("x", length))
			require.ErrorIs(t, err, store.ErrNotFound)
		}
	}
	require.Equal(t, map[string]int{"Keys.Lookup": 1 + 3}, tap.Take())
}

// A call with an ended context returns its error, even if the record is cached.
func TestEndedContexts(t *testing.T) {
	tapped, below, _ := newTap()
	create(t, below, newKey("team-a", "key-1"))
	st := cached(t, tapped, patient)
	read := func(ctx context.Context) error {
		_, lookup := st.Reads().Lookup(ctx, "key-1")
		_, secret := st.Reads().LookupSecret(ctx, "s1-key-1")
		_, epochs := st.Reads().Read(ctx, token("key-1"))
		return cmp.Or(lookup, secret, epochs)
	}
	require.NoError(t, read(background))
	ended, end := context.WithCancel(background)
	end()
	require.ErrorIs(t, read(ended), context.Canceled)
	_, err := st.Reads().LookupSecret(ended, "s1-key-1")
	require.ErrorIs(t, err, context.Canceled)
	_, err = st.Reads().Read(ended, token("key-1"))
	require.ErrorIs(t, err, context.Canceled)
}

func TestUnknownIDsEvictNoKeys(t *testing.T) {
	tapped, below, tap := newTap()
	const many = 500
	for i := range many {
		create(t, below, newKey("team-a", fmt.Sprint("key-", i)))
	}
	st := cached(t, tapped, patient)
	for i := range many {
		_, err := st.Reads().Lookup(background, fmt.Sprint("key-", i))
		require.NoError(t, err)
	}
	for i := range 20_000 {
		_, err := st.Reads().Lookup(background, fmt.Sprint("unknown-", i))
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	tap.Take()
	for i := range many {
		_, err := st.Reads().Lookup(background, fmt.Sprint("key-", i))
		require.NoError(t, err)
	}
	// A few keys may have been evicted before.
	require.LessOrEqual(t, tap.Take()["Keys.Lookup"], many/50, "unknown ids must not evict keys")
}

func TestWithin(t *testing.T) {
	then := time.Now()
	wall := then.Round(0) // without the monotonic clock
	for _, tc := range []struct {
		name      string
		then, now time.Time
		want      bool
	}{
		{"at once", then, then, true},
		{"just before the end", then, then.Add(time.Second - 1), true},
		{"at the end", then, then.Add(time.Second), false},
		{"then is later than now", then.Add(time.Millisecond), then, true},
		{"the wall clock was set ahead", wall, wall.Add(time.Second), false},
		{"the wall clock was set back", wall, wall.Add(-time.Second), false},
	} {
		t.Run(tc.name, func(t *testing.T) { require.Equal(t, tc.want, cache.Within(tc.then, tc.now, time.Second)) })
	}
}

// Reads on which a change is based go to the store.
func TestOtherReadsGoToTheStore(t *testing.T) {
	tapped, below, tap := newTap()
	create(t, below, newKey("team-a", "key-1"))
	st := cached(t, tapped, patient)
	warm(t, st)
	tap.Take()
	_, err := st.Keys.Lookup(background, "key-1")
	require.NoError(t, err)
	_, err = st.Keys.Lookup(background, "unknown")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = st.Secrets.LookupSecret(background, "s1-key-1")
	require.NoError(t, err)
	_, err = st.Settings.Workspace(background, "team-a")
	require.NoError(t, err)
	_, err = st.Settings.Instance(background)
	require.NoError(t, err)
	_, err = st.Epochs.Read(background, token("key-1"))
	require.NoError(t, err)
	require.Equal(t, map[string]int{"Keys.Lookup": 2, "Secrets.LookupSecret": 1, "Settings.Workspace": 1, "Settings.Instance": 1, "Epochs.Read": 1}, tap.Take())
	warm(t, st)
	require.Empty(t, tap.Take())
}
