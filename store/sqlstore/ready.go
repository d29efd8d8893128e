package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

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
	if err := d.checkConnection(ctx, d.pool.QueryRowContext); err != nil {
		return err
	}
	version, err := schemaVersion(ctx, d.pool.QueryRowContext, d.text.version)
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
		stmt, err := d.pool.PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		d.prepared[text] = stmt
	}
	return nil
}

type queryRow func(ctx context.Context, query string, args ...any) *sql.Row

func schemaVersion(ctx context.Context, row queryRow, query string) (int, error) {
	var version int
	err := row(ctx, query).Scan(&version)
	return version, err
}

// checkConnection refuses a SQLite connection that could lose what was
// acknowledged, or fail at the first sight of another writer. The settings
// come with the data source's name and so are those of every connection.
func (d *Database) checkConnection(ctx context.Context, row queryRow) error {
	if d.dialect != SQLite {
		return nil
	}
	var journal string
	var synchronous, timeout int
	if err := row(ctx, "PRAGMA journal_mode").Scan(&journal); err != nil {
		return err
	}
	if err := row(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil {
		return err
	}
	if err := row(ctx, "PRAGMA busy_timeout").Scan(&timeout); err != nil {
		return err
	}
	var problems []string
	if journal != "wal" {
		problems = append(problems, "journal_mode must be WAL")
	}
	if synchronous < 2 {
		problems = append(problems, "synchronous must be FULL or EXTRA")
	}
	if timeout <= 0 {
		problems = append(problems, "busy_timeout must be set")
	}
	if len(problems) > 0 {
		return fmt.Errorf("%w: the connection's pragmas: %s", store.ErrUnavailable, strings.Join(problems, ", "))
	}
	return nil
}
