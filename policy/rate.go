package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// By is what a rate limit counts logins by.
type By uint8

// The values of By. ByAddress counts an IPv6 client by its /64, and denies a login
// whose address the host does not supply.
const (
	ByKey By = iota
	ByWorkspace
	ByAddress
)

// Outage is what RateLimit does while its limiter is unavailable.
type Outage uint8

const (
	// OutageDeny refuses the login as an outage: the error wraps
	// store.ErrUnavailable, and the answer is 503. It is the zero value.
	OutageDeny Outage = iota
	// OutageAllow allows every login until the limiter answers again.
	OutageAllow
)

// localEntries is the number of counters of a limiter in this process: some
// megabytes at most, and far more than the clients that are active at a time.
const localEntries = 1 << 16

// maxWindow bounds Burst times Per/Limit, so that no driver overflows.
const maxWindow = 366 * 24 * time.Hour

// RateLimitConfig sets up RateLimit.
type RateLimitConfig struct {
	// By is what logins are counted by. The zero value is ByKey.
	By By
	// Limit is how many tokens may be issued in Per, in the long run. It is at
	// least 1, and at most one token per microsecond.
	Limit int
	// Per is the period of Limit. It has no default; at most 366 days.
	Per time.Duration
	// Burst is how many tokens may be issued at once after a pause. 0 means
	// Limit. Burst times Per/Limit is at most 366 days.
	Burst int
	// Limiter keeps the counts. Policies with the same By, Limit, Per and
	// Burst on one Limiter share their counts, in this process and in others. nil
	// means a limiter in this process only, with bounded memory.
	Limiter store.Limiter
	// Timeout bounds one call of Limiter. A call that takes longer counts as an
	// outage. 0 means 500 ms. Without a Limiter it has no effect.
	Timeout time.Duration
	// OnOutage is what happens while Limiter fails. The zero value is OutageDeny.
	OnOutage Outage
}

// RateLimit bounds how often tokens are issued. It counts every login that it allows,
// even if a later policy of All denies it. It counts neither its own refusals nor
// introspection nor direct use. Failed logins never reach a policy, so it does not limit them.
//
// If the configuration is out of bounds, it denies every token. The denial's Err, which
// is logged, names each field that is wrong.
func RateLimit(c RateLimitConfig) Policy {
	c.Burst = cmp.Or(c.Burst, c.Limit)
	interval, err := c.interval()
	if err != nil {
		return TokenFunc(func(context.Context, *TokenRequest) error {
			return &Denied{Rule: "rate_limit", Err: err}
		})
	}
	switch {
	case c.Limiter == nil:
		c.Limiter, c.Timeout = memstore.NewLimiter(localEntries), 0
	case c.Timeout == 0:
		c.Timeout = 500 * time.Millisecond
	}
	l := rateLimit{
		RateLimitConfig: c, interval: interval, window: interval * time.Duration(c.Burst),
		prefix: fmt.Sprintf("policy/rate/%d/%d/%d/%d/", c.By, c.Limit, int64(c.Per), c.Burst),
	}
	return TokenFunc(l.checkToken)
}

// interval returns the time between two tokens at an even rate. It is rounded up to
// the microsecond, the resolution of every driver, so that no more than Limit fit into
// Per. The error joins all problems.
func (c RateLimitConfig) interval() (time.Duration, error) {
	var problems []error
	for _, field := range []struct {
		wrong   bool
		problem error
	}{
		{c.By > ByAddress, fmt.Errorf("By: %d is not one of ByKey, ByWorkspace, ByAddress", c.By)},
		{c.Limit < 1, fmt.Errorf("Limit: %d is below 1", c.Limit)},
		{c.Per <= 0, fmt.Errorf("Per: %v is not above 0", c.Per)},
		{c.Per > maxWindow, fmt.Errorf("Per: %v is above %v", c.Per, maxWindow)},
		{c.Burst < 0, fmt.Errorf("Burst: %d is below 0", c.Burst)},
		{c.Timeout < 0, fmt.Errorf("Timeout: %v is below 0", c.Timeout)},
		{c.OnOutage > OutageAllow, fmt.Errorf("OnOutage: %d is neither OutageDeny nor OutageAllow", c.OnOutage)},
	} {
		if field.wrong {
			problems = append(problems, field.problem)
		}
	}
	if len(problems) > 0 {
		return 0, errors.Join(problems...)
	}
	limit := time.Duration(c.Limit)
	if limit > c.Per/time.Microsecond {
		return 0, fmt.Errorf("Limit: %d in %v is more than one a microsecond", c.Limit, c.Per)
	}
	step := limit * time.Microsecond                         //nolint:durationcheck // limit is a plain number
	interval := (c.Per + step - 1) / step * time.Microsecond //nolint:durationcheck // a quotient of durations is a plain number
	if interval > maxWindow/time.Duration(c.Burst) {
		return 0, fmt.Errorf("Burst: %d times Per/Limit is above %v", c.Burst, maxWindow)
	}
	return interval, nil
}

type rateLimit struct {
	RateLimitConfig
	prefix           string
	interval, window time.Duration
}

// checkToken implements the generic cell rate algorithm: the limiter stores the time at
// which all tokens issued so far would be due at an even rate. That time may be ahead of
// now by at most a burst.
func (l *rateLimit) checkToken(ctx context.Context, r *TokenRequest) error {
	if r.Use != UseLogin {
		return nil
	}
	id := l.prefix
	switch l.By {
	case ByKey:
		id += r.Key.ID
	case ByWorkspace:
		id += r.Key.Workspace
	case ByAddress:
		client := clientNetwork(r.Address)
		if !client.IsValid() {
			return &Denied{Rule: "rate_limit", Reason: "Logins are limited by network address, and the address of this one is not known."}
		}
		id += client.String()
	}
	ahead, moved, err := l.advance(ctx, id, r.Now)
	switch {
	case err == nil && moved:
		return nil
	case err != nil && l.OnOutage == OutageAllow && ctx.Err() == nil:
		return nil
	case err != nil:
		return fmt.Errorf("policy: rate limit: %w: %w", store.ErrUnavailable, err)
	}
	wait := ceilSecond(ahead + l.interval - l.window)
	return &Denied{
		Rule:       "rate_limit",
		Reason:     "Too many logins; try again in " + counted(int64(wait/time.Second), "second") + ".",
		RetryAfter: wait,
	}
}

func (l *rateLimit) advance(ctx context.Context, id string, now time.Time) (ahead time.Duration, moved bool, err error) {
	if l.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.Timeout)
		defer cancel()
	}
	return l.Limiter.Advance(ctx, id, now, l.interval, l.window)
}

// ceilSecond rounds up to whole seconds, at least one, since Retry-After is in seconds
// (RFC 9110, section 10.2.3).
func ceilSecond(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}
