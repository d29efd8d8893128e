package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// runner runs statements on one connection, each alone or in a transaction.
type runner struct {
	d    *Database
	conn *sql.Conn
	// notice, unless nil, is written by the COMMIT, on PostgreSQL.
	notice *store.Notice
	// leave ends the turn of a transaction of MySQL at the row of {p}feed.
	leave func()
}

// exec returns how many rows were written.
func (r *runner) exec(ctx context.Context, text string, args ...any) (rows int64, err error) {
	done, err := r.conn.ExecContext(ctx, r.d.translate(text), r.d.values(args)...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// lastID returns what a statement of MySQL has put into LAST_INSERT_ID.
func (r *runner) lastID(ctx context.Context, text string, args ...any) (id int64, err error) {
	done, err := r.conn.ExecContext(ctx, r.d.translate(text), r.d.values(args)...)
	if err != nil {
		return 0, err
	}
	return done.LastInsertId()
}

func (r *runner) row(ctx context.Context, text string, args ...any) *sql.Row {
	return r.conn.QueryRowContext(ctx, r.d.translate(text), r.d.values(args)...)
}

// read runs a statement outside of a transaction. SQLite may find the file locked
// for a moment, such as during recovery.
func (d *Database) read(ctx context.Context, do func(r *runner) error) error {
	return d.retry(ctx, func() error {
		if err := d.ready(ctx); err != nil {
			return err
		}
		return d.use(ctx, func(conn *sql.Conn) error { return do(&runner{d: d, conn: conn}) })
	})
}

// find reads a row by a query that begins with {standby}. A missing row is
// sql.ErrNoRows.
func (d *Database) find(ctx context.Context, text string, args []any, to ...any) error {
	return d.read(ctx, func(r *runner) error {
		return r.row(ctx, text, args...).Scan(append([]any{primary{}}, to...)...)
	})
}

// all reads rows. columns are where those of one row are scanned to.
func all[T any](ctx context.Context, d *Database, columns func(*T) []any, text string, args ...any) ([]T, error) {
	var found []T
	err := d.read(ctx, func(r *runner) error {
		found = nil
		rows, err := r.conn.QueryContext(ctx, d.translate(text), d.values(args)...)
		if err != nil {
			return err
		}
		defer rows.Close() //nolint:errcheck // Err says what went wrong
		for rows.Next() {
			var row T
			if err := rows.Scan(columns(&row)...); err != nil {
				return err
			}
			found = append(found, row)
		}
		return rows.Err()
	})
	return found, err
}

// orNotFound turns a missing row into the contract's error.
func orNotFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}

// single runs a writing statement that is atomic by itself.
func (d *Database) single(ctx context.Context, do func(r *runner) error) error {
	if d.dialect == SQLite {
		return d.write(ctx, do)
	}
	return d.read(ctx, do)
}

// write runs do in a transaction and commits it, unless do fails.
func (d *Database) write(ctx context.Context, do func(r *runner) error) error {
	return d.retry(ctx, func() error {
		if err := d.ready(ctx); err != nil {
			return err
		}
		if d.dialect == SQLite {
			if err := lock(ctx, d.writer); err != nil {
				return err
			}
			defer unlock(d.writer)
		}
		return d.use(ctx, func(conn *sql.Conn) error { return d.transaction(ctx, conn, do) })
	})
}

// transaction sends BEGIN and COMMIT as statements: database/sql cannot begin a
// transaction of SQLite as a writer, nor begin or commit one of PostgreSQL together
// with another statement, and its Commit takes no context and would wait for as long
// as the connection does.
func (d *Database) transaction(ctx context.Context, conn *sql.Conn, do func(r *runner) error) error {
	r := &runner{d: d, conn: conn, leave: func() {}}
	defer func() { r.leave() }()
	_, err := conn.ExecContext(ctx, d.dialect.pick(
		// Under a level stricter than read committed a statement would not see what
		// another transaction committed while it waited for its lock.
		"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 2000",
		"BEGIN",
		// One that begins as a reader could not become a writer once another one wrote.
		"BEGIN IMMEDIATE"))
	if undone(err) {
		return err
	}
	if err == nil {
		err = do(r)
	}
	if err == nil && d.galera.Load() {
		err = r.stillOpen(ctx)
	}
	if err == nil {
		if err = r.commit(ctx); err == nil {
			return nil
		}
		// Unless the database says that it undid the transaction, it may have been made.
		if !d.undone(err) {
			err = fmt.Errorf("%w; whether it was written is unknown", unavailable(ctx, err))
		}
	}
	// Even if BEGIN failed: if ctx ends while it runs, it returns an error
	// although the transaction has begun.
	if _, failed := conn.ExecContext(ctx, "ROLLBACK"); failed != nil {
		discard(conn) // which rolls back
	}
	return err
}

// commitNotice adds the notice of a change of PostgreSQL and commits, in one round
// trip. Such a text takes no arguments, so the notice stands in it in hexadecimal
// digits. The row of {p}feed is locked while the server works, never while it waits
// for the client.
const commitNotice = `WITH n AS (SELECT convert_from(decode('%s', 'hex'), 'UTF8')::json AS n),
	f AS (UPDATE {p}feed SET seq = seq + 1 WHERE id = 1 RETURNING seq),
	added AS (INSERT INTO {p}notices (seq, kind, workspace, key_id, token)
		SELECT f.seq, (n->>'Kind')::smallint, n->>'Workspace', n->>'Key', n->>'Token' FROM f, n)
	SELECT pg_notify('{p}notices', '') FROM f; COMMIT`

func (r *runner) commit(ctx context.Context) error {
	text := "COMMIT"
	if r.notice != nil {
		notice, err := json.Marshal(r.notice)
		if err != nil {
			return err
		}
		text = fmt.Sprintf(r.d.translate(commitNotice), hex.EncodeToString(notice))
	}
	_, err := r.conn.ExecContext(ctx, text)
	return err
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
		case (readOnly(err) || d.behind(err)) && !moved:
			moved = true
			d.dropReadOnly(ctx)
		case !d.undone(err):
			return err
		default:
			// For a random while, up to 1 ms, doubled step times.
			if ended := sleep(ctx, time.Duration(random()%int64(time.Millisecond<<step))); ended != nil {
				return ended
			}
		}
	}
}

// sleep waits, unless ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// random is a number from 0.
func random() int64 {
	var bytes [8]byte
	_, _ = rand.Read(bytes[:]) // it never fails
	return int64(binary.LittleEndian.Uint64(bytes[:]) >> 1)
}
