package redisstore

import (
	"context"
	"errors"
	"time"
)

// limiter implements store.Limiter by the generic cell rate algorithm. Each id has one
// number, which Redis removes a second after it is in the past. It uses the server's
// clock.
type limiter struct{ db *Driver }

// maxWindow keeps differences in nanoseconds exact in Lua.
const maxWindow = 100 * 24 * time.Hour

var errNegativeStep = errors.New("the step must not be negative")

// Advance implements store.Limiter. A negative step is an error and counts nothing. A
// window beyond 100 days counts as 100 days. A call whose answer was lost may have
// counted. A server that was demoted and takes no writes gives store.ErrUnavailable, also
// for a step of 0.
func (l *limiter) Advance(ctx context.Context, id string, _ time.Time, step, window time.Duration) (time.Duration, bool, error) {
	if step < 0 {
		return 0, false, fail("advance limiter", errNegativeStep)
	}
	window = min(window, maxWindow)
	c := evaluate(l.db.scripts.advance, []string{l.db.layout.limit(id)},
		int64(step/time.Second), int64(step%time.Second), int64(window/time.Second), int64(window%time.Second))
	var moved bool
	var ahead int64
	err := l.db.sendByKey(ctx, c)
	if err == nil {
		err = decode(c.text(), &moved, &ahead)
	}
	return time.Duration(ahead), moved && err == nil, fail("advance limiter", err)
}
