package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// maxWindow bounds Burst times Per/Limit, so that no driver overflows.
const maxWindow = 366 * 24 * time.Hour

// Rate is how often something may happen. The zero Rate is not a valid one; limits take
// it to mean that there is no bound.
type Rate struct {
	// Limit is how often it may happen in Per, in the long run. It is at least 1, and
	// at most once per microsecond.
	Limit int
	// Per is the period of Limit. It has no default; at most 366 days.
	Per time.Duration
	// Burst is how often it may happen at once after a pause. 0 means Limit. Burst
	// times Per/Limit is at most 366 days.
	Burst int
}

// Problem returns what is out of bounds, all of it joined into one error, or nil.
func (r Rate) Problem() error {
	var wrong problems
	wrong.addIf(r.Limit < 1, "Limit: %d is below 1", r.Limit)
	wrong.addIf(r.Per <= 0, "Per: %v is not above 0", r.Per)
	wrong.addIf(r.Per > maxWindow, "Per: %v is above %v", r.Per, maxWindow)
	wrong.addIf(r.Burst < 0, "Burst: %d is below 0", r.Burst)
	switch {
	case len(wrong) > 0:
	case time.Duration(r.Limit) > r.Per/time.Microsecond:
		return fmt.Errorf("Limit: %d in %v is more than one a microsecond", r.Limit, r.Per)
	case r.interval() > maxWindow/time.Duration(r.burst()):
		return fmt.Errorf("Burst: %d times Per/Limit is above %v", r.burst(), maxWindow)
	}
	return errors.Join(wrong...)
}

// problems is what is wrong with a configuration.
type problems []error

func (p *problems) addIf(wrong bool, format string, args ...any) {
	if wrong {
		*p = append(*p, fmt.Errorf(format, args...))
	}
}

// Narrow returns the rate that allows only what both allow: the lower of the long-run
// rates, and the smaller burst. A zero Rate narrows nothing.
func (r Rate) Narrow(other Rate) Rate {
	if r == (Rate{}) || other == (Rate{}) {
		return cmp.Or(r, other)
	}
	burst := min(r.burst(), other.burst())
	if other.interval() > r.interval() {
		r = other
	}
	r.Burst = burst
	return r
}

// Window is the time in which a whole burst becomes available again.
func (r Rate) Window() time.Duration { return r.interval() * time.Duration(r.burst()) }

// Quota is what is left of a Rate.
type Quota struct {
	// Taken reports whether it may happen now.
	Taken bool
	// Left is how often it may happen at once after this.
	Left int
	// After is how long it takes until Left more have become available; if Left is 0,
	// until one has. It is in whole seconds, at least one.
	After time.Duration
}

// Take counts one of id with the limiter, if the rate allows it. It implements the generic
// cell rate algorithm: the limiter stores the time at which all that was taken so far
// would be due at an even rate. That time may be ahead of now by at most a burst. All calls
// with one id must have the same rate. The errors are the limiter's.
func (r Rate) Take(ctx context.Context, l store.Limiter, id string, now time.Time) (Quota, error) {
	interval, window := r.interval(), r.Window()
	ahead, moved, err := l.Advance(ctx, id, now, interval, window)
	if err != nil {
		return Quota{}, err
	}
	left := int(max(0, window-ahead) / interval)
	if left == 0 {
		return Quota{Taken: moved, After: ceilSecond(ahead + interval - window)}, nil
	}
	return Quota{Taken: moved, Left: left, After: max(time.Second, (interval * time.Duration(left)).Round(time.Second))}, nil
}

func (r Rate) burst() int { return cmp.Or(r.Burst, r.Limit) }

// interval returns the time between two at an even rate. It is rounded up to the
// microsecond, the resolution of every driver, so that no more than Limit fit into Per.
func (r Rate) interval() time.Duration {
	step := time.Duration(r.Limit) * time.Microsecond
	return (r.Per + step - 1) / step * time.Microsecond //nolint:durationcheck // a quotient of durations is a plain number
}

// ceilSecond rounds up to whole seconds, at least one, since Retry-After is in seconds
// (RFC 9110, section 10.2.3).
func ceilSecond(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}
