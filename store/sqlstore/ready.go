package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/latchkey-go/latchkey/store"
)

// ready checks once that the schema is the one this package writes. A replica
// that passed keeps working while a newer one migrates.
func (d *Database) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.checked.Load() {
		return nil
	}
	select {
	case d.checking <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.checking }()
	if d.checked.Load() {
		return nil
	}
	version, err := d.checkSession(ctx)
	if err != nil && !d.dialect.noTable(err) {
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

// fits compares the schema's version with the one this package writes.
func (d *Database) fits(version int) error {
	newest := len(d.text.migrations)
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
	if newest := len(d.text.migrations); version > newest {
		return fmt.Errorf("%w: the schema has version %d, this release knows up to %d: use a newer release", store.ErrUnavailable, version, newest)
	}
	return nil
}

// prepare prepares the fixed statements where a driver would else send each
// one twice (MySQL) or parse it each time (SQLite). PostgreSQL's drivers have
// caches of their own, which know of connection poolers.
func (d *Database) prepare(ctx context.Context) error {
	if d.dialect == PostgreSQL {
		return nil
	}
	for _, text := range d.text.fixed {
		if d.prepared[text] != nil {
			continue
		}
		stmt, err := d.pool.PrepareContext(ctx, d.checkedQuery(text))
		if err != nil {
			return err
		}
		d.prepared[text] = stmt
	}
	return nil
}

func (d *Database) schemaVersion(ctx context.Context, conn *sql.Conn) (int, error) {
	var version int
	err := conn.QueryRowContext(ctx, d.text.version).Scan(&version)
	return version, err
}

// checkSession checks one connection before the first use: if the settings come
// with the data source's name, they are those of every connection. Through it,
// it reads the schema's version.
func (d *Database) checkSession(ctx context.Context) (version int, err error) {
	conn, err := d.pool.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	if err := d.session(ctx, conn); err != nil {
		return 0, err
	}
	return d.schemaVersion(ctx, conn)
}
