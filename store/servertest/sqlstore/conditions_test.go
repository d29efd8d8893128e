package sqlstore_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// The texts of a list's query are matched literally.
func TestListConditions(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		k := key("team-a", "Key-1")
		k.Name = "A\x01näme%"
		require.NoError(t, s.Keys.Create(ctx, k, store.NoLimit, store.Change{}))
		found, err := s.Keys.Lookup(ctx, "Key-1")
		require.NoError(t, err)
		require.Equal(t, k.Name, found.Key.Name)
		for _, try := range []struct {
			name string
			q    store.KeyQuery
			want int
		}{
			{"one permission", store.KeyQuery{Permission: "project.read"}, 1},
			{"two permissions are not a permission", store.KeyQuery{Permission: "project.list project.read"}, 0},
			{"a space is not a permission", store.KeyQuery{Permission: " "}, 0},
			{"any characters of the name", store.KeyQuery{Text: "a\x01N"}, 1},
			{"non-ASCII letters match in the same case only", store.KeyQuery{Text: "nÄme"}, 0},
			{"no wildcards", store.KeyQuery{Text: "a%e"}, 0},
			{"a text across name and id", store.KeyQuery{Text: "%Key"}, 0},
			{"the id in another case", store.KeyQuery{Text: "kEY-1"}, 1},
		} {
			page, err := s.Keys.List(ctx, try.q)
			require.NoError(t, err)
			require.Len(t, page.Keys, try.want, try.name)
		}

		_, err = db.ExecContext(ctx, "UPDATE latchkey_workspaces SET held = 10001")
		require.NoError(t, err)
		_, err = s.Keys.List(ctx, store.KeyQuery{Workspace: "team-a", Sort: store.ByLastUsed})
		require.ErrorContains(t, err, "at most 10000 keys")
		_, err = s.Keys.List(ctx, store.KeyQuery{Workspace: "team-a", Sort: store.ByExpiry})
		require.NoError(t, err)
	})
}

// A failed precondition is reported also if the key to delete is missing.
func TestPreconditionOfDeletingAMissingKey(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		s := e.tables(t, e.connect(t), sqlstore.Config{}).Store()
		require.NoError(t, s.Settings.SetWorkspace(ctx, store.Workspace{ID: "team-a"}, store.Change{}))
		c := store.Change{Preconditions: []store.Precondition{{Workspace: "team-a", Version: 1}}}
		require.ErrorIs(t, s.Keys.Delete(ctx, "team-a", "none", 0, noon, c), store.ErrNotFound)
		c.Preconditions[0].Version = 0
		require.ErrorIs(t, s.Keys.Delete(ctx, "team-a", "none", 0, noon, c), store.ErrConflict)
		c.Preconditions = []store.Precondition{{Key: "none"}}
		require.ErrorIs(t, s.Keys.Delete(ctx, "team-a", "none", 0, noon, c), store.ErrConflict, "a missing key has no version")
	})
}
