package policy

import (
	"context"
	"errors"
	"time"
)

var errNoLifetime = errors.New("the configured lifetime is zero or negative: set one above 0")

// RequireExpiry denies a key without an expiry. It applies to requests that make a
// key usable again or for longer (see KeyRequest.ExtendsLife). An older key without an
// expiry can still be renamed, narrowed and disabled, and can log in. To apply the
// rule to older keys, too, use Settings with EnforcedFrom.
func RequireExpiry() Policy {
	return KeyFunc(func(_ context.Context, r *KeyRequest) error {
		if !r.ExtendsLife() || !r.After.NotAfter.IsZero() {
			return nil
		}
		return &Denied{Rule: "require_expiry", Reason: "This key needs an expiry, and it has none."}
	})
}

// MaxLifetime denies a key that has no expiry, or an expiry later than d after the
// creation of its newest credential, or of an older one that goes on; see LifetimeStart.
// Exactly d is allowed. To live longer, a key must be rotated, and its public keys and
// trusts replaced. A public key that was retired and is then added again counts as new. An expiry given as a date means the end of that day, so a date d
// ahead is usually some hours too late; the refusal names the latest instant. If d
// is 0 or less, every key is denied.
//
// Like RequireExpiry, it applies only to requests that make a key usable again or for
// longer.
func MaxLifetime(d time.Duration) Policy {
	return KeyFunc(func(_ context.Context, r *KeyRequest) error {
		if !r.ExtendsLife() {
			return nil
		}
		start := LifetimeStart(r.After, d)
		if start.After(r.Now) {
			// An imported key may have a creation date in the future. That must not
			// allow a longer life.
			start = r.Now
		}
		latest := start.Add(d)
		if !r.After.NotAfter.IsZero() && !r.After.NotAfter.After(latest) {
			return nil
		}
		reason := "This key's expiry is too late"
		if r.After.NotAfter.IsZero() {
			reason = "This key needs an expiry"
		}
		reason += ": the latest allowed is " + latest.UTC().Format(time.RFC3339) +
			", and a date means the end of that day."
		if r.Action == ActionUpdate || r.Action == ActionEnable {
			reason += " To set a later one, rotate the key, and replace its public keys and trusts if it has any."
		}
		return &Denied{Rule: "max_lifetime", Reason: reason}
	})
}

// DefaultLifetime sets the expiry to now plus d for a key that is created or
// imported without one, and for an update that removes the expiry. Put it before
// RequireExpiry and MaxLifetime. If d is 0 or less, it denies these requests.
func DefaultLifetime(d time.Duration) Policy {
	return KeyFunc(func(_ context.Context, r *KeyRequest) error {
		removed := r.Before != nil && !r.Before.NotAfter.IsZero()
		if !r.After.NotAfter.IsZero() || r.Before != nil && !removed {
			return nil
		}
		if d <= 0 {
			return &Denied{Rule: "default_lifetime", Err: errNoLifetime}
		}
		r.ShortenTo(r.Now.Add(d))
		return nil
	})
}

// TokenTTL limits the lifetime of a token to d, counted from its issue. It has no effect
// on direct use, which issues no token. If d is 0 or less, it denies every use.
func TokenTTL(d time.Duration) Policy {
	return TokenFunc(func(_ context.Context, r *TokenRequest) error {
		if d <= 0 {
			return &Denied{Rule: "token_ttl", Err: errNoLifetime}
		}
		r.ShortenTo(r.Now.Add(d))
		return nil
	})
}
