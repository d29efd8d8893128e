package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

func TestMigrate(t *testing.T) {
	ctx := context.Background()
	create := func(s store.Store, id string) error {
		return s.Keys.Create(ctx, key("team-a", id), store.NoLimit, store.Change{Now: noon})
	}

	t.Run("replicas that start at the same time", func(t *testing.T) {
		eachEngine(t, func(t *testing.T, e engine) {
			driver, source := e.space(t)
			var replicas sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				db := dial(t, driver, source)
				replicas.Go(func() {
					d, err := sqlstore.New(db, e.dialect, sqlstore.Config{})
					if err == nil {
						err = d.Migrate(ctx)
					}
					if err == nil {
						err = create(d.Store(), string(rune('a'+i)))
					}
					errs[i] = err
				})
			}
			replicas.Wait()
			for _, err := range errs {
				require.NoError(t, err)
			}
			db := dial(t, driver, source)
			require.Equal(t, migrations(t, e.dialect), count(t, db, "SELECT COUNT(*) FROM latchkey_schema"), "one replica migrated")
			require.Equal(t, 8, count(t, db, "SELECT COUNT(*) FROM latchkey_keys"))
		})
	})

	t.Run("a thirdResult migration changes nothing", func(t *testing.T) {
		eachEngine(t, func(t *testing.T, e engine) {
			db := e.connect(t)
			d := e.tables(t, db, sqlstore.Config{})
			require.NoError(t, create(d.Store(), "key-1"))
			require.NoError(t, e.tables(t, db, sqlstore.Config{}).Migrate(ctx))
			_, err := d.Store().Keys.Lookup(ctx, "key-1")
			require.NoError(t, err)
		})
	})

	t.Run("missing tables are reported", func(t *testing.T) {
		eachEngine(t, func(t *testing.T, e engine) {
			d, err := sqlstore.New(e.connect(t), e.dialect, sqlstore.Config{})
			require.NoError(t, err)
			_, err = d.Store().Keys.Lookup(ctx, "key-1")
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.ErrorContains(t, err, "the tables do not exist: call Migrate first")
			require.ErrorIs(t, create(d.Store(), "key-1"), store.ErrUnavailable)
			require.NoError(t, d.Migrate(ctx))
			require.NoError(t, create(d.Store(), "key-1"))
		})
	})

	t.Run("a schema of a newer release is refused", func(t *testing.T) {
		eachEngine(t, func(t *testing.T, e engine) {
			db := e.connect(t)
			running := e.tables(t, db, sqlstore.Config{})
			require.NoError(t, create(running.Store(), "key-1"))
			_, err := db.ExecContext(ctx, "INSERT INTO latchkey_schema (version) VALUES (99)")
			require.NoError(t, err)
			d, err := sqlstore.New(db, e.dialect, sqlstore.Config{})
			require.NoError(t, err)
			newer := fmt.Sprintf("the schema has version 99, this release knows up to %d", migrations(t, e.dialect))
			for range 2 {
				err = d.Migrate(ctx)
				require.ErrorContains(t, err, newer)
				_, err = d.Store().Keys.Lookup(ctx, "key-1")
				require.ErrorContains(t, err, newer)
			}
			require.NoError(t, create(running.Store(), "key-2"), "a running replica keeps working")
		})
	})

	t.Run("a migration that fails halfway is rolled back or completed later", func(t *testing.T) {
		eachEngine(t, func(t *testing.T, e engine) {
			db := e.connect(t)
			// A view has the name of the last table of the first migration.
			_, err := db.ExecContext(ctx, "CREATE VIEW latchkey_notices AS SELECT 1 AS seq")
			require.NoError(t, err)
			d, err := sqlstore.New(db, e.dialect, sqlstore.Config{})
			require.NoError(t, err)
			if err := d.Migrate(ctx); e.dialect != sqlstore.MySQL {
				require.ErrorIs(t, err, store.ErrUnavailable)
				_, err = db.ExecContext(ctx, "SELECT 1 FROM latchkey_keys")
				require.Error(t, err, "the migration was rolled back")
			} else {
				_, err = db.ExecContext(ctx, "DELETE FROM latchkey_schema") // as if the migration had been interrupted before
				require.NoError(t, err)
			}
			_, err = db.ExecContext(ctx, "DROP VIEW latchkey_notices")
			require.NoError(t, err)
			require.NoError(t, d.Migrate(ctx))
			require.NoError(t, create(d.Store(), "key-1"))
		})
	})

	t.Run("two prefixes share nothing", func(t *testing.T) {
		eachEngine(t, func(t *testing.T, e engine) {
			db := e.connect(t)
			one, two := e.tables(t, db, sqlstore.Config{Prefix: "one_"}), e.tables(t, db, sqlstore.Config{Prefix: "two_"})
			require.NoError(t, create(one.Store(), "key-1"))
			_, err := two.Store().Keys.Lookup(ctx, "key-1")
			require.ErrorIs(t, err, store.ErrNotFound)
		})
	})
}

// A SQLite connection that could lose acknowledged changes is refused.
func TestPragmas(t *testing.T) {
	const wal, timeout, full = "_pragma=journal_mode(WAL)", "_pragma=busy_timeout(500)", "_pragma=synchronous(FULL)"
	for _, try := range []struct {
		name, pragmas, want string
	}{
		{"all set", wal + "&" + timeout + "&" + full, ""},
		{"extra", wal + "&" + timeout + "&_pragma=synchronous(EXTRA)", ""},
		{"no WAL", timeout + "&" + full, "journal_mode must be WAL"},
		{"no timeout", wal + "&" + full, "busy_timeout must be set"},
		{"synchronous normal", wal + "&" + timeout + "&_pragma=synchronous(NORMAL)", "synchronous must be FULL"},
	} {
		t.Run(try.name, func(t *testing.T) {
			db := dial(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "keys.db")+"?"+try.pragmas)
			d, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
			require.NoError(t, err)
			err = d.Migrate(context.Background())
			if try.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.ErrorContains(t, err, try.want)
			_, err = d.Store().Keys.Lookup(context.Background(), "key-1")
			require.ErrorContains(t, err, try.want)
		})
	}
}

// migrations returns the number of migrations.
func migrations(t *testing.T, dialect sqlstore.Dialect) int {
	t.Helper()
	files, err := filepath.Glob("../../sqlstore/migrations/" + strings.ToLower(dialect.String()) + "_*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return len(files)
}

func count(t *testing.T, db *sql.DB, query string) int {
	t.Helper()
	var n int
	require.NoError(t, db.QueryRowContext(context.Background(), query).Scan(&n))
	return n
}
