package memstore

import "time"

// clock is the store's own time, by which it collects what has ended. It runs
// with the process's monotonic clock, and its start is that of the slowest
// caller of the last day or two. So a caller whose clock is ahead makes nothing
// be collected early, and one whose clock is behind delays collection by two
// days at most.
//
// Whether an entry has ended for a caller is decided by that caller's time.
type clock struct {
	real     func() time.Time // with a monotonic reading
	start    time.Time
	observed bool
	// slowest are the least differences between a caller's time and what had
	// passed since start, in microseconds: of the last span with a call before
	// this one, and of this one.
	slowest [2]int64
	turn    time.Duration // when this span ends, since start
}

// span is how long a caller's time counts at least: as long as the longest
// token lives, so that it counts until what the caller revoked has expired.
const span = 24 * time.Hour

func newClock() clock {
	var c clock
	c.real = time.Now
	c.start = c.real()
	return c
}

// observe takes a caller's time into account.
func (c *clock) observe(named int64) {
	passed := c.real().Sub(c.start)
	ahead := named - passed.Microseconds()
	switch {
	case !c.observed:
		c.observed, c.slowest, c.turn = true, [2]int64{ahead, ahead}, passed+span
	case passed >= c.turn:
		c.slowest, c.turn = [2]int64{c.slowest[1], ahead}, passed+span
	default:
		c.slowest[1] = min(c.slowest[1], ahead)
	}
}

// now returns the store's time, which says something once a caller was observed.
func (c *clock) now() int64 {
	return min(c.slowest[0], c.slowest[1]) + c.real().Sub(c.start).Microseconds()
}
