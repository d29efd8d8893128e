package policy

import (
	"context"
	"errors"
	"time"
)

var errNoLifetime = errors.New("the configured lifetime is zero or negative")

// RequireExpiry denies a key without an expiry. It applies where a request lets
// a key live anew or longer (see KeyRequest.Prolongs): an older key without
// one may still be renamed, narrowed and disabled, and logs in as before. A
// rule that reaches older keys too is Settings with EnforcedFrom.
func RequireExpiry() Policy {
	return KeyFunc(func(_ context.Context, r *KeyRequest) error {
		if !r.Prolongs() || !r.After.NotAfter.IsZero() {
			return nil
		}
		return &Denied{Rule: "require_expiry", Reason: "A key needs an expiry here, and this one has none."}
	})
}

// MaxLifetime denies a key that has no expiry, or one later than its newest
// secret's creation plus d; exactly d is allowed. To live longer a key needs
// a rotation. An expiry given as a date means the end of that day, so that a
// date d ahead is usually too late by some hours; the refusal names the
// latest instant. With d of 0 or less no key conforms.
//
// It applies where a request lets a key live anew or longer; older keys stay as
// they are, as under RequireExpiry.
func MaxLifetime(d time.Duration) Policy {
	return KeyFunc(func(_ context.Context, r *KeyRequest) error {
		if !r.Prolongs() {
			return nil
		}
		start := NewestSecret(r.After)
		if start.After(r.Now) {
			// A date of creation in the future, of an imported key say, must not
			// buy a longer life.
			start = r.Now
		}
		latest := start.Add(d)
		if !r.After.NotAfter.IsZero() && !r.After.NotAfter.After(latest) {
			return nil
		}
		reason := "This key's expiry is too late"
		if r.After.NotAfter.IsZero() {
			reason = "A key needs an expiry here"
		}
		reason += ": the latest allowed is " + latest.UTC().Format(time.RFC3339) +
			", and a date counts to the end of its day."
		if r.Action == ActionUpdate || r.Action == ActionEnable {
			reason += " Rotating the key allows a later one."
		}
		return &Denied{Rule: "max_lifetime", Reason: reason}
	})
}

// DefaultLifetime gives a key the expiry now plus d when it is made without
// one, or when an update takes its expiry away. Put it before RequireExpiry
// and MaxLifetime. With d of 0 or less it denies such keys.
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

// TokenTTL lets a token live d at most, counted from its issue. With d of 0
// or less it denies every token.
func TokenTTL(d time.Duration) Policy {
	return TokenFunc(func(_ context.Context, r *TokenRequest) error {
		if d <= 0 {
			return &Denied{Rule: "token_ttl", Err: errNoLifetime}
		}
		r.ShortenTo(r.Now.Add(d))
		return nil
	})
}
