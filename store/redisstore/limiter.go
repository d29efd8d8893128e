package redisstore

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// limiter implements store.Limiter by the generic cell rate algorithm: one
// number an id, which Redis forgets ten minutes after it is past.
type limiter struct{ db *database }

var errStep = errors.New("the step must not be negative")

// Advance implements store.Limiter. A negative step is an error and counts
// nothing. A call whose answer was lost may have counted.
func (l *limiter) Advance(ctx context.Context, id string, now time.Time, by, window time.Duration) (time.Duration, bool, error) {
	if err := ctx.Err(); err != nil {
		return 0, false, fail("advance limiter", err)
	}
	if by < 0 {
		return 0, false, fail("advance limiter", errStep)
	}
	c := evaluate(l.db.scripts.advance, []string{l.db.layout.limit(id)}, now.Unix(), now.Nanosecond(),
		int64(by/time.Second), int64(by%time.Second), int64(window/time.Second), int64(window%time.Second), skew.Milliseconds())
	if err := l.db.run(ctx, c); err != nil {
		return 0, false, fail("advance limiter", err)
	}
	answer := c.list()
	if len(answer) != 2 {
		return 0, false, fail("advance limiter", errRecord)
	}
	moved, _ := answer[0].(int64)
	text, _ := answer[1].(string)
	ahead, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, false, fail("advance limiter", errRecord)
	}
	return time.Duration(ahead), moved == 1, nil
}
