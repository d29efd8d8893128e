package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/latchkey-go/latchkey/store"
)

// lock takes a lock of a channel of one, for which a call can stop waiting.
func lock(ctx context.Context, mutex chan struct{}) error {
	select {
	case mutex <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func unlock(mutex chan struct{}) { <-mutex }

// ready checks once that the schema is the one this package writes. A replica
// that passed keeps working while a newer one migrates.
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
	err := d.use(ctx, func(conn *sql.Conn) (err error) {
		version, err = d.schemaVersion(ctx, conn)
		return err
	})
	if err != nil && !noTable(err) {
		return err
	}
	if err := d.fits(version); err != nil {
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

// fits compares the schema's version with the one this package writes.
func (d *Database) fits(version int) error {
	newest := len(d.migrations)
	switch {
	case version == 0:
		return fmt.Errorf("%w: the tables are not there: call Migrate first", store.ErrUnavailable)
	case version < newest:
		return fmt.Errorf("%w: the schema has version %d, this release needs %d: call Migrate first", store.ErrUnavailable, version, newest)
	}
	return d.known(version)
}

// known refuses a schema from the future.
func (d *Database) known(version int) error {
	if newest := len(d.migrations); version > newest {
		return fmt.Errorf("%w: the schema has version %d, this release knows up to %d: use a newer release", store.ErrUnavailable, version, newest)
	}
	return nil
}

// frequent is a query of one row, which a login or a guard of a route makes. It runs
// on whichever connection is free, and checks by {standby} what it must.
type frequent struct {
	text string
	// stmt saves MySQL and SQLite half of the time and more. PostgreSQL's drivers
	// have caches of their own, which know of connection poolers.
	stmt *sql.Stmt
}

// prepare readies the frequent queries.
func (d *Database) prepare(ctx context.Context) error {
	for text, q := range map[string]*frequent{lookup: &d.lookup, readEpochs: &d.epochs} {
		q.text = d.translate(text)
		if d.galera.Load() {
			q.text = fmt.Sprint("SET STATEMENT wsrep_sync_wait = ", everySync, " FOR ", q.text)
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

// findFrequent is find for a frequent query, whose arguments are texts or bytes.
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
