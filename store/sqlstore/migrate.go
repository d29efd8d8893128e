package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Migrate creates the tables or updates them to the schema of this release. Every
// replica may call it at every start, also concurrently: one replica migrates and the
// others wait. A schema that is newer than this release is an error and is not changed.
// There is no downgrade.
//
// Migrate needs the right to create tables and views; other calls only read and write
// rows. On PostgreSQL and SQLite a migration is one transaction. On MySQL each statement
// commits by itself; the next call completes an interrupted migration.
func (d *Database) Migrate(ctx context.Context) error {
	return fail(ctx, "migrate", d.migrate(ctx))
}

func (d *Database) migrate(ctx context.Context) error {
	// If several connections open a new SQLite file at once, some fail with SQLITE_BUSY,
	// since one of them changes the journal mode. The busy timeout does not cover that.
	return d.retry(ctx, func() error {
		return d.withConn(ctx, func(conn *sql.Conn) error {
			switch {
			case d.galera.Load():
				return d.migrateGalera(ctx, conn)
			case d.dialect == MySQL:
				return d.migrateMySQL(ctx, conn)
			}
			return d.transaction(ctx, conn, func(r *runner) error { return d.migrateAtOnce(ctx, r) })
		})
	})
}

// migrateAtOnce migrates PostgreSQL or SQLite in one transaction. On PostgreSQL an
// advisory lock serializes replicas. SQLite serializes writing transactions itself.
func (d *Database) migrateAtOnce(ctx context.Context, r *runner) error {
	if d.dialect == PostgreSQL {
		if _, err := r.exec(ctx, `SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.{p}schema'))`); err != nil {
			return err
		}
	}
	return d.apply(ctx, r.conn, func() error { return nil })
}

// migrateMySQL holds a named lock of the server, since statements that change tables
// end a transaction. The lock ends with the session. A short wait_timeout ends the
// session if its client vanishes, so the connection is not returned to the pool.
func (d *Database) migrateMySQL(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, fmt.Sprint("SET SESSION wait_timeout = ", idleTransaction)); err != nil {
		return err
	}
	defer discard(conn)
	for {
		var got sql.NullInt64
		if err := conn.QueryRowContext(ctx, d.translate(`SELECT GET_LOCK(SHA1(CONCAT(COALESCE(DATABASE(), ''), '.{p}schema')), 10)`)).Scan(&got); err != nil {
			return err
		}
		if got.Int64 == 1 {
			break
		}
	}
	return d.apply(ctx, conn, func() error { return nil })
}

// apply runs the missing migrations. It calls goOn before each statement and stops if
// that fails.
func (d *Database) apply(ctx context.Context, conn *sql.Conn, goOn func() error) error {
	// The table of versions must exist before it can be read.
	if _, err := conn.ExecContext(ctx, d.migrations[0][0]); err != nil {
		return err
	}
	version, err := d.schemaVersion(ctx, conn)
	if err != nil {
		return err
	}
	if err := d.refuseNewer(version); err != nil {
		return err
	}
	for n := version + 1; n <= len(d.migrations); n++ {
		for _, statement := range d.migrations[n-1] {
			if err := goOn(); err != nil {
				return err
			}
			if _, err := conn.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

// Migration is the SQL that brings the tables from the version before to Version.
type Migration struct {
	Version int // of the schema; the first is 1
	// Name is for a file name: the prefix of the tables, "schema_" and the version.
	Name string
	// SQL is the statements, with the views and the row in which the version is
	// recorded. A semicolon at the end of a line ends a statement, and no other does.
	SQL string
}

// Migrations returns all migrations as SQL, the first one first, for a host that runs
// them with a tool of its own instead of Migrate. Write each to a file of that tool. A
// release that changes the schema adds migrations and does not change those before.
//
// The tables are the same either way, and so is the check of their version before the
// first use. Migrate does nothing to tables that the SQL made, and the SQL must not be
// run on tables that Migrate made: tell the tool that it was applied. On MySQL run it
// statement by statement, or set multiStatements=true in the tool's data source name.
//
// cfg must be the Config of New. The errors are those of New.
func Migrations(dialect Dialect, cfg Config) ([]Migration, error) {
	cfg, problems := cfg.check(dialect)
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("sqlstore: %w", err)
	}
	var all []Migration
	for i, statements := range migrations(dialect, cfg.Prefix) {
		all = append(all, Migration{
			Version: i + 1, Name: fmt.Sprintf("%sschema_%d", cfg.Prefix, i+1),
			SQL: strings.Join(statements, ";\n\n") + ";\n",
		})
	}
	return all, nil
}

// migrations returns the statements of each migration, the first one first. The first
// statement of all creates the table of versions, and the last one of each migration
// records its version.
func migrations(dialect Dialect, prefix string) [][]string {
	var all [][]string
	for n := 1; ; n++ {
		name := fmt.Sprintf("migrations/%s_%04d.sql", strings.ToLower(dialect.String()), n)
		text, err := migrationFiles.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return all
		}
		var statements []string
		if n == 1 {
			statements = append(statements, "CREATE TABLE IF NOT EXISTS "+prefix+
				"schema (version INTEGER NOT NULL PRIMARY KEY, applied TIMESTAMP DEFAULT CURRENT_TIMESTAMP)")
		}
		for statement := range strings.SplitSeq(strings.ReplaceAll(string(text), "{p}", prefix), ";\n") {
			if statement = strings.TrimSpace(statement); statement != "" {
				statements = append(statements, statement)
			}
		}
		record := fmt.Sprintf("INSERT INTO %sschema (version) VALUES (%d) ON CONFLICT DO NOTHING", prefix, n)
		if dialect == MySQL {
			record = onDuplicateKey(record)
		}
		all = append(all, append(statements, record))
	}
}
