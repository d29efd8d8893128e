package sqlstore

import (
	"context"
	"hash/crc32"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// change writes a record of n.Workspace, or of none if that is empty, with all that
// comes with it, in two batches: the first locks what the change rests on, and the
// second, to which write adds the record, writes.
func (d *Database) change(ctx context.Context, c store.Change, n store.Notice, l locks, write func(b *batch, h *held) error) error {
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
	leave, err := enter(ctx, d.stripes[stripe])
	if err != nil {
		return err
	}
	defer leave()
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
		b = &batch{d: d}
		if err := write(b, h); err != nil {
			return err
		}
		if err := b.addEvents(c.Events); err != nil {
			return err
		}
		b.addNotice(r, n)
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

// addNotice adds a notice to what is written. Its number comes from the row of
// {p}feed, which stays locked until the commit: so the numbers have no gaps and
// follow the order of the commits. It is the last row that a change locks. On
// PostgreSQL the notice is written together with the COMMIT.
func (b *batch) addNotice(r *runner, n store.Notice) {
	if b.d.dialect == PostgreSQL {
		r.notice = &n
		return
	}
	if b.d.dialect == MySQL {
		b.add(part{do: func(ctx context.Context, r *runner) (err error) {
			r.leave, err = enter(ctx, b.d.feed)
			return err
		}})
	}
	b.exec(`UPDATE {p}feed SET seq = seq + 1 WHERE id = 1`)
	b.exec(`INSERT INTO {p}notices (seq, kind, workspace, key_id, token) SELECT seq, ?, ?, ?, ? FROM {p}feed WHERE id = 1`,
		int64(n.Kind), n.Workspace, n.Key, n.Token)
}

// writeNotice writes a notice inside the transaction of its change.
func (r *runner) writeNotice(ctx context.Context, n store.Notice) error {
	b := &batch{d: r.d}
	b.addNotice(r, n)
	return b.run(ctx, r)
}

// stripes is how many rows repeat the version of the instance's settings. A
// change that rests on the settings locks one of them, a change of the settings
// writes all: so the changes of different workspaces do not wait for one
// another.
const stripes = 16

// stripeOf is the stripe, and the lane, of a workspace's changes.
func stripeOf(workspace string) int { return int(crc32.ChecksumIEEE([]byte(workspace)) % stripes) }

// lane makes changes of this process take turns: there is one for each stripe, and
// one for MySQL, whose transactions hold the row of {p}feed between two round trips.
// If the process vanishes, at most one of its transactions holds the rows of a
// workspace or waits for them (more only if the row is that of an acting key, or of
// its workspace). So other processes wait once for as long as the database lets a
// transaction idle, and not once for each connection that this process had.
type lane chan struct{}

// laneWait is how long a change waits for its turn: less than the database lets a
// transaction idle, so that a connection that hangs does not delay others for long.
const laneWait = time.Second

// enter waits for a lane for up to laneWait. After that it returns without having
// the lane, and the caller goes ahead.
func enter(ctx context.Context, l lane) (leave func(), err error) {
	timer := time.NewTimer(laneWait)
	defer timer.Stop()
	leave = func() {}
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-timer.C:
		return leave, nil
	case <-ctx.Done():
		return leave, ctx.Err()
	}
}
