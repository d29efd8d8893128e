package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// limiter implements store.Limiter by the generic cell rate algorithm. Each id has one
// number, its theoretical arrival time, which one statement moves. It uses the server's
// clock; on SQLite, the machine's.
type limiter struct{ d *Database }

const (
	// tolerance is how far an arrival may be beyond the window before it is reset to
	// one window ahead. A statement reads the clock before it waits for the row's lock,
	// while the statements before it used a later time.
	tolerance = time.Second
	// maxWindow keeps nanoseconds since 1970 plus a window within 64 bits.
	maxWindow = 100 * 365 * 24 * time.Hour
)

// Advance implements store.Limiter. A negative step is an error and counts
// nothing. A window beyond 100 years counts as 100 years.
func (l *limiter) Advance(ctx context.Context, id string, _ time.Time, step, window time.Duration) (ahead time.Duration, moved bool, err error) {
	ahead, moved, err = l.advance(ctx, digest(id), step, min(max(window, 0), maxWindow))
	return ahead, moved, fail(ctx, "advance limiter", err)
}

func (l *limiter) advance(ctx context.Context, id []byte, step, window time.Duration) (ahead time.Duration, moved bool, err error) {
	if step < 0 {
		return 0, false, refuse("the step must not be negative")
	}
	if step == 0 || step > window {
		err = l.d.read(ctx, func(r *runner) error {
			ahead, err = r.arrival(ctx, id)
			return err
		})
	} else {
		err = l.d.single(ctx, func(r *runner) error {
			ahead, moved, err = r.move(ctx, id, step, window)
			return err
		})
		if !moved {
			// A PostgreSQL statement does not see rows that were committed after it
			// began.
			ahead = max(ahead, window-step+1)
		}
	}
	if err != nil {
		return 0, false, err
	}
	if moved {
		l.d.sweepNow(ctx, &l.d.sweeps.limits, "limits", "arrival", 1000)
		return ahead, true, nil
	}
	if ahead > window+tolerance {
		_, err = l.d.remove(ctx, `UPDATE {p}limits SET arrival = {nanoclock} + ? WHERE id = ? AND arrival - {nanoclock} > ?`,
			int64(window), id, int64(window+tolerance))
	}
	return min(max(ahead, 0), window), false, err
}

// arrival returns how far the arrival is ahead of the clock. Without a row it is 0.
func (r *runner) arrival(ctx context.Context, id []byte) (ahead time.Duration, err error) {
	err = r.row(ctx, `SELECT {standby}, arrival - {nanoclock} FROM {p}limits WHERE id = ?`, id).Scan(primary{}, &ahead)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return ahead, err
}

// move moves the arrival by the step if it stays within the window. Each statement
// reads the clock once.
func (r *runner) move(ctx context.Context, id []byte, by, window time.Duration) (ahead time.Duration, moved bool, err error) {
	switch step, most := int64(by), int64(window-by); r.d.dialect {
	case PostgreSQL:
		err = r.row(ctx, `WITH c AS (SELECT {nanoclock} AS now),
			m AS (INSERT INTO {p}limits AS l (id, arrival) SELECT ?::bytea, c.now + ?::bigint FROM c ON CONFLICT (id) DO UPDATE
				SET arrival = GREATEST(l.arrival + ?::bigint, excluded.arrival) WHERE l.arrival - excluded.arrival <= ?::bigint
				RETURNING arrival)
			SELECT m.arrival - c.now, true FROM m, c
			UNION ALL SELECT l.arrival - c.now, false FROM {p}limits l, c WHERE l.id = ?::bytea AND NOT EXISTS (SELECT 1 FROM m)`,
			id, step, step, most-step, id).Scan(&ahead, &moved)
	case SQLite:
		err = r.row(ctx, `INSERT INTO {p}limits AS l (id, arrival) VALUES (?, {nanoclock} + ?) ON CONFLICT (id) DO UPDATE
			SET arrival = max(l.arrival + ?, excluded.arrival) WHERE l.arrival - excluded.arrival <= ?
			RETURNING arrival - {nanoclock}`, id, step, step, most-step).Scan(&ahead)
		moved = err == nil
	case MySQL:
		return r.moveMySQL(ctx, id, step, most)
	}
	if errors.Is(err, sql.ErrNoRows) {
		// It was not moved. PostgreSQL does not show a row that another transaction
		// added after the statement began.
		ahead, err = r.arrival(ctx, id)
		return ahead, false, err
	}
	return ahead, moved, err
}

// moveMySQL is move for MySQL. The statement passes its result in LAST_INSERT_ID: the
// distance plus one, negated if the arrival was not moved.
func (r *runner) moveMySQL(ctx context.Context, id []byte, step, most int64) (ahead time.Duration, moved bool, err error) {
	last, err := r.lastID(ctx, `INSERT INTO {p}limits (id, arrival) VALUES (?, {nanoclock} + ?)
		ON DUPLICATE KEY UPDATE arrival = IF(arrival - {nanoclock} <= ?,
			IF(LAST_INSERT_ID(GREATEST(arrival - {nanoclock}, 0) + ? + 1) = 0, arrival, GREATEST(arrival, {nanoclock}) + ?),
			IF(LAST_INSERT_ID({nanoclock} - arrival - 1) = 0, arrival, arrival))`, id, step, most, step, step)
	switch {
	case err != nil:
		return 0, false, err
	case last < 0:
		return time.Duration(-last - 1), false, nil
	case last > 0:
		return time.Duration(last - 1), true, nil
	}
	return time.Duration(step), true, nil // a new row
}
