package oauthtest

import (
	"sync"
	"time"
)

// Clock is a clock that moves only when a test moves it. It is safe for
// concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// newClock returns a clock that shows noon (UTC) of January 15th, 2030.
func newClock() *Clock { return &Clock{now: time.Date(2030, time.January, 15, 12, 0, 0, 0, time.UTC)} }

// Now returns the clock's time. Give this method to code under test that takes a
// clock function.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock forward by d, or back if d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Set sets the clock. After a move into the past, tokens issued before are not
// valid yet.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}
