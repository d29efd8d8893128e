package sqlstore_test

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// TestUpgrade brings tables of the first version up to date, with what is in
// them.
func TestUpgrade(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		in := store.Instance{KeysOff: true, Rules: store.Rules{MaxKeys: 7, RequireExpiry: true, MaxLifetime: time.Hour, EnforcedFrom: noon}, Epoch: 3, Updated: noon}
		fill := e.tables(t, db, sqlstore.Config{Prefix: "source_"}).Store()
		require.NoError(t, fill.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, event("made")))
		require.NoError(t, fill.Settings.SetInstance(ctx, in, store.Change{Now: noon}))
		in.Version = 1

		firstVersion(t, db, e.dialect)
		const settings = "keys_off, max_keys, require_expiry, max_lifetime, enforced_from, epoch, updated, version"
		for _, copied := range []string{
			"INSERT INTO latchkey_workspaces SELECT * FROM source_workspaces", "INSERT INTO latchkey_keys SELECT * FROM source_keys",
			"INSERT INTO latchkey_events SELECT * FROM source_events", "DELETE FROM latchkey_instance",
			"INSERT INTO latchkey_instance (id, " + settings + ") SELECT id, " + settings + " FROM source_instance",
		} {
			run(t, db, copied)
		}
		d, err := sqlstore.New(db, e.dialect, sqlstore.Config{})
		require.NoError(t, err)
		s := d.Store()
		_, err = s.Settings.Instance(ctx)
		require.ErrorContains(t, err, "this release needs 2: call Migrate first")
		require.NoError(t, d.Migrate(ctx))

		got, err := s.Settings.Instance(ctx)
		require.NoError(t, err)
		require.Equal(t, in, got)
		found, err := s.Keys.Lookup(ctx, "key-1")
		require.NoError(t, err)
		require.Equal(t, key("team-a", "key-1").Secrets, found.Key.Secrets)
		require.Equal(t, in, found.Instance)
		trail, err := s.Events.List(ctx, store.EventQuery{})
		require.NoError(t, err)
		require.Len(t, trail.Events, 1)

		in.RemindersOff, in.RemindBefore[0] = true, 30*24*time.Hour
		require.NoError(t, s.Settings.SetInstance(ctx, in, store.Change{Now: noon}))
		in.Version = 2

		t.Run("a replica of the first version goes on and keeps what it does not know", func(t *testing.T) {
			run(t, db, "UPDATE latchkey_instance SET keys_off = 0, max_keys = 9, require_expiry = 1, max_lifetime = 3600000000000, version = 3 WHERE id = 1")
			in.KeysOff, in.Rules.MaxKeys, in.Version = false, 9, 3
			got, err := s.Settings.Instance(ctx)
			require.NoError(t, err)
			require.Equal(t, in, got)
		})
		if e.dialect == sqlstore.MySQL { // elsewhere a migration is one transaction
			t.Run("one that ended before it was noted is finished", func(t *testing.T) {
				run(t, db, "DELETE FROM latchkey_schema WHERE version > 1")
				require.NoError(t, d.Migrate(ctx))
				require.Equal(t, migrations(t, e.dialect), count(t, db, "SELECT COUNT(*) FROM latchkey_schema"))
				got, err := s.Settings.Instance(ctx)
				require.NoError(t, err)
				require.Equal(t, in, got)
			})
		}
		t.Run("times that cannot be read are an error", func(t *testing.T) {
			for _, text := range []string{"soon", "1 x", "1 2 3 4 5 6 7 8 9"} {
				run(t, db, "UPDATE latchkey_instance SET remind_before = '"+text+"'")
				_, err := s.Settings.Instance(ctx)
				require.ErrorIs(t, err, store.ErrUnavailable)
				_, err = s.Keys.Lookup(ctx, "key-1")
				require.ErrorIs(t, err, store.ErrUnavailable)
			}
		})
	})
}

// firstVersion makes the tables as the first version had them.
func firstVersion(t *testing.T, db *sql.DB, dialect sqlstore.Dialect) {
	t.Helper()
	text, err := os.ReadFile("../../sqlstore/migrations/" + strings.ToLower(dialect.String()) + "_0001.sql")
	require.NoError(t, err)
	for statement := range strings.SplitSeq(strings.ReplaceAll(string(text), "{p}", "latchkey_"), ";\n") {
		if strings.TrimSpace(statement) != "" {
			run(t, db, statement)
		}
	}
	run(t, db, "CREATE TABLE latchkey_schema (version INTEGER NOT NULL PRIMARY KEY, applied TIMESTAMP DEFAULT CURRENT_TIMESTAMP)")
	run(t, db, "INSERT INTO latchkey_schema (version) VALUES (1)")
}

func run(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	_, err := db.ExecContext(context.Background(), statement)
	require.NoError(t, err, statement)
}
