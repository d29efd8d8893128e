package sqlstore

import (
	"context"
	"hash/crc32"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// change executes a change in one transaction with two batches. The first locks the
// rows that the change depends on. The second writes the record, which write adds, the
// events and the notification. n.Workspace is the workspace of the record, or empty.
func (d *Database) change(ctx context.Context, c store.Change, n store.Notification, l locks, write func(b *batch, h *lockedState) error) error {
	for i := range c.Events {
		if err := checkEvent(&c.Events[i]); err != nil {
			return err
		}
	}
	if c.Once != nil {
		if err := checkText("a one-time id's value", c.Once.Value, maxText); err != nil {
			return err
		}
	}
	stripe := stripeOf(n.Workspace)
	release, err := acquire(ctx, d.stripes[stripe])
	if err != nil {
		return err
	}
	defer release()
	err = d.write(ctx, func(r *runner) error {
		b := &batch{d: d}
		h := b.lock(&c, stripe, l)
		if l.insert != nil {
			if err := b.insertKey(l.insert, &h.inserted); err != nil {
				return err
			}
		}
		if err := b.run(ctx, r); err != nil {
			return err
		}
		if err := r.lockKeys(ctx, l); err != nil {
			return err
		}
		b = &batch{d: d}
		if err := write(b, h); err != nil {
			return err
		}
		b.addEvents(c.Events)
		b.addNotification(r, n)
		return b.run(ctx, r)
	})
	if err != nil {
		return err
	}
	d.wakeWatchers(ctx)
	if c.Once != nil {
		d.sweepOnce(ctx)
	}
	return nil
}

// addNotification adds a notification to the batch. Its number comes from the row of
// {p}feed, which stays locked until the commit. So the numbers have no gaps and follow
// the order of the commits. A change locks this row last. On PostgreSQL the
// notification is written together with the COMMIT.
func (b *batch) addNotification(r *runner, n store.Notification) {
	if b.d.dialect == PostgreSQL {
		r.notification = &n
		return
	}
	if b.d.dialect == MySQL {
		b.add(part{do: func(ctx context.Context, r *runner) (err error) {
			r.release, err = acquire(ctx, b.d.feed)
			return err
		}})
	}
	b.exec(`UPDATE {p}feed SET seq = seq + 1 WHERE id = 1`)
	b.exec(`INSERT INTO {p}notices (seq, kind, workspace, key_id, token) SELECT seq, ?, ?, ?, ? FROM {p}feed WHERE id = 1`,
		int64(n.Kind), n.Workspace, n.Key, n.Token)
}

// writeNotification writes a notification in the transaction of its change.
func (r *runner) writeNotification(ctx context.Context, n store.Notification) error {
	b := &batch{d: r.d}
	b.addNotification(r, n)
	return b.run(ctx, r)
}

// stripes is the number of rows that hold a copy of the version of the instance's
// settings. A change that depends on the settings locks one of them; a change of the
// settings writes all. So changes of different workspaces do not block each other.
const stripes = 16

// stripeOf returns the stripe of a workspace. It is also the index of its lock in
// Database.stripes.
func stripeOf(workspace string) int { return int(crc32.ChecksumIEEE([]byte(workspace)) % stripes) }

// timedLock is a lock that serializes the changes of this process. There is one for each
// stripe, and one for MySQL, whose transactions hold the row of {p}feed between two round
// trips. If the process vanishes, at most one of its transactions holds the rows of a
// workspace or waits for them (more only if the row belongs to an acting key or to its
// workspace). So other processes wait for the database's idle timeout once, and not once
// for each connection of the vanished process.
type timedLock chan struct{}

// acquireTimeout bounds the wait for a timedLock. It is less than idleTransaction, so
// that a connection that hangs does not delay others for long.
const acquireTimeout = time.Second

// acquire waits for the lock for up to acquireTimeout. After that it returns without
// the lock and without an error, and the caller continues.
func acquire(ctx context.Context, l timedLock) (release func(), err error) {
	timer := time.NewTimer(acquireTimeout)
	defer timer.Stop()
	release = func() {}
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-timer.C:
		return release, nil
	case <-ctx.Done():
		return release, ctx.Err()
	}
}
