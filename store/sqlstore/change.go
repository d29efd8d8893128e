package sqlstore

import (
	"context"
	"encoding/json"

	"github.com/latchkey-go/latchkey/store"
)

// change writes a record of a workspace, or of none, with all that belongs to it.
// do runs two batches: one that locks what the change rests on, and one that
// writes.
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
	d.told(ctx)
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
	return b.tell(n)
}

// noticeRow is a notice on its way through PostgreSQL's settings.
type noticeRow struct {
	Kind      int    `json:"kind"`
	Workspace string `json:"workspace"`
	Key       string `json:"key"`
	Token     string `json:"token"`
}

// tell adds a notice to what is written. The number comes from a row that stays
// locked until the commit: so the numbers have no gaps and follow the order of
// the commits. It is the last thing that is locked. PostgreSQL keeps the notice
// until the statement that commits.
func (b *batch) tell(n store.Notice) error {
	q := &b.d.text
	if b.d.dialect != PostgreSQL {
		if b.d.dialect == MySQL {
			b.add(part{do: func(ctx context.Context, r runner) error { return r.(*transaction).enterFeed(ctx) }}) //nolint:forcetypeassert // as tells
		}
		b.exec(q.count)
		b.exec(q.addNotice, int64(n.Kind), b.d.arg(n.Workspace), b.d.arg(n.Key), b.d.arg(n.Token))
		return nil
	}
	row, err := json.Marshal(noticeRow{int(n.Kind), n.Workspace, n.Key, n.Token})
	if err != nil {
		return err
	}
	b.tells = true
	b.add(part{text: q.prepareNotice, args: []any{string(row)}, columns: []string{"notice"}, to: []any{new(string)}})
	return nil
}

// tell adds a notice inside the transaction of its change.
func (d *Database) tell(ctx context.Context, r runner, n store.Notice) error {
	b := d.batch()
	if err := b.tell(n); err != nil {
		return err
	}
	return b.run(ctx, r)
}
