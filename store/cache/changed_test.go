package cache_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
)

var written = store.Change{Now: noon}

func lookedUp(t *testing.T, st store.Store) store.Found {
	t.Helper()
	found, err := st.Keys.Lookup(background, "key-1")
	require.NoError(t, err)
	return found
}

// changes are all that touch what is cached, and how to see that they were
// made. There is key-1, and no key-2.
var changes = []struct {
	name    string
	notices int
	change  func(t *testing.T, st store.Store)
	see     func(t *testing.T, st store.Store)
}{
	{"Create", 1, func(t *testing.T, st store.Store) {
		create(t, st, newKey("team-a", "key-2"))
	}, func(t *testing.T, st store.Store) {
		_, err := st.Keys.Lookup(background, "key-2")
		require.NoError(t, err, "an id just created works at once")
		require.Equal(t, 2, lookedUp(t, st).Workspace.Keys)
	}},
	{"Update", 1, func(t *testing.T, st store.Store) { update(t, st, "key-1", disable) }, func(t *testing.T, st store.Store) {
		require.True(t, lookedUp(t, st).Key.Disabled)
		state, err := st.Epochs.Read(background, token("key-1"))
		require.NoError(t, err)
		require.EqualValues(t, 2, state.Key)
	}},
	{"Delete", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Keys.Delete(background, "team-a", "key-1", 0, noon, written))
	}, func(t *testing.T, st store.Store) {
		_, err := st.Keys.Lookup(background, "key-1")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = st.Epochs.Read(background, token("key-1"))
		require.ErrorIs(t, err, store.ErrNotFound)
		w, err := st.Settings.Workspace(background, "team-a")
		require.NoError(t, err)
		require.Zero(t, w.Keys)
	}},
	{"Rehash", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Upkeep.Rehash(background, "key-1", "s1", "d1", "better"))
	}, func(t *testing.T, st store.Store) {
		require.Equal(t, "better", lookedUp(t, st).Key.Secrets[0].Digest)
	}},
	{"Touch", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Upkeep.Touch(background, []store.Use{{Key: "key-1", Secret: "s2", At: noon}}))
	}, func(t *testing.T, st store.Store) {
		require.Equal(t, noon, lookedUp(t, st).Key.LastUsed)
		require.Equal(t, noon, lookedUp(t, st).Key.Secrets[1].LastUsed)
		require.Zero(t, lookedUp(t, st).Key.Secrets[0].LastUsed)
	}},
	{"SetInstance", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Settings.SetInstance(background, store.Instance{KeysOff: true, Epoch: 3}, written))
	}, func(t *testing.T, st store.Store) {
		require.True(t, lookedUp(t, st).Instance.KeysOff)
		state, err := st.Epochs.Read(background, token("key-1"))
		require.NoError(t, err)
		require.EqualValues(t, 3, state.Instance)
	}},
	{"SetWorkspace", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Suspended: true, Epoch: 3}, written))
	}, func(t *testing.T, st store.Store) {
		require.True(t, lookedUp(t, st).Workspace.Suspended)
		state, err := st.Epochs.Read(background, token("key-1"))
		require.NoError(t, err)
		require.EqualValues(t, 3, state.Workspace)
	}},
	{"DeleteWorkspace", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Settings.DeleteWorkspace(background, "team-a", noon, written))
	}, func(t *testing.T, st store.Store) {
		_, err := st.Keys.Lookup(background, "key-1")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = st.Epochs.Read(background, token("key-1"))
		require.ErrorIs(t, err, store.ErrNotFound)
	}},
	{"Raise", 3, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Epochs.Raise(background, store.Mark{Epoch: 5}, store.Mark{Workspace: "team-a", Epoch: 6},
			store.Mark{Workspace: "team-a", Key: "key-1", Epoch: 7}))
	}, func(t *testing.T, st store.Store) {
		state, err := st.Epochs.Read(background, token("key-1"))
		require.NoError(t, err)
		require.Equal(t, store.EpochState{Instance: 5, Workspace: 6, Key: 7, SecretKnown: true}, state)
		found := lookedUp(t, st)
		require.Equal(t, [3]int64{5, 6, 7}, [3]int64{found.Instance.Epoch, found.Workspace.Epoch, found.Key.Epoch})
	}},
	{"Revoke", 1, func(t *testing.T, st store.Store) {
		require.NoError(t, st.Epochs.Revoke(background, token("key-1").TokenID, noon.AddDate(100, 0, 0), noon))
	}, func(t *testing.T, st store.Store) {
		state, err := st.Epochs.Read(background, token("key-1"))
		require.NoError(t, err)
		require.True(t, state.Revoked)
	}},
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
