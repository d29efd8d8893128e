package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// runner runs statements: alone, or inside a transaction.
type runner interface {
	exec(ctx context.Context, query string, args ...any) (sql.Result, error)
	rows(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	row(ctx context.Context, query string, args ...any) *sql.Row
}

// pool runs each statement alone.
type pool struct{ d *Database }

func (p pool) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := p.d.prepared[query]; stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return p.d.pool.ExecContext(ctx, query, args...)
}

func (p pool) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := p.d.prepared[query]; stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return p.d.pool.QueryContext(ctx, query, args...)
}

func (p pool) row(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := p.d.prepared[query]; stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return p.d.pool.QueryRowContext(ctx, query, args...)
}

// transaction runs statements in one of MySQL.
type transaction struct {
	d  *Database
	tx *sql.Tx
}

func (t transaction) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := t.d.prepared[query]; stmt != nil {
		return t.tx.StmtContext(ctx, stmt).ExecContext(ctx, args...)
	}
	return t.tx.ExecContext(ctx, query, args...)
}

func (t transaction) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := t.d.prepared[query]; stmt != nil {
		return t.tx.StmtContext(ctx, stmt).QueryContext(ctx, args...)
	}
	return t.tx.QueryContext(ctx, query, args...)
}

func (t transaction) row(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := t.d.prepared[query]; stmt != nil {
		return t.tx.StmtContext(ctx, stmt).QueryRowContext(ctx, args...)
	}
	return t.tx.QueryRowContext(ctx, query, args...)
}

// connection runs statements in a transaction of SQLite, which database/sql
// cannot begin as a writer.
type connection struct{ c *sql.Conn }

func (c connection) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return c.c.ExecContext(ctx, query, args...)
}

func (c connection) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return c.c.QueryContext(ctx, query, args...)
}

func (c connection) row(ctx context.Context, query string, args ...any) *sql.Row {
	return c.c.QueryRowContext(ctx, query, args...)
}

// read runs a statement that reads. SQLite may find the file locked for a
// moment, such as during recovery.
func (d *Database) read(ctx context.Context, do func(r runner) error) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	return d.again(ctx, func() error { return do(pool{d}) })
}

// single runs one writing statement that is atomic by itself.
func (d *Database) single(ctx context.Context, do func(r runner) error) error {
	if d.dialect == SQLite {
		return d.write(ctx, do)
	}
	if err := d.ready(ctx); err != nil {
		return err
	}
	return d.again(ctx, func() error { return do(pool{d}) })
}

// write runs do in a transaction and commits it, unless do fails.
func (d *Database) write(ctx context.Context, do func(r runner) error) error {
	if err := d.ready(ctx); err != nil {
		return err
	}
	return d.again(ctx, func() error {
		switch d.dialect {
		case SQLite:
			return d.writeSQLite(ctx, do)
		case PostgreSQL:
			return d.writePostgreSQL(ctx, do)
		}
		return d.writeMySQL(ctx, do)
	})
}

func (d *Database) writeMySQL(ctx context.Context, do func(r runner) error) error {
	ending, end := context.WithCancel(ctx)
	defer end()
	tx, err := d.pool.BeginTx(ending, nil)
	if err != nil {
		return err
	}
	if err := do(transaction{d, tx}); err != nil {
		_ = tx.Rollback() //nolint:errcheck // the connection is closed if it fails
		return err
	}
	// Tx.Commit would wait for as long as the connection does: MySQL's driver
	// gets no context there. Of tx nothing is left to do then but to give the
	// connection back, for which nobody need wait: see end.
	if _, err = tx.ExecContext(ctx, "COMMIT"); err != nil {
		return d.unknown(ctx, err)
	}
	return nil
}

func (d *Database) writeSQLite(ctx context.Context, do func(r runner) error) error {
	select {
	case d.writer <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-d.writer }()
	conn, err := d.pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	// A transaction that begins as a reader could not become a writer once
	// another one wrote.
	_, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	if d.dialect.undone(err) {
		return err
	}
	if err == nil {
		err = do(connection{conn})
	}
	if err == nil {
		if _, err = conn.ExecContext(ctx, "COMMIT"); err == nil {
			return nil
		}
		if !d.dialect.undone(err) {
			err = d.unknown(ctx, err)
		}
	}
	// Even if it was the first statement that failed: whoever gives up as it
	// ends is told of that, though the transaction has begun.
	if _, failed := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); failed != nil {
		discard(conn) // which rolls back
	}
	return err
}

// unknown is the error of a commit. Unless the database says that it undid
// the transaction, it may have been made.
func (d *Database) unknown(ctx context.Context, err error) error {
	if d.dialect.undone(err) {
		return err
	}
	return fmt.Errorf("%w; whether it was written is unknown", unavailable(ctx, err))
}

// attempts is how often something is tried that others undo: enough for
// hundreds of writers at one row, few enough to end.
const attempts = 30

// again runs do until nobody undoes it.
func (d *Database) again(ctx context.Context, do func() error) error {
	for attempt := 1; ; attempt++ {
		err := do()
		if err == nil || attempt == attempts || ctx.Err() != nil || !d.dialect.undone(err) {
			return err
		}
		if ended := pause(ctx, attempt); ended != nil {
			return ended
		}
	}
}

// pause waits for a random while, longer with each attempt: up to 2 ms after
// the first, up to 64 ms after the sixth.
func pause(ctx context.Context, attempt int) error {
	most := time.Millisecond << min(attempt, 6)
	n, err := rand.Int(rand.Reader, big.NewInt(int64(most)))
	if err != nil {
		return err
	}
	timer := time.NewTimer(time.Duration(n.Int64()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// found turns a missing row into the contract's error.
func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}
