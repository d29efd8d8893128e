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
	// notification, unless nil, is written together with the COMMIT. PostgreSQL only.
	notification *store.Notification
	// release releases the lock of the row of {p}feed. MySQL only.
	release func()
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

// read runs do outside of a transaction, with retries: SQLite may find the file locked
// for a moment, for example during recovery.
func (d *Database) read(ctx context.Context, do func(r *runner) error) error {
	return d.retry(ctx, func() error {
		if err := d.ready(ctx); err != nil {
			return err
		}
		return d.withConn(ctx, func(conn *sql.Conn) error { return do(&runner{d: d, conn: conn}) })
	})
}

// find reads a row by a query that begins with {standby}. A missing row is
// sql.ErrNoRows.
func (d *Database) find(ctx context.Context, text string, args []any, to ...any) error {
	return d.read(ctx, func(r *runner) error {
		return r.row(ctx, text, args...).Scan(append([]any{primary{}}, to...)...)
	})
}

// all reads rows. columns returns the scan destinations of a row.
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

// orNotFound turns sql.ErrNoRows into store.ErrNotFound.
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
		return d.withConn(ctx, func(conn *sql.Conn) error { return d.transaction(ctx, conn, do) })
	})
}

// transaction runs do in a transaction. It sends BEGIN and COMMIT as statements for
// three reasons: database/sql cannot begin a SQLite transaction as a writer; it cannot
// begin or commit a PostgreSQL transaction together with another statement; and its
// Commit takes no context, so it could wait without a bound.
func (d *Database) transaction(ctx context.Context, conn *sql.Conn, do func(r *runner) error) error {
	r := &runner{d: d, conn: conn, release: func() {}}
	defer func() { r.release() }()
	_, err := conn.ExecContext(ctx, d.dialect.pick(
		// Under a stricter level a statement would not see what another transaction
		// committed while the statement waited for its lock.
		"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 2000",
		"BEGIN",
		// A transaction that begins as a reader cannot write once another one has written.
		"BEGIN IMMEDIATE"))
	if rolledBack(err) {
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
		// Unless the database reports a rollback, the commit may have succeeded.
		if !d.retryable(err) {
			err = fmt.Errorf("%w; it is unknown whether the change was written", unavailable(ctx, err))
		}
	}
	// The rollback is needed even if BEGIN failed: if ctx ended while BEGIN ran, the
	// transaction may have begun.
	if _, failed := conn.ExecContext(ctx, "ROLLBACK"); failed != nil {
		discard(conn) // closing the connection rolls back
	}
	return err
}

// commitNotification adds the notification of a change on PostgreSQL and commits, in one round
// trip. Several statements in one text cannot have arguments, so the text contains the
// notification in hexadecimal digits. The row of {p}feed is locked only while the server
// works, and not while it waits for the client.
const commitNotification = `WITH n AS (SELECT convert_from(decode('%s', 'hex'), 'UTF8')::json AS n),
	f AS (UPDATE {p}feed SET seq = seq + 1 WHERE id = 1 RETURNING seq),
	added AS (INSERT INTO {p}notices (seq, kind, workspace, key_id, token)
		SELECT f.seq, (n->>'Kind')::smallint, n->>'Workspace', n->>'Key', n->>'Token' FROM f, n)
	SELECT pg_notify('{p}notices', '') FROM f; COMMIT`

func (r *runner) commit(ctx context.Context) error {
	text := "COMMIT"
	if r.notification != nil {
		notification, err := json.Marshal(r.notification)
		if err != nil {
			return err
		}
		text = fmt.Sprintf(r.d.translate(commitNotification), hex.EncodeToString(notification))
	}
	_, err := r.conn.ExecContext(ctx, text)
	return err
}

// attempts bounds how often retry runs a function. It is enough for hundreds of writers
// at one row.
const (
	attempts       = 30
	attemptsGalera = 100
)

// retry runs do, and runs it again while it fails with a retryable error. If a server
// that takes no writes answered, do runs once more, since new connections may lead to
// another server.
func (d *Database) retry(ctx context.Context, do func() error) error {
	reconnected := false
	for attempt := 1; ; attempt++ {
		err := do()
		most, step := attempts, min(attempt, 6)
		if d.galera.Load() {
			// Between nodes the first to commit wins, so a writer that waits longer loses
			// more often. The writers of one process are serialized already.
			most, step = attemptsGalera, 0
		}
		switch {
		case err == nil || attempt == most || ctx.Err() != nil:
			return err
		case (readOnly(err) || d.nodeLags(err)) && !reconnected:
			reconnected = true
			d.dropReadOnly(ctx)
		case !d.retryable(err):
			return err
		default:
			// The pause is random, up to 1 ms times 2 to the power of step.
			if ended := sleep(ctx, time.Duration(random()%int64(time.Millisecond<<step))); ended != nil {
				return ended
			}
		}
	}
}

// sleep waits for d. It returns ctx.Err if ctx ends first.
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

// random returns a random number that is not negative.
func random() int64 {
	var bytes [8]byte
	_, _ = rand.Read(bytes[:]) // it never fails
	return int64(binary.LittleEndian.Uint64(bytes[:]) >> 1)
}
