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

// Outage is what a limit does while its limiter is unavailable.
type Outage uint8

const (
	// OutageDeny refuses the login or the request as an outage: the error wraps
	// store.ErrUnavailable, and the answer is 503. It is the zero value.
	OutageDeny Outage = iota
	// OutageAllow allows every one until the limiter answers again.
	OutageAllow
)

// localEntries is the number of counters of a limiter in this process: some
// megabytes at most, and far more than the clients that are active at a time.
const localEntries = 1 << 16

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
// introspection nor direct use, which oauth.Server.LimitRequests can limit. Failed logins
// never reach a policy, so it does not limit them.
//
// If the configuration is out of bounds, it denies every token. The denial's Err, which
// is logged, names each field that is wrong.
func RateLimit(c RateLimitConfig) Policy {
	if err := c.problems(); err != nil {
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
	l := rateLimit{RateLimitConfig: c, prefix: fmt.Sprintf("policy/rate/%d/%d/%d/%d/", c.By, c.Limit, int64(c.Per), cmp.Or(c.Burst, c.Limit))}
	return TokenFunc(l.checkToken)
}

// problems checks the fields and joins all that is wrong.
func (c RateLimitConfig) problems() error {
	wrong := problems{c.rate().Problem()}
	wrong.addIf(c.By > ByAddress, "By: %d is not one of ByKey, ByWorkspace, ByAddress", c.By)
	wrong.addIf(c.Timeout < 0, "Timeout: %v is below 0", c.Timeout)
	wrong.addIf(c.OnOutage > OutageAllow, "OnOutage: %d is neither OutageDeny nor OutageAllow", c.OnOutage)
	return errors.Join(wrong...)
}

func (c RateLimitConfig) rate() Rate { return Rate{c.Limit, c.Per, c.Burst} }

type rateLimit struct {
	RateLimitConfig
	prefix string
}

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
	left, err := l.take(ctx, id, r.Now)
	switch {
	case err == nil && left.Taken:
		return nil
	case err != nil && l.OnOutage == OutageAllow && ctx.Err() == nil:
		return nil
	case err != nil:
		return fmt.Errorf("policy: rate limit: %w: %w", store.ErrUnavailable, err)
	}
	return &Denied{
		Rule:       "rate_limit",
		Reason:     "Too many logins; try again in " + counted(int64(left.After/time.Second), "second") + ".",
		RetryAfter: left.After,
	}
}

func (l *rateLimit) take(ctx context.Context, id string, now time.Time) (Quota, error) {
	if l.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.Timeout)
		defer cancel()
	}
	return l.rate().Take(ctx, l.Limiter, id, now)
}
