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
	create := d.translate(`CREATE TABLE IF NOT EXISTS {p}schema (version INTEGER NOT NULL PRIMARY KEY, applied TIMESTAMP DEFAULT CURRENT_TIMESTAMP)`)
	if _, err := conn.ExecContext(ctx, create); err != nil {
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
		if _, err := conn.ExecContext(ctx, d.translate(`INSERT INTO {p}schema (version) VALUES (?) ON CONFLICT DO NOTHING`), n); err != nil {
			return err
		}
	}
	return nil
}

// migrations returns the statements of each migration, the first one first.
func migrations(dialect Dialect, prefix string) [][]string {
	var all [][]string
	for n := 1; ; n++ {
		name := fmt.Sprintf("migrations/%s_%04d.sql", strings.ToLower(dialect.String()), n)
		text, err := migrationFiles.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return all
		}
		var statements []string
		for statement := range strings.SplitSeq(strings.ReplaceAll(string(text), "{p}", prefix), ";\n") {
			if statement = strings.TrimSpace(statement); statement != "" {
				statements = append(statements, statement)
			}
		}
		all = append(all, statements)
	}
}
