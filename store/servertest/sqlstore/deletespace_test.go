package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// TestDeleteWorkspaceLocksItsOwn checks that the deletion of a workspace does not wait for
// transactions in other workspaces.
func TestDeleteWorkspaceLocksItsOwn(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		if e.dialect == sqlstore.SQLite {
			t.Skip("SQLite serializes all writers")
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		driver, source := e.space(t)
		s := e.tables(t, dial(t, driver, source), sqlstore.Config{}).Store()
		require.NoError(t, s.Keys.Create(ctx, key("team-a", "key-a"), store.NoLimit, event("1")))
		require.NoError(t, s.Keys.Create(ctx, key("team-b", "key-b"), store.NoLimit, event("2")))
		other, err := dial(t, driver, source).BeginTx(ctx, nil)
		require.NoError(t, err)
		defer other.Rollback()
		for _, table := range []string{"creators", "credentials"} {
			rows := 0
			require.NoError(t, other.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT key_id FROM latchkey_"+table+" WHERE key_id = 'key-b' FOR UPDATE) AS x").Scan(&rows))
			require.Equal(t, 1, rows)
		}
		// By default MariaDB waits 50 s for a lock.
		soon, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		require.NoError(t, s.Settings.DeleteWorkspace(soon, "team-a", noon, event("3")))
		_, err = s.Keys.Lookup(ctx, "key-b")
		require.NoError(t, err)
		page, err := s.Keys.List(ctx, store.KeyQuery{CreatorID: "person-1"})
		require.NoError(t, err)
		require.Len(t, page.Keys, 1)
	})
}
