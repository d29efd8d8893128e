package cache_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
)

var atNoon = store.Change{Now: noon}

func lookUp(t *testing.T, st store.Store) store.Found {
	t.Helper()
	found, err := st.Reads().Lookup(background, "key-1")
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
	see           func(t *testing.T, st store.Store)
}{
	{"Create", 1, func(t *testing.T, st store.Store) {
		create(t, st, newKey("team-a", "key-2"))
	}, func(t *testing.T, st store.Store) {
		_, err := st.Reads().Lookup(background, "key-2")
		require.NoError(t, err, "a created key can be used at once")
		require.Equal(t, 3, lookUp(t, st).Workspace.Keys)
	}},
	{"Update", 1, func(t *testing.T, st store.Store) { update(t, st, "key-1", disable) }, func(t *testing.T, st store.Store) {
		require.True(t, lookUp(t, st).Key.Disabled)
		require.Equal(t, stored(t, st).Key.Epoch, lookUp(t, st).Key.Epoch)
		require.Equal(t, stored(t, st).Key.Epoch, epochsOf(t, st).Key)
	}},
	{"Delete", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Keys.Delete(background, "team-a", "key-1", 0, noon, atNoon))
	}, func(t *testing.T, st store.Store) {
		_, err := st.Reads().Lookup(background, "key-1")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = st.Reads().Read(background, token("key-1"))
		require.ErrorIs(t, err, store.ErrNotFound)
		found, err := st.Reads().Lookup(background, "key-3")
		require.NoError(t, err)
		require.Equal(t, 1, found.Workspace.Keys)
	}},
	{"Rehash", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Upkeep.Rehash(background, "key-1", "s1-key-1", "d1", "better"))
	}, func(t *testing.T, st store.Store) {
		require.Equal(t, "better", lookUp(t, st).Key.Secrets[0].Digest)
	}},
	{"RecordUses", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Upkeep.RecordUses(background, []store.Use{{Key: "key-1", Secret: "s2-key-1", At: noon}}))
	}, func(t *testing.T, st store.Store) {
		require.Equal(t, noon, lookUp(t, st).Key.LastUsed)
		require.Equal(t, noon, lookUp(t, st).Key.Secrets[1].LastUsed)
		require.Zero(t, lookUp(t, st).Key.Secrets[0].LastUsed)
	}},
	{"SetInstance", 1, func(t *testing.T, st store.Store) {
		setInstance(t, st, keysOff)
	}, func(t *testing.T, st store.Store) {
		require.True(t, lookUp(t, st).Instance.KeysOff)
		require.NotZero(t, epochsOf(t, st).Instance)
	}},
	{"SetWorkspace", 1, func(t *testing.T, st store.Store) {
		setWorkspace(t, st, suspend)
	}, func(t *testing.T, st store.Store) {
		require.True(t, lookUp(t, st).Workspace.Suspended)
		require.NotZero(t, epochsOf(t, st).Workspace)
	}},
	{"DeleteWorkspace", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Settings.DeleteWorkspace(background, "team-a", noon, atNoon))
	}, func(t *testing.T, st store.Store) {
		_, err := st.Reads().Lookup(background, "key-1")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = st.Reads().Read(background, token("key-1"))
		require.ErrorIs(t, err, store.ErrNotFound)
	}},
	{"Revoke", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Epochs.Revoke(background, token("key-1").TokenID, noon.AddDate(100, 0, 0), noon))
	}, func(t *testing.T, st store.Store) {
		require.True(t, epochsOf(t, st).Revoked)
	}},
}

// warm brings the records of key-1 into the cache.
func warm(t testing.TB, st store.Store) {
	t.Helper()
	for range 2 {
		_, err := st.Reads().Lookup(background, "key-1")
		require.NoError(t, err)
		_, err = st.Reads().Read(background, token("key-1"))
		require.NoError(t, err)
	}
}
