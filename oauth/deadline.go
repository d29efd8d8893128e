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

var _ context.Context = (*deadline)(nil)

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

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at, ok := d.request.Deadline(); ok && at.Before(d.at) {
		return at, true
	}
	return d.at, true
}

// Done implements context.Context: from here on there is a timer.
func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed == nil {
		d.timed, d.cancel = context.WithDeadline(d.request, d.at)
		if d.stopped {
			d.cancel()
		}
	}
	return d.timed.Done()
}

// Err implements context.Context.
func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timed != nil {
		return d.timed.Err()
	}
	err := d.request.Err()
	switch {
	case err != nil:
		return err
	case d.stopped:
		return context.Canceled
	case !time.Now().Before(d.at): //nolint:forbidigo // see deadline
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements context.Context. Once there is a timer its context answers,
// which knows the request's values too: package context finds the nearest
// context of its own by a value.
func (d *deadline) Value(key any) any {
	d.mu.Lock()
	asked := d.request
	if d.timed != nil {
		asked = d.timed
	}
	d.mu.Unlock()
	return asked.Value(key)
}
