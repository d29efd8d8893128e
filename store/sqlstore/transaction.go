package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// runner runs statements: alone, or inside a transaction.
type runner interface {
	exec(ctx context.Context, query string, args ...any) (sql.Result, error)
	rows(ctx context.Context, query string, args ...any) (checkedRows, error)
	row(ctx context.Context, query string, args ...any) checkedRow
}

// pool runs each statement alone.
type pool struct{ d *Database }

func (p pool) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := p.d.prepared[query]; stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return p.d.pool.ExecContext(ctx, query, args...)
}

func (p pool) rows(ctx context.Context, query string, args ...any) (checkedRows, error) {
	if stmt := p.d.prepared[query]; stmt != nil {
		return p.d.checkedRows(stmt.QueryContext(ctx, args...))
	}
	return p.d.checkedRows(p.d.pool.QueryContext(ctx, p.d.checkedQuery(query), args...))
}

func (p pool) row(ctx context.Context, query string, args ...any) checkedRow {
	if stmt := p.d.prepared[query]; stmt != nil {
		return p.d.checkedRow(stmt.QueryRowContext(ctx, args...))
	}
	return p.d.checkedRow(p.d.pool.QueryRowContext(ctx, p.d.checkedQuery(query), args...))
}

// mysqlTransaction runs statements in a transaction of MySQL.
type mysqlTransaction struct {
	d  *Database
	tx *sql.Tx
	// leave ends its turn in the lane of the feed.
	leave func()
}

// enterFeed waits for the transaction's turn, which lasts until it ends. A
// transaction adds one notice at most.
func (t *mysqlTransaction) enterFeed(ctx context.Context) error {
	leave, err := enter(ctx, t.d.lanes.feed)
	if err == nil {
		t.leave = leave
	}
	return err
}

func (t *mysqlTransaction) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := t.d.prepared[query]; stmt != nil {
		return t.tx.StmtContext(ctx, stmt).ExecContext(ctx, args...)
	}
	return t.tx.ExecContext(ctx, query, args...)
}

func (t *mysqlTransaction) rows(ctx context.Context, query string, args ...any) (checkedRows, error) {
	if stmt := t.d.prepared[query]; stmt != nil {
		return t.d.checkedRows(t.tx.StmtContext(ctx, stmt).QueryContext(ctx, args...))
	}
	return t.d.checkedRows(t.tx.QueryContext(ctx, t.d.checkedQuery(query), args...))
}

func (t *mysqlTransaction) row(ctx context.Context, query string, args ...any) checkedRow {
	if stmt := t.d.prepared[query]; stmt != nil {
		return t.d.checkedRow(t.tx.StmtContext(ctx, stmt).QueryRowContext(ctx, args...))
	}
	return t.d.checkedRow(t.tx.QueryRowContext(ctx, t.d.checkedQuery(query), args...))
}

// connection runs statements on one connection, on which BEGIN was sent as a
// statement: database/sql cannot begin a transaction of SQLite as a writer, nor
// one of PostgreSQL together with another statement.
type connection struct{ c *sql.Conn }

func (c connection) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return c.c.ExecContext(ctx, query, args...)
}

func (c connection) rows(ctx context.Context, query string, args ...any) (checkedRows, error) {
	rows, err := c.c.QueryContext(ctx, query, args...)
	return checkedRows{Rows: rows}, err
}

func (c connection) row(ctx context.Context, query string, args ...any) checkedRow {
	return checkedRow{row: c.c.QueryRowContext(ctx, query, args...)}
}

// read runs a statement that reads. SQLite may find the file locked for a
// moment, such as during recovery.
func (d *Database) read(ctx context.Context, do func(r runner) error) error {
	return d.retry(ctx, func() error {
		if err := d.ready(ctx); err != nil {
			return err
		}
		return do(pool{d})
	})
}

// autocommit runs one writing statement that is atomic by itself, outside of a
// transaction but on SQLite. The statement of MySQL must contain committed, which
// makes it fail on a session without autocommit.
func (d *Database) autocommit(ctx context.Context, do func(r runner) error) error {
	if d.dialect == SQLite {
		return d.write(ctx, do)
	}
	return d.read(ctx, do)
}

// single runs one writing statement that is atomic by itself and does not contain
// committed: on MySQL and SQLite in a transaction.
func (d *Database) single(ctx context.Context, do func(r runner) error) error {
	if d.dialect == PostgreSQL {
		return d.read(ctx, do)
	}
	return d.write(ctx, do)
}

// write runs do in a transaction and commits it, unless do fails.
func (d *Database) write(ctx context.Context, do func(r runner) error) error {
	return d.retry(ctx, func() error {
		if err := d.ready(ctx); err != nil {
			return err
		}
		switch d.dialect {
		case PostgreSQL:
			return d.writePostgreSQL(ctx, do)
		case MySQL:
			return d.writeMySQL(ctx, do)
		}
		return d.writeSQLite(ctx, do)
	})
}

// writeMySQL runs do in a transaction. Tx.Commit and Tx.Rollback take no context
// and would wait for as long as the connection does, so COMMIT and ROLLBACK are
// sent as statements. Afterwards the context of the Tx is cancelled: database/sql
// then sends one more ROLLBACK, which finds nothing to undo, and lets go of the
// connection. No caller waits for that.
func (d *Database) writeMySQL(ctx context.Context, do func(r runner) error) error {
	ending, end := context.WithCancel(ctx)
	defer end()
	var tx *sql.Tx
	conn, err := d.begin(ctx, func(conn *sql.Conn) (err error) {
		tx, err = conn.BeginTx(ending, nil)
		return err
	})
	if err != nil {
		return err
	}
	t := &mysqlTransaction{d: d, tx: tx, leave: func() {}}
	defer func() { t.leave() }()
	if err = do(t); err == nil && d.galera.Load() {
		err = stillOpen(ctx, tx)
	}
	if err != nil {
		_, _ = tx.ExecContext(ctx, "ROLLBACK") //nolint:errcheck // the connection is closed if it fails
	} else if _, err = tx.ExecContext(ctx, "COMMIT"); err != nil {
		err = d.unknown(ctx, err)
	}
	go d.giveBack(conn, err)
	return err
}

// begin begins a transaction on a connection that works: a pool may hold some that
// broke.
func (d *Database) begin(ctx context.Context, begin func(*sql.Conn) error) (*sql.Conn, error) {
	for attempt := 1; ; attempt++ {
		conn, err := d.pool.Conn(ctx)
		if err != nil {
			return nil, err
		}
		err = d.session(ctx, conn)
		if err == nil && d.galera.Load() {
			err = d.prepareAhead(ctx, conn)
		}
		if err == nil {
			if err = begin(conn); err == nil {
				return conn, nil
			}
		}
		discard(conn)
		if !errors.Is(err, driver.ErrBadConn) || attempt == beginAttempts {
			return nil, err
		}
	}
}

// beginAttempts is how many connections are tried: more than a pool is likely to
// hold.
const beginAttempts = 100

// giveBack returns a connection to the pool, or closes it if its server takes no
// writes.
func (d *Database) giveBack(conn *sql.Conn, err error) {
	if d.dialect.readOnly(err) {
		discard(conn)
		return
	}
	_ = conn.Close() //nolint:errcheck // it goes back to the pool
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
	if err := d.session(ctx, conn); err != nil {
		return err
	}
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
	// Even if BEGIN failed: if ctx ends while it runs, it returns an error
	// although the transaction has begun.
	if _, failed := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); failed != nil {
		discard(conn) // which rolls back
	}
	return err
}

// unknown is the error of a commit. Unless the database says that it undid
// the transaction, it may have been made.
func (d *Database) unknown(ctx context.Context, err error) error {
	if d.undone(err) {
		return err
	}
	return fmt.Errorf("%w; whether it was written is unknown", unavailable(ctx, err))
}

// attempts is how often retry runs something: enough for
// hundreds of writers at one row, few enough to end.
const (
	attempts       = 30
	attemptsGalera = 100
)

// retry runs do again as long as the database undid it because of others at work.
// If a server that takes no writes has answered, do runs once more: the host's
// connections may lead to another server by now.
func (d *Database) retry(ctx context.Context, do func() error) error {
	moved := false
	for attempt := 1; ; attempt++ {
		err := do()
		most, step := attempts, min(attempt, 6)
		if d.galera.Load() {
			// The writers of one process take turns. Of those at several nodes the
			// first to commit wins: one that waits long loses to others.
			most, step = attemptsGalera, 0
		}
		switch {
		case err == nil || attempt == most || ctx.Err() != nil:
			return err
		case (d.dialect.readOnly(err) || d.behind(err)) && !moved:
			moved = true
			d.dropReadOnly(ctx)
		case !d.undone(err):
			return err
		default:
			if ended := pause(ctx, step); ended != nil {
				return ended
			}
		}
	}
}

// pause waits for a random while, up to 1 ms, doubled step times.
func pause(ctx context.Context, step int) error {
	most := time.Millisecond << step
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

// orNotFound turns a missing row into the contract's error.
func orNotFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}
