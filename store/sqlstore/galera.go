package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// errTurn ends a migration whose turn another replica has taken.
var errTurn = fmt.Errorf("%w: the migration took too long and another replica goes on with it: call Migrate again", store.ErrUnavailable)

const (
	// turnStill is how long a turn may stand still until another replica takes
	// it: its owner ended in the middle. Who waits measures it by its own clock.
	turnStill = 10 * time.Second
	turnPoll  = 50 * time.Millisecond
)

// migrateGalera lets replicas that migrate at several nodes take turns. Each node
// has named locks of its own, and two that create a view at the same time may
// both hang for ever. So the turn is a row, whose writes the nodes compare: a
// number that its owner changes before each statement, and 0 while it is
// nobody's.
func (d *Database) migrateGalera(ctx context.Context, conn *sql.Conn) error {
	if version, err := d.schemaVersion(ctx, conn); err == nil && version == len(d.migrations) {
		return nil
	}
	for _, statement := range []string{
		`CREATE TABLE IF NOT EXISTS {p}migrating (id SMALLINT PRIMARY KEY, turn BIGINT NOT NULL) ENGINE = InnoDB`,
		`INSERT IGNORE INTO {p}migrating (id, turn) VALUES (1, 0)`,
	} {
		if _, err := conn.ExecContext(ctx, d.translate(statement)); err != nil {
			return err
		}
	}
	turn, err := d.takeTurn(ctx, conn)
	if err != nil {
		return err
	}
	err = d.apply(ctx, conn, func() error {
		next := random() | 1
		mine, err := d.setTurn(ctx, conn, turn, next)
		if mine {
			turn = next
		} else if err == nil {
			err = errTurn
		}
		return err
	})
	ended, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropWithin)
	defer cancel()
	_, _ = d.setTurn(ended, conn, turn, 0) //nolint:errcheck // if it fails, others wait for turnStill
	return err
}

// takeTurn waits until the turn is its own.
func (d *Database) takeTurn(ctx context.Context, conn *sql.Conn) (turn int64, err error) {
	var seen int64
	var since time.Time
	for {
		var owner int64
		if err := conn.QueryRowContext(ctx, d.translate(`SELECT turn FROM {p}migrating WHERE id = 1`)).Scan(&owner); err != nil {
			return 0, err
		}
		now := time.Now() //nolint:forbidigo // measures what the process waits
		if owner != seen {
			seen, since = owner, now
		}
		if owner == 0 || now.Sub(since) > turnStill {
			turn = random() | 1
			if mine, err := d.setTurn(ctx, conn, owner, turn); err != nil || mine {
				return turn, err
			}
		}
		if err := sleep(ctx, turnPoll); err != nil {
			return 0, err
		}
	}
}

// setTurn replaces a turn unless another replica has.
func (d *Database) setTurn(ctx context.Context, conn *sql.Conn, from, to int64) (set bool, err error) {
	n, err := (&runner{d: d, conn: conn}).exec(ctx, `UPDATE {p}migrating SET turn = ? WHERE id = 1 AND turn = ?`, to, from)
	return n == 1, err
}

// behind reports whether a Galera node did not get what the others have
// committed, as one that they left behind. It gives the same code as a wait for
// a lock that took too long.
func (d *Database) behind(err error) bool { return d.galera.Load() && codeOf(err).class == "1205" }

// undone reports whether it is of use to try again what failed.
func (d *Database) undone(err error) bool {
	return errors.Is(err, errLost) || undone(err) && !d.behind(err)
}

// errLost is that a node has undone a transaction without an error.
var errLost = fmt.Errorf("%w: the node undid the change", store.ErrUnavailable)

// stillOpen fails with errLost if a Galera node has undone the transaction, so
// that COMMIT would acknowledge what is not there. See interpolates.
func (r *runner) stillOpen(ctx context.Context) error {
	var open bool
	if err := r.row(ctx, "SELECT @@in_transaction").Scan(&open); err != nil {
		return err
	}
	if !open {
		return errLost
	}
	return nil
}
