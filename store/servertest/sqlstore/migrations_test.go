package sqlstore_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// The tables are the same whether Migrate made them or the host's own tool ran the SQL of
// Migrations, and a Database works with them.
func TestMigrations(t *testing.T) {
	ctx := context.Background()
	for _, way := range []struct {
		name string
		cfg  sqlstore.Config
		run  func(t *testing.T, e engine, driver, source string, all []sqlstore.Migration)
	}{
		{"goose", sqlstore.Config{}, gooseUp},
		{"a file at once", sqlstore.Config{}, executeFiles},
		{"statement by statement", sqlstore.Config{Prefix: "own_"}, func(t *testing.T, _ engine, driver, source string, all []sqlstore.Migration) {
			t.Helper()
			execute(t, dial(t, driver, source), all)
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, e engine) {
				all, err := sqlstore.Migrations(e.dialect, way.cfg)
				require.NoError(t, err)
				require.Len(t, all, migrations(t, e.dialect))
				made := e.connect(t)
				e.tables(t, made, way.cfg)
				driver, source := e.space(t)
				way.run(t, e, driver, source, all)
				ran := dial(t, driver, source)
				prefix := cmp.Or(way.cfg.Prefix, "latchkey_")
				want := schemaOf(t, e, made, prefix)
				require.Greater(t, len(want), 40)
				require.Equal(t, want, schemaOf(t, e, ran, prefix))

				d, err := sqlstore.New(ran, e.dialect, way.cfg)
				require.NoError(t, err)
				create := func(id string) error {
					return d.Store().Keys.Create(ctx, key("team-a", id), store.NoLimit, store.Change{Now: noon})
				}
				require.NoError(t, create("key-1"))
				require.NoError(t, d.Migrate(ctx), "it has nothing to do")
				require.Equal(t, want, schemaOf(t, e, ran, prefix))
				require.NoError(t, create("key-2"))
			})
		})
	}
}

// A host whose tool has not run the last migration gets both versions in the error.
func TestMigrationsMissed(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		db := e.connect(t)
		all, err := sqlstore.Migrations(e.dialect, sqlstore.Config{})
		require.NoError(t, err)
		execute(t, db, all)
		newest := len(all)
		run(t, db, fmt.Sprint("DELETE FROM latchkey_schema WHERE version = ", newest))
		d, err := sqlstore.New(db, e.dialect, sqlstore.Config{})
		require.NoError(t, err)
		for range 2 {
			_, err = d.Store().Keys.Lookup(ctx, "key-1")
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.ErrorContains(t, err, fmt.Sprintf("the schema has version %d, this release needs %d: call Migrate first, or run the SQL of Migrations after version %d",
				newest-1, newest, newest-1))
		}
		run(t, db, fmt.Sprintf("INSERT INTO latchkey_schema (version) VALUES (%d)", newest))
		_, err = d.Store().Keys.Lookup(ctx, "key-1")
		require.ErrorIs(t, err, store.ErrNotFound, "once it has run, the same process works")
	})
}

func gooseUp(t *testing.T, e engine, driver, source string, all []sqlstore.Migration) {
	t.Helper()
	files := fstest.MapFS{}
	for _, m := range all {
		files[fmt.Sprintf("%05d_%s.sql", m.Version, m.Name)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + m.SQL)}
	}
	dialect := map[sqlstore.Dialect]goose.Dialect{
		sqlstore.PostgreSQL: goose.DialectPostgres, sqlstore.MySQL: goose.DialectMySQL, sqlstore.SQLite: goose.DialectSQLite3,
	}[e.dialect]
	provider, err := goose.NewProvider(dialect, dial(t, driver, source), files)
	require.NoError(t, err)
	done, err := provider.Up(t.Context())
	require.NoError(t, err)
	require.Len(t, done, len(all))
}

// executeFiles sends each migration in one query, as golang-migrate does.
func executeFiles(t *testing.T, e engine, driver, source string, all []sqlstore.Migration) {
	t.Helper()
	if e.dialect == sqlstore.MySQL {
		source = mariaWith(func(c *mysql.Config) { c.MultiStatements = true })(t, source)
	}
	db := dial(t, driver, source)
	for _, m := range all {
		run(t, db, m.SQL)
	}
}

func execute(t *testing.T, db *sql.DB, all []sqlstore.Migration) {
	t.Helper()
	for _, m := range all {
		for statement := range strings.SplitSeq(strings.TrimSuffix(m.SQL, ";\n"), ";\n") {
			run(t, db, statement)
		}
	}
}

// schemaOf describes all tables, views and indexes of a database, and the rows of the
// tables that begin with some.
func schemaOf(t *testing.T, e engine, db *sql.DB, prefix string) []string {
	t.Helper()
	var space string
	schema := map[sqlstore.Dialect]string{sqlstore.PostgreSQL: "current_schema()", sqlstore.MySQL: "DATABASE()", sqlstore.SQLite: "''"}[e.dialect]
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT "+schema).Scan(&space))
	described := map[sqlstore.Dialect][]string{
		sqlstore.PostgreSQL: {
			`SELECT concat_ws(' ', 'column', table_name, ordinal_position, column_name, data_type, collation_name, is_nullable, column_default)
				FROM information_schema.columns WHERE table_schema = current_schema()`,
			`SELECT concat_ws(' ', 'index', indexdef) FROM pg_indexes WHERE schemaname = current_schema()`,
			`SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = current_schema()::regnamespace`,
			`SELECT concat_ws(' ', 'table', relname, relkind, reloptions::text) FROM pg_class WHERE relnamespace = current_schema()::regnamespace`,
			`SELECT concat_ws(' ', 'view', viewname, definition) FROM pg_views WHERE schemaname = current_schema()`,
		},
		sqlstore.MySQL: {
			`SELECT CONCAT_WS(' ', 'column', table_name, ordinal_position, column_name, column_type, collation_name, is_nullable, column_default)
				FROM information_schema.columns WHERE table_schema = DATABASE()`,
			`SELECT CONCAT_WS(' ', 'index', table_name, index_name, seq_in_index, column_name, non_unique) FROM information_schema.statistics WHERE table_schema = DATABASE()`,
			`SELECT CONCAT_WS(' ', 'table', table_name, table_type, engine, row_format, table_collation, create_options) FROM information_schema.tables WHERE table_schema = DATABASE()`,
			`SELECT CONCAT_WS(' ', 'view', table_name, view_definition, is_updatable) FROM information_schema.views WHERE table_schema = DATABASE()`,
		},
		sqlstore.SQLite: {`SELECT type || ' ' || name || ' ' || tbl_name || ' ' || COALESCE(sql, '') FROM sqlite_master`},
	}[e.dialect]
	var all []string
	for _, query := range described {
		all = append(all, texts(t, db, query)...)
	}
	for i := range all {
		if space != "" {
			all[i] = strings.ReplaceAll(all[i], space, "space")
		}
	}
	all = slices.DeleteFunc(all, func(line string) bool { return !strings.Contains(line, prefix) }) // goose has a table, too
	for _, query := range []string{
		"SELECT version FROM {p}schema", "SELECT id FROM {p}instance WHERE version = 0 AND max_keys = 0", "SELECT id FROM {p}stripes", "SELECT id FROM {p}feed",
	} {
		for _, row := range texts(t, db, strings.ReplaceAll(query, "{p}", prefix)) {
			all = append(all, query+": "+row)
		}
	}
	slices.Sort(all)
	return all
}

func texts(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		all = append(all, text)
	}
	require.NoError(t, rows.Err())
	return all
}
