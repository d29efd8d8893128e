// Package policy decides about keys and tokens. A Policy is called at two points:
// before a key is stored (created, imported, changed, rotated, enabled), and before
// a key is used (to log in, to introspect tokens, or directly, in place of a token).
// It can deny, by returning an error, or narrow: shorten a lifetime, lower a limit, drop a permission. It can
// never widen. Before a key is used, StandingOf decides whether it is live at all.
//
// Hosts compose the built-in policies with All and write their own with
// KeyFunc and TokenFunc. An error of any kind denies. A *Denied holds the reason
// that the caller may see. An error for which store.IsOutage is true is an outage
// and no decision: the request is refused, and the answer says to try again.
package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// Policy decides about keys and tokens. Implementations must be safe for concurrent
// use. Both methods are called for an authenticated caller only.
type Policy interface {
	// CheckKey is called before a key is stored.
	CheckKey(ctx context.Context, r *KeyRequest) error
	// CheckToken is called before a live key is used; see TokenRequest.Use.
	CheckToken(ctx context.Context, r *TokenRequest) error
}

// KeyFunc is a Policy that decides about keys only; every token passes.
type KeyFunc func(ctx context.Context, r *KeyRequest) error

// CheckKey calls f.
func (f KeyFunc) CheckKey(ctx context.Context, r *KeyRequest) error { return f(ctx, r) }

// CheckToken lets the token pass.
func (f KeyFunc) CheckToken(context.Context, *TokenRequest) error { return nil }

// TokenFunc is a Policy that decides about tokens only; every key passes.
type TokenFunc func(ctx context.Context, r *TokenRequest) error

// CheckKey lets the key pass.
func (f TokenFunc) CheckKey(context.Context, *KeyRequest) error { return nil }

// CheckToken calls f.
func (f TokenFunc) CheckToken(ctx context.Context, r *TokenRequest) error { return f(ctx, r) }

// All calls the policies in order. The first one that denies decides. A policy sees
// what earlier ones narrowed. A nil policy is skipped.
func All(policies ...Policy) Policy {
	var kept all
	for _, p := range policies {
		if p != nil {
			kept = append(kept, p)
		}
	}
	return kept
}

type all []Policy

func (ps all) CheckKey(ctx context.Context, r *KeyRequest) error {
	for _, p := range ps {
		if err := p.CheckKey(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (ps all) CheckToken(ctx context.Context, r *TokenRequest) error {
	for _, p := range ps {
		if err := p.CheckToken(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// Denied is a refusal that names its rule. The caller sees Reason; Err is only for
// the log.
type Denied struct {
	// Rule names the policy, such as "max_keys".
	Rule string
	// Reason is one plain sentence for the caller. If it is empty, the caller sees
	// only that a policy refused.
	Reason string
	// RetryAfter, unless zero, is how long the caller should wait. The answer is
	// then 429.
	RetryAfter time.Duration
	// Expired means that the rule treats the key as expired.
	Expired bool
	// Err is the cause, which the caller never sees. If it is an outage, the denial
	// counts as an outage; see AsDenied.
	Err error
}

// Error implements error, for logs.
func (d *Denied) Error() string {
	if d == nil {
		return "policy: refused without a reason"
	}
	text := fmt.Sprintf("policy %s: refused", d.Rule)
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	if d.Err != nil {
		text += ": " + d.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (d *Denied) Unwrap() error {
	if d == nil {
		return nil
	}
	return d.Err
}

// AsDenied turns any error of a policy into a *Denied. An error that holds none
// becomes a denial without its text, since that text is not for the caller. An
// outage (see store.IsOutage) is no decision, even if the error also holds a
// *Denied: AsDenied then returns nil, false. If it returns true, the *Denied is not
// nil, even for an error that holds a nil *Denied.
func AsDenied(err error) (*Denied, bool) {
	var denied *Denied
	switch {
	case err == nil, store.IsOutage(err):
		return nil, false
	case errors.As(err, &denied) && denied != nil:
		return denied, true
	}
	return &Denied{Rule: "custom", Reason: "A policy of this service refused the request.", Err: err}, true
}
