package cache_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
)

var atNoon = store.Change{Now: noon}

func lookUp(t *testing.T, st store.Store, by finder) store.Found {
	t.Helper()
	found, err := by.find(background, st, "key-1")
	require.NoError(t, err)
	return found
}

// stored returns key-1 from the store.
func stored(t *testing.T, st store.Store) store.Found {
	t.Helper()
	found, err := st.Keys.Lookup(background, "key-1")
	require.NoError(t, err)
	return found
}

func epochsOf(t *testing.T, st store.Store) store.EpochState {
	t.Helper()
	state, err := st.Reads().Read(background, token("key-1"))
	require.NoError(t, err)
	return state
}

// changes are all changes of cached records, each with a check that it is visible. The
// store has key-1 and key-3, but no key-2.
var changes = []struct {
	name          string
	notifications int
	change        func(t *testing.T, st store.Store)
	see           func(t *testing.T, st store.Store, by finder)
}{
	{"Create", 1, func(t *testing.T, st store.Store) {
		create(t, st, newKey("team-a", "key-2"))
	}, func(t *testing.T, st store.Store, by finder) {
		_, err := by.find(background, st, "key-2")
		require.NoError(t, err, "a created key can be used at once")
		require.Equal(t, 3, lookUp(t, st, by).Workspace.Keys)
	}},
	{"Update", 1, func(t *testing.T, st store.Store) { update(t, st, "key-1", disable) }, func(t *testing.T, st store.Store, by finder) {
		require.True(t, lookUp(t, st, by).Key.Disabled)
		require.Equal(t, stored(t, st).Key.Epoch, lookUp(t, st, by).Key.Epoch)
		require.Equal(t, stored(t, st).Key.Epoch, epochsOf(t, st).Key)
	}},
	{"Update, without a secret", 1, func(t *testing.T, st store.Store) {
		update(t, st, "key-1", func(k *store.Key) { k.Credentials = k.Credentials[1:] })
	}, func(t *testing.T, st store.Store, _ finder) {
		_, err := st.Reads().LookupSecret(background, "s1-key-1")
		require.ErrorIs(t, err, store.ErrNotFound)
		lookUp(t, st, finders[0]) // caches the key again
		_, err = st.Reads().LookupSecret(background, "s1-key-1")
		require.ErrorIs(t, err, store.ErrNotFound)
		found, err := st.Reads().LookupSecret(background, "s2-key-1")
		require.NoError(t, err)
		require.Len(t, found.Key.Credentials, 1)
	}},
	{"Update, with another secret", 1, func(t *testing.T, st store.Store) {
		update(t, st, "key-1", func(k *store.Key) {
			k.Credentials = append(k.Credentials, store.Credential{ID: "s3-key-1", Digest: "d3", Created: noon})
		})
	}, func(t *testing.T, st store.Store, _ finder) {
		found, err := st.Reads().LookupSecret(background, "s3-key-1")
		require.NoError(t, err)
		require.Len(t, found.Key.Credentials, 3)
	}},
	{"Delete", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Keys.Delete(background, "team-a", "key-1", 0, noon, atNoon))
	}, func(t *testing.T, st store.Store, by finder) {
		_, err := by.find(background, st, "key-1")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = st.Reads().Read(background, token("key-1"))
		require.ErrorIs(t, err, store.ErrNotFound)
		found, err := by.find(background, st, "key-3")
		require.NoError(t, err)
		require.Equal(t, 1, found.Workspace.Keys)
	}},
	{"Rehash", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Upkeep.Rehash(background, "key-1", "s1-key-1", "d1", "better"))
	}, func(t *testing.T, st store.Store, by finder) {
		require.Equal(t, "better", lookUp(t, st, by).Key.Credentials[0].Digest)
	}},
	{"RecordUses", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Upkeep.RecordUses(background, []store.Use{{Key: "key-1", Credential: "s2-key-1", At: noon}}))
	}, func(t *testing.T, st store.Store, by finder) {
		require.Equal(t, noon, lookUp(t, st, by).Key.LastUsed)
		require.Equal(t, noon, lookUp(t, st, by).Key.Credentials[1].LastUsed)
		require.Zero(t, lookUp(t, st, by).Key.Credentials[0].LastUsed)
	}},
	{"SetInstance", 1, func(t *testing.T, st store.Store) {
		setInstance(t, st, keysOff)
	}, func(t *testing.T, st store.Store, by finder) {
		require.True(t, lookUp(t, st, by).Instance.KeysOff)
		require.NotZero(t, epochsOf(t, st).Instance)
	}},
	{"SetWorkspace", 1, func(t *testing.T, st store.Store) {
		setWorkspace(t, st, suspend)
	}, func(t *testing.T, st store.Store, by finder) {
		require.True(t, lookUp(t, st, by).Workspace.Suspended)
		require.NotZero(t, epochsOf(t, st).Workspace)
	}},
	{"DeleteWorkspace", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Settings.DeleteWorkspace(background, "team-a", noon, atNoon))
	}, func(t *testing.T, st store.Store, by finder) {
		_, err := by.find(background, st, "key-1")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = st.Reads().Read(background, token("key-1"))
		require.ErrorIs(t, err, store.ErrNotFound)
	}},
	{"Revoke", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Epochs.Revoke(background, token("key-1").TokenID, noon.AddDate(100, 0, 0), noon))
	}, func(t *testing.T, st store.Store, by finder) {
		require.True(t, epochsOf(t, st).Revoked)
	}},
}

// warm brings the records of key-1 into the cache.
func warm(t testing.TB, st store.Store) {
	t.Helper()
	for range 2 {
		for _, by := range finders {
			_, err := by.find(background, st, "key-1")
			require.NoError(t, err)
		}
		_, err := st.Reads().Read(background, token("key-1"))
		require.NoError(t, err)
	}
}
