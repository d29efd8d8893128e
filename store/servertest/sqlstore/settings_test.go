package sqlstore_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

func TestReminderTimesThatCannotBeRead(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		require.NoError(t, s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, event("made")))
		for _, text := range []string{"soon", "1 x", "1 2 3 4 5 6 7 8 9"} {
			run(t, db, "UPDATE latchkey_instance SET remind_before = '"+text+"'")
			_, err := s.Settings.Instance(ctx)
			require.ErrorIs(t, err, store.ErrUnavailable)
			_, err = s.Keys.Lookup(ctx, "key-1")
			require.ErrorIs(t, err, store.ErrUnavailable)
		}
	})
}

func run(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	_, err := db.ExecContext(context.Background(), statement)
	require.NoError(t, err, statement)
}
