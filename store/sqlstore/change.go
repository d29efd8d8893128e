package sqlstore

import (
	"context"

	"github.com/latchkey-go/latchkey/store"
)

// change writes a record with all that belongs to it: the one-time id first,
// since it is checked first, and the notice last, since its number is one lock
// for all writers.
func (d *Database) change(ctx context.Context, c store.Change, notice store.Notice, do func(r runner) error) error {
	for _, e := range c.Events {
		if err := checkEvent(&e); err != nil {
			return err
		}
	}
	err := d.write(ctx, func(r runner) error {
		if c.Once != nil {
			if err := d.spend(ctx, r, *c.Once, c.Now); err != nil {
				return err
			}
		}
		if err := do(r); err != nil {
			return err
		}
		if err := d.addEvents(ctx, r, c.Events); err != nil {
			return err
		}
		return d.tell(ctx, r, notice)
	})
	if err != nil {
		return err
	}
	d.told(ctx)
	if c.Once != nil {
		d.sweepOnce(ctx, c.Now)
	}
	return nil
}
