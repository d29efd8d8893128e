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

// transaction runs statements in one of MySQL.
type transaction struct {
	d  *Database
	tx *sql.Tx
	// leave ends its turn at the number of the notice.
	leave func()
}

// enterFeed waits for the transaction's turn, which lasts until its end. Each
// tells one notice.
func (t *transaction) enterFeed(ctx context.Context) error {
	leave, err := enter(ctx, t.d.lanes.feed)
	if err == nil {
		t.leave = leave
	}
	return err
}

func (t transaction) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := t.d.prepared[query]; stmt != nil {
		return t.tx.StmtContext(ctx, stmt).ExecContext(ctx, args...)
	}
	return t.tx.ExecContext(ctx, query, args...)
}

func (t transaction) rows(ctx context.Context, query string, args ...any) (checkedRows, error) {
	if stmt := t.d.prepared[query]; stmt != nil {
		return t.d.checkedRows(t.tx.StmtContext(ctx, stmt).QueryContext(ctx, args...))
	}
	return t.d.checkedRows(t.tx.QueryContext(ctx, t.d.checkedQuery(query), args...))
}

func (t transaction) row(ctx context.Context, query string, args ...any) checkedRow {
	if stmt := t.d.prepared[query]; stmt != nil {
		return t.d.checkedRow(t.tx.StmtContext(ctx, stmt).QueryRowContext(ctx, args...))
	}
	return t.d.checkedRow(t.tx.QueryRowContext(ctx, t.d.checkedQuery(query), args...))
}

// connection runs statements in a transaction of SQLite, which database/sql
// cannot begin as a writer.
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
	return d.again(ctx, func() error {
		if err := d.ready(ctx); err != nil {
			return err
		}
		return do(pool{d})
	})
}

// alone runs one writing statement that is atomic by itself. One of MySQL is
// made by committed.
func (d *Database) alone(ctx context.Context, do func(r runner) error) error {
	if d.dialect == SQLite {
		return d.write(ctx, do)
	}
	return d.read(ctx, do)
}

// single runs one writing statement that is atomic by itself.
func (d *Database) single(ctx context.Context, do func(r runner) error) error {
	if d.dialect == PostgreSQL {
		return d.read(ctx, do)
	}
	return d.write(ctx, do)
}

// write runs do in a transaction and commits it, unless do fails.
func (d *Database) write(ctx context.Context, do func(r runner) error) error {
	return d.again(ctx, func() error {
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

// writeMySQL runs do in a transaction. MySQL's driver gets no context in Tx.Commit
// and Tx.Rollback, which would wait for as long as the connection does. So both
// are statements. Of the Tx nothing is left to do then but to let go of the
// connection, for which no caller waits: the end of its context does that.
func (d *Database) writeMySQL(ctx context.Context, do func(r runner) error) error {
	ending, end := context.WithCancel(ctx)
	defer end()
	conn, tx, err := d.beginMySQL(ctx, ending)
	if err != nil {
		return err
	}
	t := &transaction{d: d, tx: tx, leave: func() {}}
	defer func() { t.leave() }()
	if err = do(t); err != nil {
		_, _ = tx.ExecContext(ctx, "ROLLBACK") //nolint:errcheck // the connection is closed if it fails
	} else if _, err = tx.ExecContext(ctx, "COMMIT"); err != nil {
		err = d.unknown(ctx, err)
	}
	go d.giveBack(conn, err)
	return err
}

// beginMySQL begins a transaction on a connection that works: a pool may hold
// some that broke.
func (d *Database) beginMySQL(ctx, ending context.Context) (*sql.Conn, *sql.Tx, error) {
	for attempt := 1; ; attempt++ {
		conn, err := d.pool.Conn(ctx)
		if err != nil {
			return nil, nil, err
		}
		err = d.session(ctx, conn)
		if err == nil && d.galera.Load() {
			err = d.prepareAhead(ctx, conn)
		}
		if err == nil {
			var tx *sql.Tx
			if tx, err = conn.BeginTx(ending, nil); err == nil {
				return conn, tx, nil
			}
		}
		discard(conn)
		if !errors.Is(err, driver.ErrBadConn) || attempt == beginAttempts {
			return nil, nil, err
		}
	}
}

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
	if d.undone(err) {
		return err
	}
	return fmt.Errorf("%w; whether it was written is unknown", unavailable(ctx, err))
}

// attempts is how often something is tried that others undo: enough for
// hundreds of writers at one row, few enough to end.
const (
	attempts       = 30
	attemptsGalera = 100
)

// again runs do until nobody undoes it. What a server that takes no writes has
// answered is asked once more, of another one if the host's connections lead to
// one by now.
func (d *Database) again(ctx context.Context, do func() error) error {
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

// found turns a missing row into the contract's error.
func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}
