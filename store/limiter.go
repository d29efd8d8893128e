package store

import (
	"context"
	"time"
)

// Limiter counts attempts, for rate limits that hold across processes.
type Limiter interface {
	// Advance is the generic cell rate algorithm. It moves the theoretical arrival
	// time of id (at least now) by step if the result is at most window ahead of
	// now. It returns how far the arrival time is ahead of now after the call, and
	// whether it moved. Atomic: of N concurrent calls at one instant exactly
	// window/step move it, if step divides window. A step of 0 only reads. A
	// limiter may drop an arrival time that has passed.
	//
	// A limiter that several processes share uses its server's clock and ignores
	// now, so that different clocks of the processes do not matter. A limiter
	// within one process uses now.
	//
	// A stored arrival time can be more than one window ahead of now, because a
	// clock was ahead or was set back. It then counts as one window ahead, so that
	// no id is refused for longer than a window, and the stored time is lowered to
	// that. If the excess is at most a second, the stored time is not lowered: a
	// late call must not give back what others used. All calls with one id must
	// pass the same window.
	Advance(ctx context.Context, id string, now time.Time, step, window time.Duration) (ahead time.Duration, moved bool, err error)
}
