package cache_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// isChange reports whether a call is not a read.
func isChange(call string) bool {
	return !slices.Contains([]string{"Keys.Lookup", "Secrets.LookupSecret", "Epochs.Read", "Settings.Instance", "Settings.Workspace"}, call)
}

// withoutNotifications returns a cache of key-1 whose stream delivers nothing.
func withoutNotifications(t *testing.T) (store.Store, *storetest.Tap) {
	t.Helper()
	tapped, below, tap := newTap()
	create(t, below, newKey("team-a", "key-1"), newKey("team-a", "key-3"))
	stream := newFaultyStream(below.Watch)
	tapped.Watch = stream
	st := cached(t, tapped, patient)
	stream.set(func(l *faultyStream) { l.frozen = true })
	warmAll(t, st)
	return st, tap
}

// warmAll brings every record of changes into the cache.
func warmAll(t *testing.T, st store.Store) {
	t.Helper()
	warm(t, st)
	for _, by := range finders {
		_, err := by.find(background, st, "key-2")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = by.find(background, st, "key-3")
		require.NoError(t, err)
	}
}

// A change through the cache is seen by every read that begins after it returned. Reads
// that begin after it was written, but before it returns, see it, too, unless the old
// record was cached again just before the write.
func TestOwnChangesAreSeenAtOnce(t *testing.T) {
	for _, by := range finders {
		for _, tc := range changes {
			name := tc.name + ", " + by.name
			t.Run(name, func(t *testing.T) {
				st, _ := withoutNotifications(t)
				tc.change(t, st)
				tc.see(t, st, by)
			})
			if tc.name == "RecordUses" {
				continue // last uses may be outdated
			}
			t.Run(name+", written but not returned yet", func(t *testing.T) {
				st, tap := withoutNotifications(t)
				done := 0
				tap.After(func(call string, err error) error {
					if isChange(call) {
						tc.see(t, st, by)
						done++
					}
					return err
				})
				tc.change(t, st)
				require.Equal(t, 1, done)
			})
			t.Run(name+", the old record read before the write", func(t *testing.T) {
				st, tap := withoutNotifications(t)
				tap.Before(func(_ context.Context, call string) error {
					if isChange(call) {
						warmAll(t, st)
					}
					return nil
				})
				tc.change(t, st)
				tc.see(t, st, by)
			})
		}
	}
}

// The other cache gets a change only through its stream.
func TestChangesElsewhereAreSeenAfterTheirNotification(t *testing.T) {
	for _, by := range finders {
		for _, tc := range changes {
			if tc.name == "RecordUses" {
				continue // uses send no notification
			}
			t.Run(tc.name+", "+by.name, func(t *testing.T) {
				below := memstore.New()
				create(t, below, newKey("team-a", "key-1"), newKey("team-a", "key-3"))
				st, other := cached(t, below, patient), cached(t, below, patient)
				warmAll(t, st)
				notifications := listen(t, st)
				tc.change(t, other)
				notifications.await(tc.notifications)
				tc.see(t, st, by)
			})
		}
	}
}

// A record is read again after a change that failed, since it may have been written. Here
// it was written, and the answer was lost.
func TestAFailedChangeIsReadAgain(t *testing.T) {
	st, tap := withoutNotifications(t)
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

// A database that ignores case may return another key than the one asked for. Its notifications
// name the key that it returned. So the record must not be cached under the id that was
// asked for: no notification would invalidate it.
func TestAnotherKeyThanAskedForIsNotCached(t *testing.T) {
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
	notifications := listen(t, st)
	update(t, below, "key-1", disable)
	notifications.await(1)
	_, err := st.Reads().Lookup(background, "key-2") // caches the workspace again
	require.NoError(t, err)
	found, err := st.Reads().Lookup(background, "KEY-1")
	require.NoError(t, err)
	require.True(t, found.Key.Disabled)
}

// Such a record is not cached under its own id either: its stamp would have the version
// of the other id.
func TestAnotherKeyThanAskedForIsNotCachedUnderItsID(t *testing.T) {
	below := memstore.New()
	create(t, below, newKey("team-a", "key-1"))
	caseless := below
	caseless.Keys = caselessKeys{below.Keys}
	st := cached(t, caseless, patient)
	rehash := func(id string) error { return st.Upkeep.Rehash(background, id, "s1-"+id, "d1", "d2") }
	require.ErrorIs(t, rehash("KEY-1"), store.ErrNotFound)
	_, err := st.Reads().Lookup(background, "KEY-1")
	require.NoError(t, err)
	require.NoError(t, rehash("key-1"))
	require.Equal(t, "d2", lookUp(t, st, finders[0]).Key.Credentials[0].Digest)
}

// The same holds for the ids of secrets.
func TestAnotherSecretThanAskedForIsNotCached(t *testing.T) {
	tapped, below, tap := newTap()
	create(t, below, newKey("team-a", "key-1"))
	tapped.Secrets = caselessSecrets{tapped.Secrets}
	st := cached(t, tapped, patient)
	tap.Take()
	for range 2 {
		found, err := st.Reads().LookupSecret(background, "S1-key-1")
		require.NoError(t, err)
		require.Equal(t, "key-1", found.Key.ID)
	}
	require.Equal(t, map[string]int{"Secrets.LookupSecret": 2}, tap.Take())
}

// A key's id can be used again after a purge, and a secret's id at once, in another workspace.
func TestAnotherWorkspaceWithTheSameIDs(t *testing.T) {
	for _, by := range finders {
		t.Run(by.name, func(t *testing.T) {
			st, _ := withoutNotifications(t)
			require.NoError(t, st.Keys.Delete(background, "team-a", "key-1", 0, noon, atNoon))
			_, err := st.Upkeep.Purge(background, noon.Add(time.Hour))
			require.NoError(t, err)
			create(t, st, newKey("team-b", "key-1"))
			require.Equal(t, "team-b", lookUp(t, st, by).Key.Workspace)
			w, err := st.Settings.Workspace(background, "team-b")
			require.NoError(t, err)
			suspend(&w)
			require.NoError(t, st.Settings.SetWorkspace(background, w, atNoon))
			require.True(t, lookUp(t, st, by).Workspace.Suspended)
		})
	}
}

type caselessKeys struct{ store.Keys }

func (k caselessKeys) Lookup(ctx context.Context, id string) (store.Found, error) {
	return k.Keys.Lookup(ctx, strings.ToLower(id))
}

type caselessSecrets struct{ store.Secrets }

func (s caselessSecrets) LookupSecret(ctx context.Context, secretID string) (store.Found, error) {
	return s.Secrets.LookupSecret(ctx, strings.ToLower(secretID))
}
