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
		for _, text := range []string{"soon", "1", `[1, "x"]`, "[1, 2, 3, 4, 5, 6, 7, 8, 9]"} {
			run(t, db, "UPDATE latchkey_instance SET remind_before = '"+text+"'")
			_, err := s.Settings.Instance(ctx)
			require.ErrorIs(t, err, store.ErrUnavailable)
			_, err = s.Keys.Lookup(ctx, "key-1")
			require.NoError(t, err, "look-ups do not read the reminders")
		}
	})
}

// Stored JSON contains the names of struct fields or of their tags. If one is renamed without a
// migration, stored values, such as digests, are not found any more.
func TestNamesInJSON(t *testing.T) {
	ctx := context.Background()
	e := engines[2]
	db := e.connect(t)
	s := e.tables(t, db, sqlstore.Config{}).Store()
	require.NoError(t, s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, store.Change{}))
	require.NoError(t, s.SigningKeys.SetRing(ctx, store.Ring{Keys: []store.SigningKey{{ID: "k1", Sealed: []byte("x")}}}))
	for query, want := range map[string]string{
		"SELECT credentials FROM latchkey_keys": `[{"id":"s1-key-1","hint":"Ab1x","digest":"hmac-sha256$1$c2VjcmV0","generated":true,"created":"2026-03-01T12:00:00Z"}]`,
		"SELECT content FROM latchkey_ring": `[{"ID":"k1","Algorithm":"","Sealed":"eA==","SealKey":0,"SealFingerprint":"","Created":"0001-01-01T00:00:00Z",
			"NotBefore":"0001-01-01T00:00:00Z","NotAfter":"0001-01-01T00:00:00Z","PublishUntil":"0001-01-01T00:00:00Z"}]`,
	} {
		var text string
		require.NoError(t, db.QueryRowContext(ctx, query).Scan(&text))
		require.JSONEq(t, want, text)
	}
}

func run(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	_, err := db.ExecContext(context.Background(), statement)
	require.NoError(t, err, statement)
}
