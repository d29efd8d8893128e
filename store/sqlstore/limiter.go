package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// limiter implements store.Limiter by the generic cell rate algorithm: one
// number an id, moved by one statement, by the server's clock. Processes that
// share a SQLite file share their machine's clock.
type limiter struct{ d *Database }

const (
	// late is how far an arrival may lie beyond the window before it is stored
	// as one window ahead. A statement reads the clock before it waits for the
	// row, and those before it have used the window up to their own time.
	late = time.Second
	// maxWindow keeps sums of nanoseconds since 1970 within 64 bits.
	maxWindow = 100 * 365 * 24 * time.Hour
)

// Advance implements store.Limiter. A negative step is an error and counts
// nothing. A window beyond 100 years counts as 100 years.
func (l *limiter) Advance(ctx context.Context, id string, _ time.Time, by, window time.Duration) (ahead time.Duration, moved bool, err error) {
	ahead, moved, err = l.advance(ctx, digest(id), by, min(max(window, 0), maxWindow))
	if err != nil {
		return 0, false, fail(ctx, "advance limiter", err)
	}
	return ahead, moved, nil
}

func (l *limiter) advance(ctx context.Context, id []byte, by, window time.Duration) (ahead time.Duration, moved bool, err error) {
	if by < 0 {
		return 0, false, refuse("the step must not be negative")
	}
	if by == 0 || by > window {
		err = l.d.read(ctx, func(r runner) error {
			ahead, err = l.arrival(ctx, r, id)
			return err
		})
	} else {
		err = l.d.alone(ctx, func(r runner) error {
			ahead, moved, err = l.move(ctx, r, id, by, window)
			return err
		})
		if !moved {
			// A statement of PostgreSQL does not see what came after it began.
			ahead = max(ahead, window-by+1)
		}
	}
	if err != nil {
		return 0, false, err
	}
	if !moved && ahead > window+late {
		err = l.d.single(ctx, func(r runner) error {
			_, err := r.exec(ctx, l.d.text.capArrival, int64(window), id, int64(window+late))
			return err
		})
		if err != nil {
			return 0, false, err
		}
	}
	if moved {
		l.d.sweepLimits(ctx)
		return ahead, true, nil
	}
	return min(max(ahead, 0), window), false, nil
}

// arrival reads how far ahead the arrival lies; none is 0.
func (l *limiter) arrival(ctx context.Context, r runner, id []byte) (ahead time.Duration, err error) {
	err = r.row(ctx, l.d.text.arrival, id).Scan(new(primary), &ahead)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return ahead, err
}

// move moves the arrival if it then lies within the window.
func (l *limiter) move(ctx context.Context, r runner, id []byte, by, window time.Duration) (ahead time.Duration, moved bool, err error) {
	switch step, room := int64(by), int64(window-by); l.d.dialect {
	case PostgreSQL:
		err = r.row(ctx, l.d.text.advance, id, step, step, room-step, id).Scan(&ahead, &moved)
	case SQLite:
		err = r.row(ctx, l.d.text.advance, id, step, step, room-step).Scan(&ahead)
		moved = err == nil
	case MySQL:
		return l.moveMySQL(ctx, r, id, step, room)
	}
	if errors.Is(err, sql.ErrNoRows) {
		// Not moved. PostgreSQL does not show a row that another one added
		// since the statement began.
		ahead, err = l.arrival(ctx, r, id)
		return ahead, false, err
	}
	return ahead, moved, err
}

func (l *limiter) moveMySQL(ctx context.Context, r runner, id []byte, step, room int64) (ahead time.Duration, moved bool, err error) {
	done, err := r.exec(ctx, l.d.text.advance, id, step, room, step, step)
	if err != nil {
		return 0, false, err
	}
	word, err := done.LastInsertId()
	switch {
	case err != nil:
		return 0, false, err
	case word < 0:
		return time.Duration(-word - 1), false, nil
	case word > 0:
		return time.Duration(word - 1), true, nil
	}
	return time.Duration(step), true, nil // a new row
}
