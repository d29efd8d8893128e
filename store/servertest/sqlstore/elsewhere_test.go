package sqlstore_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// Epochs of keys that another system keeps are marks here.
func TestEpochsOfKeysElsewhere(t *testing.T) {
	ctx := context.Background()
	mark := store.Mark{Workspace: "team-a", Key: "key-1", Epoch: 3, Secrets: []store.SecretEnd{{ID: "s1", NotAfter: noon}}}
	ref := store.TokenRef{Workspace: "team-a", Key: "key-1", Secret: "s1"}
	tries := []struct {
		name string
		test func(t *testing.T, s store.Store)
	}{
		{"a mark stands for the key and names its live secrets", func(t *testing.T, s store.Store) {
			require.NoError(t, s.Epochs.Raise(ctx, mark))
			state, err := s.Epochs.Read(ctx, ref)
			require.NoError(t, err)
			require.Equal(t, store.EpochState{Key: 3, SecretKnown: true, SecretNotAfter: noon}, state)
			require.NoError(t, s.Epochs.Raise(ctx, store.Mark{Workspace: "team-a", Key: "key-1", Epoch: 2}))
			state, err = s.Epochs.Read(ctx, ref)
			require.NoError(t, err)
			require.Equal(t, store.EpochState{Key: 3}, state)
		}},
		{"a mark from a foreign workspace is refused, with all that came with it", func(t *testing.T, s store.Store) {
			require.NoError(t, s.Epochs.Raise(ctx, mark))
			err := s.Epochs.Raise(ctx, store.Mark{Epoch: 9}, store.Mark{Workspace: "team-b", Key: "key-1", Epoch: 9})
			require.ErrorIs(t, err, store.ErrNotFound)
			require.NoError(t, s.Keys.Create(ctx, key("team-a", "key-2"), store.NoLimit, store.Change{}))
			err = s.Epochs.Raise(ctx, store.Mark{Epoch: 9}, store.Mark{Workspace: "team-b", Key: "key-2", Epoch: 9})
			require.ErrorIs(t, err, store.ErrNotFound)
			state, err := s.Epochs.Read(ctx, ref)
			require.NoError(t, err)
			require.Equal(t, store.EpochState{Key: 3, SecretKnown: true, SecretNotAfter: noon}, state)
		}},
		{"a mark says nothing in a foreign workspace", func(t *testing.T, s store.Store) {
			require.NoError(t, s.Epochs.Raise(ctx, mark))
			_, err := s.Epochs.Read(ctx, store.TokenRef{Workspace: "team-b", Key: "key-1", Secret: "s1"})
			require.ErrorIs(t, err, store.ErrNotFound)
		}},
		{"a key that comes in later starts no lower than its mark", func(t *testing.T, s store.Store) {
			require.NoError(t, s.Epochs.Raise(ctx, mark))
			require.NoError(t, s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, store.Change{}))
			found, err := s.Keys.Lookup(ctx, "key-1")
			require.NoError(t, err)
			require.EqualValues(t, 3, found.Key.Epoch)
		}},
		{"a mark of another workspace says nothing of a key", func(t *testing.T, s store.Store) {
			require.NoError(t, s.Epochs.Raise(ctx, mark))
			require.NoError(t, s.Keys.Create(ctx, key("team-b", "key-1"), store.NoLimit, store.Change{}))
			found, err := s.Keys.Lookup(ctx, "key-1")
			require.NoError(t, err)
			require.EqualValues(t, 1, found.Key.Epoch)
			_, err = s.Epochs.Read(ctx, ref)
			require.ErrorIs(t, err, store.ErrNotFound)
		}},
		{"a mark does not bring a deleted key back", func(t *testing.T, s store.Store) {
			require.NoError(t, s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, store.Change{}))
			require.NoError(t, s.Keys.Delete(ctx, "team-a", "key-1", 0, noon, store.Change{}))
			require.NoError(t, s.Epochs.Raise(ctx, mark))
			_, err := s.Epochs.Read(ctx, ref)
			require.ErrorIs(t, err, store.ErrNotFound)
		}},
	}
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		for _, try := range tries {
			wipe(t, db)
			t.Run(try.name, func(t *testing.T) { try.test(t, s) })
		}
	})
}

// What a list asks for is never taken for more than it says.
func TestListConditions(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		k := key("team-a", "Key-1")
		k.Name = "A\x00name\xff"
		require.NoError(t, s.Keys.Create(ctx, k, store.NoLimit, store.Change{}))
		found, err := s.Keys.Lookup(ctx, "Key-1")
		require.NoError(t, err)
		require.Equal(t, k.Name, found.Key.Name, "any bytes")
		for _, try := range []struct {
			name string
			q    store.KeyQuery
			want int
		}{
			{"one permission", store.KeyQuery{Permission: "project.read"}, 1},
			{"two permissions are no permission", store.KeyQuery{Permission: "project.list project.read"}, 0},
			{"a space is no permission", store.KeyQuery{Permission: " "}, 0},
			{"any bytes of the name", store.KeyQuery{Text: "a\x00N"}, 1},
			{"from the name into the id", store.KeyQuery{Text: "\xffKey"}, 0},
			{"the id in another case", store.KeyQuery{Text: "kEY-1"}, 1},
		} {
			page, err := s.Keys.List(ctx, try.q)
			require.NoError(t, err)
			require.Len(t, page.Keys, try.want, try.name)
		}

		_, err = db.ExecContext(ctx, "UPDATE latchkey_workspaces SET held = 10001")
		require.NoError(t, err)
		for _, sort := range []store.KeySort{store.ByLastUsed, store.ByExpiry} {
			_, err = s.Keys.List(ctx, store.KeyQuery{Workspace: "team-a", Sort: sort})
			require.ErrorContains(t, err, "at most 10000 keys")
		}
	})
}
