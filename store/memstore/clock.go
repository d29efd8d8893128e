package memstore

import "time"

// clock is the store's own time, by which it collects what has ended. It runs
// with the process's monotonic clock and is set by the callers: to the slowest
// that spoke within the last day or two. A caller whose clock is ahead
// therefore ends nothing early for the others, neither at once nor later, and
// one whose clock is behind delays collection by that time at most.
//
// What an entry says to a caller is decided by that caller's time alone.
type clock struct {
	start time.Time // with a monotonic reading
	heard bool
	// slowest are the least differences between what a caller named and what
	// had passed since start, in microseconds: in the span before this one in
	// which somebody spoke, and in this one.
	slowest [2]int64
	turn    time.Duration // when this span ends, since start
}

// span is how long a caller's time counts at least. No token lives longer, so
// the caller who revoked one is still heard when another's clock is ahead.
const span = 24 * time.Hour

func newClock() clock { return clock{start: time.Now()} }

// hear takes a caller's time into account.
func (c *clock) hear(named int64) {
	passed := time.Since(c.start)
	ahead := named - passed.Microseconds()
	switch {
	case !c.heard:
		c.heard, c.slowest, c.turn = true, [2]int64{ahead, ahead}, passed+span
	case passed >= c.turn:
		c.slowest, c.turn = [2]int64{c.slowest[1], ahead}, passed+span
	default:
		c.slowest[1] = min(c.slowest[1], ahead)
	}
}

// now returns the store's time, which means something once a caller was heard.
func (c *clock) now() int64 {
	return min(c.slowest[0], c.slowest[1]) + time.Since(c.start).Microseconds()
}
