package cache_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
)

func recordUse(t testing.TB, st store.Store, at time.Time) {
	t.Helper()
	require.NoError(t, st.Upkeep.RecordUses(background, []store.Use{{Key: "key-1", Credential: "s2-key-1", At: at}}))
}

// A use only raises the times of a cached record, and does not make it valid for longer.
func TestUsesOfCachedKeys(t *testing.T) {
	for _, by := range finders {
		t.Run(by.name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { testUses(t, by) }) })
	}
}

func testUses(t *testing.T, by finder) {
	tapped, below, tap := newTap()
	create(t, below, newKey("team-a", "key-1"))
	st := cached(t, tapped, patient)
	lookUp(t, st, by)
	recordUse(t, st, noon.Add(time.Hour))
	recordUse(t, st, noon)
	tap.Take()
	held := lookUp(t, st, by)
	require.Empty(t, tap.Take())
	require.Equal(t, noon.Add(time.Hour), held.Key.LastUsed)
	require.Equal(t, noon.Add(time.Hour), held.Key.Credentials[1].LastUsed)
	require.Zero(t, held.Key.Credentials[0].LastUsed)
	require.Equal(t, stored(t, below), held)
	pass(40 * time.Second)
	recordUse(t, st, noon.Add(2*time.Hour))
	pass(20 * time.Second)
	tap.Take()
	lookUp(t, st, by)
	require.Equal(t, map[string]int{by.call: 1}, tap.Take())
}

// Uses and look-ups run at the same time, for the race detector.
func TestUsesBesideLookups(t *testing.T) {
	tapped, below, _ := newTap()
	create(t, below, newKey("team-a", "key-1"))
	st := cached(t, tapped, patient)
	var both sync.WaitGroup
	both.Go(func() {
		for i := range 500 {
			recordUse(t, st, noon.Add(time.Duration(i)*time.Second))
		}
	})
	both.Go(func() {
		for i := range 500 {
			lookUp(t, st, finders[i%2])
		}
	})
	both.Wait()
}

// The cache never holds more keys than the configuration says.
func TestEntriesAreBounded(t *testing.T) {
	tapped, below, tap := newTap()
	const keys, held = 200, 64
	for i := range keys {
		create(t, below, newKey("team-a", fmt.Sprint("key-", i)))
	}
	st := cached(t, tapped, cache.Config{Bound: time.Minute, Entries: held, Logger: quiet})
	tap.Take()
	for _, by := range finders {
		for range 2 {
			for i := range keys {
				_, err := by.find(background, st, fmt.Sprint("key-", i))
				require.NoError(t, err)
			}
		}
		require.GreaterOrEqual(t, tap.Take()[by.call], keys+keys-held)
	}
}
