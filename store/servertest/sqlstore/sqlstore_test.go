package sqlstore_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

func TestContract(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		tables := e.tables(t, db, sqlstore.Config{})
		storetest.Run(t, func(t *testing.T) store.Store {
			wipe(t, db)
			return tables.Store()
		})
	})
}

// wipe empties all tables. Creating them again for each rule would take longer.
func wipe(t *testing.T, db *sql.DB) {
	t.Helper()
	tx, err := db.BeginTx(context.Background(), nil)
	require.NoError(t, err)
	defer tx.Rollback()
	for _, reset := range []string{
		"DELETE FROM latchkey_keys", "DELETE FROM latchkey_workspaces", "DELETE FROM latchkey_tombstones",
		"DELETE FROM latchkey_creators", "DELETE FROM latchkey_credentials", "DELETE FROM latchkey_lists", "DELETE FROM latchkey_revoked", "DELETE FROM latchkey_events",
		"DELETE FROM latchkey_once", "DELETE FROM latchkey_days", "DELETE FROM latchkey_limits",
		"DELETE FROM latchkey_notices", "DELETE FROM latchkey_instance", "INSERT INTO latchkey_instance (id) VALUES (1)",
		"UPDATE latchkey_ring SET version = 0, content = '[]'", "UPDATE latchkey_feed SET seq = 0",
		"UPDATE latchkey_stripes SET version = 0",
	} {
		_, err := tx.ExecContext(context.Background(), reset)
		require.NoError(t, err)
	}
	require.NoError(t, tx.Commit())
}
