package apikey

import (
	"context"
	"time"
)

// refusalStep is what the duration of a refused login is rounded up to.
// Whether an id exists changes how long a store takes; an answer on the next
// whole step does not show it, as long as the store's times lie within one
// step.
const refusalStep = 5 * time.Millisecond

// exactPauses is how many refused logins may hold a thread at once.
const exactPauses = 32

// pauser holds refused logins back. Safe for concurrent use.
type pauser struct{ exact chan struct{} }

func newPauser() pauser { return pauser{make(chan struct{}, exactPauses)} }

// realTime is not the host's clock: it is the wire that must not tell.
func realTime() time.Time { return time.Now() } //nolint:forbidigo // see above

// rest is what is left of the step that began with start or some whole steps
// later.
func rest(start time.Time) time.Duration { return refusalStep - realTime().Sub(start)%refusalStep }

// until waits for the next whole step of real time since start.
func (p pauser) until(ctx context.Context, start time.Time) {
	select {
	case p.exact <- struct{}{}:
		sleep(rest(start))
		<-p.exact
		return
	default:
	}
	// So many at once hide the difference among themselves.
	timer := time.NewTimer(rest(start))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
