package oauth

import (
	"context"
	"sync"
	"time"
)

// deadline is like the context of context.WithTimeout, but starts its timer when
// something first waits for it. It is for guards: a store in this process answers
// without waiting, and an unused timer doubles the time of a guard that has seen the
// token before. Before that, Err compares the time itself.
//
// Each request has its own, since code that gets a context may keep it.
//
// The time is real, not the host's clock: it is a request that waits.
type deadline struct {
	request context.Context //nolint:containedctx // this is a context, made of that one
	at      time.Time

	mu      sync.Mutex
	timed   context.Context //nolint:containedctx // once somebody waits; then it answers for all
	cancel  context.CancelFunc
	stopped bool
}

// withTimeout is context.WithTimeout. stop must be called in the end.
func withTimeout(request context.Context, d time.Duration) *deadline {
	return &deadline{request: request, at: time.Now().Add(d)} //nolint:forbidigo // see deadline
}

// stop cancels the context.
func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	if d.cancel != nil {
		d.cancel()
	}
}

// current returns the context that answers: the request's while nobody waits and there
// is time, from then on the one with the timer.
func (d *deadline) current(waits bool) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed == nil && !waits && !d.stopped {
		return d.request
	}
	if d.timed == nil {
		d.timed, d.cancel = context.WithDeadline(d.request, d.at)
	}
	if d.stopped {
		d.cancel()
	}
	return d.timed
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) { return d.current(true).Deadline() }

// Done implements context.Context: from here on there is a timer.
func (d *deadline) Done() <-chan struct{} { return d.current(true).Done() }

// Err implements context.Context.
func (d *deadline) Err() error {
	late := !time.Now().Before(d.at) //nolint:forbidigo // see deadline
	return d.current(late).Err()
}

// Value implements context.Context. Package context finds the nearest context of its
// own by a value, and the one with the timer knows the request's values too.
func (d *deadline) Value(key any) any { return d.current(false).Value(key) }
