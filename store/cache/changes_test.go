package cache_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// changing reports whether a call is no read.
func changing(call string) bool {
	return !slices.Contains([]string{"Keys.Lookup", "Epochs.Read", "Settings.Instance", "Settings.Workspace"}, call)
}

// deaf is a cache with key-1 in memory whose stream never tells anything.
func deaf(t *testing.T) (store.Store, *storetest.Tap) {
	t.Helper()
	tapped, below, tap := newTap()
	create(t, below, newKey("team-a", "key-1"), newKey("team-a", "key-3"))
	stream := newLine(below.Watch)
	tapped.Watch = stream
	st := cached(t, tapped, patient)
	stream.set(func(l *line) { l.frozen = true })
	known(t, st)
	return st, tap
}

// known brings all that changes are about into memory.
func known(t *testing.T, st store.Store) {
	t.Helper()
	warm(t, st)
	_, err := st.Reads().Lookup(background, "key-2")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = st.Reads().Lookup(background, "key-3")
	require.NoError(t, err)
}

// What a change through the cache did is seen by every read that begins after
// it returned, and by those that begin after it was written unless the old
// record was read again in between.
func TestOwnChangesAreSeenAtOnce(t *testing.T) {
	for _, tc := range changes {
		t.Run(tc.name, func(t *testing.T) {
			st, _ := deaf(t)
			tc.change(t, st)
			tc.see(t, st)
		})
		if tc.name == "Touch" {
			continue // it tells of nothing that anybody must know
		}
		t.Run(tc.name+", written, its answer on the way", func(t *testing.T) {
			st, tap := deaf(t)
			done := 0
			tap.After(func(call string, err error) error {
				if changing(call) {
					tc.see(t, st)
					done++
				}
				return err
			})
			tc.change(t, st)
			require.Equal(t, 1, done)
		})
		t.Run(tc.name+", the old record read again meanwhile", func(t *testing.T) {
			st, tap := deaf(t)
			tap.Before(func(_ context.Context, call string) error {
				if changing(call) {
					known(t, st)
				}
				return nil
			})
			tc.change(t, st)
			tc.see(t, st)
		})
	}
}

// The other cache knows of a change from its stream only.
func TestChangesElsewhereAreSeenWhenTold(t *testing.T) {
	for _, tc := range changes {
		if tc.name == "Touch" {
			continue // uses are not told
		}
		t.Run(tc.name, func(t *testing.T) {
			below := memstore.New()
			create(t, below, newKey("team-a", "key-1"), newKey("team-a", "key-3"))
			st, elsewhere := cached(t, below, patient), cached(t, below, patient)
			known(t, st)
			heard := watching(t, st)
			tc.change(t, elsewhere)
			heard.await(tc.notices)
			tc.see(t, st)
		})
	}
}

// A change whose outcome is unknown is read again too: here it was written,
// and its answer was lost.
func TestAFailedChangeIsReadAgain(t *testing.T) {
	st, tap := deaf(t)
	tap.After(func(call string, err error) error {
		if call == "Keys.Update" {
			require.NoError(t, err)
			return store.ErrUnavailable
		}
		return err
	})
	found, err := st.Reads().Lookup(background, "key-1")
	require.NoError(t, err)
	disable(&found.Key)
	require.ErrorIs(t, st.Keys.Update(background, found.Key, store.Change{}), store.ErrUnavailable)
	found, err = st.Reads().Lookup(background, "key-1")
	require.NoError(t, err)
	require.True(t, found.Key.Disabled)
}

// A database may take one id for another. What it finds is of the key that is
// there, and so are its notices: under the other name nobody would forget it.
func TestAnotherKeyThanAskedForIsNotKept(t *testing.T) {
	below := memstore.New()
	create(t, below, newKey("team-a", "key-1"), newKey("team-a", "key-2"))
	caseless := below
	caseless.Keys = caselessKeys{below.Keys}
	st := cached(t, caseless, patient)
	for range 2 {
		found, err := st.Reads().Lookup(background, "KEY-1")
		require.NoError(t, err)
		require.Equal(t, "key-1", found.Key.ID)
	}
	heard := watching(t, st)
	update(t, below, "key-1", disable)
	heard.await(1)
	_, err := st.Reads().Lookup(background, "key-2") // brings the workspace back into memory
	require.NoError(t, err)
	found, err := st.Reads().Lookup(background, "KEY-1")
	require.NoError(t, err)
	require.True(t, found.Key.Disabled)
}

// What was read under another name is not kept under the right one either: it would
// depend on how often that other one changed.
func TestAnotherKeyThanAskedForDoesNotStandInForIt(t *testing.T) {
	below := memstore.New()
	create(t, below, newKey("team-a", "key-1"))
	caseless := below
	caseless.Keys = caselessKeys{below.Keys}
	st := cached(t, caseless, patient)
	rehash := func(id string) error { return st.Upkeep.Rehash(background, id, "s1", "d1", "d2") }
	require.ErrorIs(t, rehash("KEY-1"), store.ErrNotFound)
	_, err := st.Reads().Lookup(background, "KEY-1")
	require.NoError(t, err)
	require.NoError(t, rehash("key-1"))
	require.Equal(t, "d2", lookedUp(t, st).Key.Secrets[0].Digest)
}

type caselessKeys struct{ store.Keys }

func (k caselessKeys) Lookup(ctx context.Context, id string) (store.Found, error) {
	return k.Keys.Lookup(ctx, strings.ToLower(id))
}
