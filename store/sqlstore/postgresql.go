package sqlstore

import (
	"context"
	"database/sql"
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
	conn, err := d.begin(ctx, func(conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, d.text.begin)
		return err
	})
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
