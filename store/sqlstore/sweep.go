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

// turns counts calls that leave rows behind which end by themselves. Every
// so often one of them removes what has ended: more than came in since, so
// that it never piles up.
type turns struct{ once, revoked, limits, notices atomic.Uint64 }

// sweepEvery is how many calls leave removing to another.
const sweepEvery = 256

func due(n *atomic.Uint64) bool { return n.Add(1)%sweepEvery == 0 }

func (d *Database) sweepOnce(ctx context.Context) {
	if due(&d.turns.once) {
		d.discardOld(ctx, d.text.sweepOnce)
	}
}

func (d *Database) sweepRevoked(ctx context.Context) {
	if due(&d.turns.revoked) {
		d.discardOld(ctx, d.text.sweepRevoked)
	}
}

func (d *Database) sweepLimits(ctx context.Context) {
	if due(&d.turns.limits) {
		d.discardOld(ctx, d.text.sweepLimits)
	}
}

// discardOld removes rows that mean nothing any more. What fails is left for
// the next turn: the call that it comes with has succeeded.
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
