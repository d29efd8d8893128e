package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// errLockLost ends a migration whose lock another replica has taken over.
var errLockLost = fmt.Errorf("%w: the migration stalled and another replica took it over: call Migrate again", store.ErrUnavailable)

const (
	// lockExpires is how long the owner may go without renewing the lock until another
	// replica takes it over. Waiting replicas measure it by their own clocks.
	lockExpires = 10 * time.Second
	lockPoll    = 50 * time.Millisecond
)

// migrateGalera serializes migrations through several nodes. Named locks are local to a
// node, and two nodes that create a view at the same time may both hang forever. So the
// lock is a row, since the nodes compare the rows that are written. The row holds a
// random number that its owner renews before each statement, and 0 while the lock is
// free.
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
	number, err := d.acquireMigrationLock(ctx, conn)
	if err != nil {
		return err
	}
	err = d.apply(ctx, conn, func() error {
		next := random() | 1
		mine, err := d.replaceOwner(ctx, conn, number, next)
		if mine {
			number = next
		} else if err == nil {
			err = errLockLost
		}
		return err
	})
	ended, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	_, _ = d.replaceOwner(ended, conn, number, 0) //nolint:errcheck // if it fails, others wait for lockExpires
	return err
}

// acquireMigrationLock waits for the lock and returns the number that it wrote.
func (d *Database) acquireMigrationLock(ctx context.Context, conn *sql.Conn) (number int64, err error) {
	var seen int64
	var since time.Time
	for {
		var owner int64
		if err := conn.QueryRowContext(ctx, d.translate(`SELECT turn FROM {p}migrating WHERE id = 1`)).Scan(&owner); err != nil {
			return 0, err
		}
		now := time.Now() //nolint:forbidigo // measures how long this process waits
		if owner != seen {
			seen, since = owner, now
		}
		if owner == 0 || now.Sub(since) > lockExpires {
			number = random() | 1
			if mine, err := d.replaceOwner(ctx, conn, owner, number); err != nil || mine {
				return number, err
			}
		}
		if err := sleep(ctx, lockPoll); err != nil {
			return 0, err
		}
	}
}

// replaceOwner replaces the lock's number, unless another replica has replaced it.
func (d *Database) replaceOwner(ctx context.Context, conn *sql.Conn, from, to int64) (set bool, err error) {
	n, err := (&runner{d: d, conn: conn}).exec(ctx, `UPDATE {p}migrating SET turn = ? WHERE id = 1 AND turn = ?`, to, from)
	return n == 1, err
}

// nodeLags reports whether a Galera node timed out while it waited for what the others
// have committed. A lock wait timeout has the same code.
func (d *Database) nodeLags(err error) bool { return d.galera.Load() && codeOf(err).class == "1205" }

// retryable reports whether a transaction that failed with err may be retried.
func (d *Database) retryable(err error) bool {
	return errors.Is(err, errRolledBack) || rolledBack(err) && !d.nodeLags(err)
}

// errRolledBack reports that a node rolled a transaction back without an error.
var errRolledBack = fmt.Errorf("%w: the Galera node rolled the change back", store.ErrUnavailable)

// stillOpen returns errRolledBack if a Galera node has rolled the transaction back. A
// COMMIT would then succeed although nothing was written. See interpolates.
func (r *runner) stillOpen(ctx context.Context) error {
	var open bool
	if err := r.row(ctx, "SELECT @@in_transaction").Scan(&open); err != nil {
		return err
	}
	if !open {
		return errRolledBack
	}
	return nil
}
