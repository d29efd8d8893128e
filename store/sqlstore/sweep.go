package sqlstore

import (
	"context"
	"fmt"
	"sync/atomic"
)

// skew is how long expired rows are kept by the server's clock, for callers whose
// clocks run behind: ten minutes, in microseconds.
const skew = 600_000_000

// sweeps counts the calls that add rows which expire. Every sweepEvery-th call removes
// up to sweepAtOnce expired rows: more than were added since the last sweep, so that
// they do not accumulate.
type sweeps struct{ once, revoked, limits, notifications atomic.Uint64 }

// sweepEvery is how many calls share one sweep.
const sweepEvery = 256

func due(n *atomic.Uint64) bool { return n.Add(1)%sweepEvery == 0 }

func (d *Database) sweepOnce(ctx context.Context) {
	d.sweepNow(ctx, &d.sweeps.once, "once", "expires", 1)
}

// sweepNow removes rows whose column is more than skew before the server's clock, if a
// sweep is due. unit is the number of the column's units in a microsecond. Errors are
// ignored, since the call that it belongs to has succeeded: the next sweep removes the
// rows.
func (d *Database) sweepNow(ctx context.Context, calls *atomic.Uint64, table, column string, unit int) {
	if !due(calls) {
		return
	}
	before := fmt.Sprintf("({clock} - %d) * %d", skew, unit)
	if d.dialect == PostgreSQL {
		before = "(SELECT " + before + ")" // evaluated once, so that the index is used
	}
	_, _ = d.remove(ctx, d.oldest(table, column, before)) //nolint:errcheck // see above
}

// remove runs a statement that removes rows, and returns their number.
func (d *Database) remove(ctx context.Context, text string, args ...any) (int, error) {
	var n int64
	err := d.single(ctx, func(r *runner) (err error) {
		n, err = r.exec(ctx, text, args...)
		return err
	})
	return int(n), err
}

// sweepAtOnce is how many rows one statement removes: few enough that other
// statements do not wait for long.
const sweepAtOnce = "1000"

// oldest returns a statement that removes up to sweepAtOnce rows whose column is below
// a value, the lowest first.
func (d *Database) oldest(table, column, value string) string {
	rows := ` {p}` + table + ` WHERE ` + column + ` < ` + value + ` ORDER BY ` + column + ` LIMIT ` + sweepAtOnce
	return d.dialect.pick(
		// PostgreSQL always uses the index for an array.
		`DELETE FROM {p}`+table+` WHERE id = ANY(ARRAY(SELECT id FROM`+rows+` FOR UPDATE SKIP LOCKED))`,
		`DELETE FROM`+rows,
		`DELETE FROM {p}`+table+` WHERE id IN (SELECT id FROM`+rows+`)`)
}
