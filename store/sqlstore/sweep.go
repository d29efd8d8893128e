package sqlstore

import (
	"context"
	"sync/atomic"
)

// skew is how long what has ended is kept by the server's clock, for callers
// whose clocks run behind: ten minutes in microseconds.
const skew = `600000000`

// longestToken is a day in microseconds.
const longestToken = `86400000000`

// sweeps counts the calls that add rows which expire. Each sweepEvery-th call
// removes more rows that have expired than were added since the last sweep, so that
// they do not pile up.
type sweeps struct{ once, revoked, limits, notices atomic.Uint64 }

// sweepEvery is how many calls share one sweep.
const sweepEvery = 256

func due(n *atomic.Uint64) bool { return n.Add(1)%sweepEvery == 0 }

func (d *Database) sweepOnce(ctx context.Context) {
	if due(&d.sweeps.once) {
		d.discardOld(ctx, d.text.sweepOnce)
	}
}

func (d *Database) sweepRevoked(ctx context.Context) {
	if due(&d.sweeps.revoked) {
		d.discardOld(ctx, d.text.sweepRevoked)
	}
}

func (d *Database) sweepLimits(ctx context.Context) {
	if due(&d.sweeps.limits) {
		d.discardOld(ctx, d.text.sweepLimits)
	}
}

// discardOld removes rows that are not needed any more. If that fails, the next
// sweep does it: the call that it belongs to has succeeded.
func (d *Database) discardOld(ctx context.Context, statement string, args ...any) {
	_ = d.single(ctx, func(r runner) error { //nolint:errcheck // see above
		_, err := r.exec(ctx, statement, args...)
		return err
	})
}

// sweep removes all rows that a statement finds, some at a time, and returns
// how many.
func (d *Database) sweep(ctx context.Context, statement string, before int64) (int, error) {
	removed := 0
	for {
		n := 0
		err := d.single(ctx, func(r runner) (err error) {
			n, err = affected(r.exec(ctx, statement, before))
			return err
		})
		if err != nil {
			return removed, err
		}
		if n == 0 {
			return removed, nil
		}
		removed += n
	}
}
