package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/latchkey-go/latchkey/store"
)

// lock locks a mutex that is a channel of capacity one. The wait ends with ctx.
func lock(ctx context.Context, mutex chan struct{}) error {
	select {
	case mutex <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func unlock(mutex chan struct{}) { <-mutex }

// ready checks once that the schema has the version of this package. A replica that
// passed the check keeps working while a newer replica migrates.
func (d *Database) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.checked.Load() {
		return nil
	}
	if err := lock(ctx, d.checking); err != nil {
		return err
	}
	defer unlock(d.checking)
	if d.checked.Load() {
		return nil
	}
	var version int
	err := d.withConn(ctx, func(conn *sql.Conn) (err error) {
		version, err = d.schemaVersion(ctx, conn)
		return err
	})
	if noTable(err) {
		return fmt.Errorf("%w: the tables do not exist: call Migrate first, or run the SQL of Migrations", store.ErrUnavailable)
	} else if err != nil {
		return err
	}
	if err := d.checkVersion(version); err != nil {
		return err
	}
	if err := d.prepare(ctx); err != nil {
		return err
	}
	d.checked.Store(true)
	return nil
}

func (d *Database) schemaVersion(ctx context.Context, conn *sql.Conn) (int, error) {
	var version int
	err := conn.QueryRowContext(ctx, d.translate(`SELECT COALESCE(MAX(version), 0) FROM {p}schema`)).Scan(&version)
	return version, err
}

// checkVersion returns an error unless the schema has the version of this package.
func (d *Database) checkVersion(version int) error {
	if newest := len(d.migrations); version < newest {
		return fmt.Errorf("%w: the schema has version %d, this release needs %d: call Migrate first, or run the SQL of Migrations after version %d",
			store.ErrUnavailable, version, newest, version)
	}
	return d.refuseNewer(version)
}

// refuseNewer returns an error if the schema is newer than this release.
func (d *Database) refuseNewer(version int) error {
	if newest := len(d.migrations); version > newest {
		return fmt.Errorf("%w: the schema has version %d, this release knows up to %d: use a newer release", store.ErrUnavailable, version, newest)
	}
	return nil
}

// frequent is a query of one row that logins and bearer checks make. It runs on any free
// connection, without the check of the session's settings; {standby} checks what matters.
type frequent struct {
	text string
	// stmt saves at least half of the time on MySQL and SQLite. It is nil on PostgreSQL,
	// whose drivers have statement caches that work with connection poolers.
	stmt *sql.Stmt
}

// prepare prepares the frequent queries.
func (d *Database) prepare(ctx context.Context) error {
	for text, q := range map[string]*frequent{lookup: &d.lookup, lookupSecret: &d.lookupSecret, readEpochs: &d.epochs} {
		q.text = d.translate(text)
		if d.galera.Load() {
			q.text = fmt.Sprint("SET STATEMENT wsrep_sync_wait = ", syncWaitAll, " FOR ", q.text)
		}
		if d.dialect == PostgreSQL || q.stmt != nil {
			continue
		}
		var err error
		if q.stmt, err = d.pool.PrepareContext(ctx, q.text); err != nil {
			return err
		}
	}
	return nil
}

// findFrequent is like find, for a frequent query. Its arguments are text or bytes.
func (d *Database) findFrequent(ctx context.Context, q *frequent, args []any, to ...any) error {
	to = append([]any{primary{}}, to...)
	values := d.values(args)
	if d.dialect == MySQL {
		for i, value := range values {
			values[i] = fmt.Sprintf("%x", value)
		}
	}
	return d.retry(ctx, func() error {
		if err := d.ready(ctx); err != nil {
			return err
		}
		if q.stmt != nil {
			return q.stmt.QueryRowContext(ctx, values...).Scan(to...)
		}
		return d.pool.QueryRowContext(ctx, q.text, values...).Scan(to...)
	})
}
