package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// postgresTransaction runs statements in a transaction of PostgreSQL. Begin and
// commit are sent as text, each together with another statement.
type postgresTransaction struct {
	connection
	hasNotice bool // there is a notice to add
}

// writePostgreSQL runs do in a transaction. Under a level stricter than read
// committed a statement would not see what another transaction committed while
// it waited for its lock.
func (d *Database) writePostgreSQL(ctx context.Context, do func(r runner) error) (err error) {
	conn, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer func() { d.giveBack(conn, err) }()
	tx := &postgresTransaction{connection: connection{conn}}
	if err = do(tx); err == nil {
		commit := "COMMIT"
		if tx.hasNotice {
			commit = d.text.commitNotice
		}
		if _, err = conn.ExecContext(ctx, commit); err == nil {
			return nil
		}
		err = d.unknown(ctx, err)
	}
	if _, failed := conn.ExecContext(ctx, "ROLLBACK"); failed != nil {
		discard(conn) // which rolls back
	}
	return err
}

// begin begins a transaction on a connection that works: a pool may hold some
// that broke.
func (d *Database) begin(ctx context.Context) (*sql.Conn, error) {
	for attempt := 1; ; attempt++ {
		conn, err := d.pool.Conn(ctx)
		if err != nil {
			return nil, err
		}
		if err = d.session(ctx, conn); err == nil {
			if _, err = conn.ExecContext(ctx, d.text.begin); err == nil {
				return conn, nil
			}
		}
		discard(conn)
		_ = conn.Close() //nolint:errcheck // it is closed
		if !errors.Is(err, driver.ErrBadConn) || attempt == beginAttempts {
			return nil, err
		}
	}
}

// beginAttempts is how many connections are tried: more than a pool is likely to
// hold.
const beginAttempts = 100
