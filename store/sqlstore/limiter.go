package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"
)

// limiter implements store.Limiter by the generic cell rate algorithm: one
// number an id, moved by one statement.
type limiter struct{ d *Database }

// Advance implements store.Limiter. A negative step, or a time that
// nanoseconds since 1970 cannot hold, is an error and counts nothing.
func (l *limiter) Advance(ctx context.Context, id string, now time.Time, by, window time.Duration) (time.Time, bool, error) {
	at, moved, err := l.advance(ctx, digest(id), now, by, window)
	if err != nil {
		return time.Time{}, false, fail(ctx, "advance limiter", err)
	}
	return time.Unix(0, at).UTC(), moved, nil
}

func (l *limiter) advance(ctx context.Context, id []byte, now time.Time, by, window time.Duration) (at int64, moved bool, err error) {
	if by < 0 {
		return 0, false, refuse("the step must not be negative")
	}
	if year := now.Year(); year < 1971 || year > 2261 {
		return 0, false, refuse("the time is out of range")
	}
	from := now.UnixNano()
	// No sum below overflows: what is kept lies within the window from now.
	window = min(window, time.Duration(math.MaxInt64-from))
	if by > 0 && by <= window {
		err = l.d.single(ctx, func(r runner) error {
			at, moved, err = l.move(ctx, r, id, from, int64(by), int64(window-by))
			return err
		})
		if err != nil {
			return 0, false, err
		}
		l.d.sweepLimits(ctx, now)
		if moved || at != 0 {
			return at, moved, nil
		}
	}
	err = l.d.read(ctx, func(r runner) error { return r.row(ctx, l.d.text.arrival, id).Scan(&at) })
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, false, err
	}
	return max(at, from), false, nil
}

// move moves the arrival time if it lies no more than room ahead. Where it
// does not, at is the time that is kept, or 0 if the dialect does not say.
func (l *limiter) move(ctx context.Context, r runner, id []byte, from, by, room int64) (at int64, moved bool, err error) {
	if l.d.dialect != MySQL {
		err = r.row(ctx, l.d.text.advance, id, from+by, from, by, from, room).Scan(&at)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, false, nil
		}
		return at, err == nil, err
	}
	done, err := r.exec(ctx, l.d.text.advance, id, from+by, from, room, from, by)
	if err != nil {
		return 0, false, err
	}
	word, err := done.LastInsertId()
	switch {
	case err != nil:
		return 0, false, err
	case word < 0:
		return -word, false, nil
	case word > 0:
		return word, true, nil
	}
	return from + by, true, nil // a new row
}
