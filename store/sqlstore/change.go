package sqlstore

import (
	"context"
	"encoding/json"

	"github.com/latchkey-go/latchkey/store"
)

// change writes a record of a workspace, or of none if workspace is empty, with all
// that comes with it. do runs two batches: one that locks what the change rests on,
// and one that writes.
func (d *Database) change(ctx context.Context, workspace string, c store.Change, do func(r runner) error) error {
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
	leave, err := enter(ctx, d.lanes.stripes[stripeOf(workspace)])
	if err != nil {
		return err
	}
	defer leave()
	if err := d.write(ctx, do); err != nil {
		return err
	}
	d.wakeWatchers(ctx)
	if c.Once != nil {
		d.sweepOnce(ctx)
	}
	return nil
}

// spend adds the spending of the change's one-time id.
func (b *batch) spend(h *held) {
	once := h.change.Once
	if once == nil {
		return
	}
	now := h.change.Now
	b.add(part{
		text: b.d.text.spend, args: []any{digest(once.Space, once.ID), b.d.arg(once.Value), micros(once.Expires), micros(now)},
		count: &h.spent,
		do: func(ctx context.Context, r runner) error {
			h.spent = 1
			return b.d.spend(ctx, r, *once, now)
		},
	})
}

// finish adds the events of a change and its notice.
func (b *batch) finish(c store.Change, n store.Notice) error {
	if err := b.addEvents(c.Events); err != nil {
		return err
	}
	return b.addNotice(n)
}

// noticeRow is how a notice is kept in a setting of PostgreSQL's transaction until
// the commit.
type noticeRow struct {
	Kind      int    `json:"kind"`
	Workspace string `json:"workspace"`
	Key       string `json:"key"`
	Token     string `json:"token"`
}

// addNotice adds a notice to what is written. Its number comes from the row of
// {p}feed, which stays locked until the commit: so the numbers have no gaps and
// follow the order of the commits. It is the last row that a change locks. On
// PostgreSQL the notice is only prepared here; commitNotice writes it together with
// the COMMIT.
func (b *batch) addNotice(n store.Notice) error {
	q := &b.d.text
	if b.d.dialect != PostgreSQL {
		if b.d.dialect == MySQL {
			b.add(part{do: func(ctx context.Context, r runner) error { return r.(*mysqlTransaction).enterFeed(ctx) }}) //nolint:forcetypeassert // a notice is added in a transaction only
		}
		b.exec(q.count)
		b.exec(q.addNotice, int64(n.Kind), b.d.arg(n.Workspace), b.d.arg(n.Key), b.d.arg(n.Token))
		return nil
	}
	row, err := json.Marshal(noticeRow{int(n.Kind), n.Workspace, n.Key, n.Token})
	if err != nil {
		return err
	}
	b.hasNotice = true
	b.add(part{text: q.prepareNotice, args: []any{string(row)}, columns: []string{"notice"}, to: []any{new(string)}})
	return nil
}

// writeNotice writes a notice inside the transaction of its change.
func (d *Database) writeNotice(ctx context.Context, r runner, n store.Notice) error {
	b := d.batch()
	if err := b.addNotice(n); err != nil {
		return err
	}
	return b.run(ctx, r)
}
