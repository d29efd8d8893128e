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

// Migrate brings the tables to the version of this release: it makes them, or
// applies what came new since. Every replica may call it at every start, at
// the same time too: one works, the others wait. A schema that is newer than
// this release is refused and left as it is. There is no way back.
//
// It needs the right to create tables and views; other calls only read and write rows.
// On PostgreSQL and SQLite a migration is one transaction. MySQL commits each
// of its statements; one that was interrupted is finished by the next call.
func (d *Database) Migrate(ctx context.Context) error {
	return fail(ctx, "migrate", d.migrate(ctx))
}

func (d *Database) migrate(ctx context.Context) error {
	// Of connections that open a new SQLite file at once some are refused, since
	// the first to come changes its journal: no busy timeout waits for that.
	return d.retry(ctx, func() error {
		return d.use(ctx, func(conn *sql.Conn) error {
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

// migrateAtOnce migrates PostgreSQL or SQLite in one transaction. On PostgreSQL
// replicas that start at once migrate one after another; in SQLite a transaction
// that writes is alone anyway.
func (d *Database) migrateAtOnce(ctx context.Context, r *runner) error {
	if d.dialect == PostgreSQL {
		if _, err := r.exec(ctx, `SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.{p}schema'))`); err != nil {
			return err
		}
	}
	return d.apply(ctx, r.conn, func() error { return nil })
}

// migrateMySQL holds a named lock of the server, since what changes tables
// ends a transaction. The lock ends with the session, and that if its client
// vanishes; such a session is not for the pool.
func (d *Database) migrateMySQL(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, fmt.Sprint("SET SESSION wait_timeout = ", idleTransaction)); err != nil {
		return err
	}
	defer discard(conn)
	for {
		var got sql.NullInt64
		if err := conn.QueryRowContext(ctx, d.translate(`SELECT GET_LOCK(SHA1(CONCAT(DATABASE(), '.{p}schema')), 10)`)).Scan(&got); err != nil {
			return err
		}
		if got.Int64 == 1 {
			break
		}
	}
	return d.apply(ctx, conn, func() error { return nil })
}

// apply runs the migrations that are missing, and before each statement goOn.
func (d *Database) apply(ctx context.Context, conn *sql.Conn, goOn func() error) error {
	create := d.translate(`CREATE TABLE IF NOT EXISTS {p}schema (version INTEGER NOT NULL PRIMARY KEY, applied TIMESTAMP DEFAULT CURRENT_TIMESTAMP)`)
	if _, err := conn.ExecContext(ctx, create); err != nil {
		return err
	}
	version, err := d.schemaVersion(ctx, conn)
	if err != nil {
		return err
	}
	if err := d.known(version); err != nil {
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
