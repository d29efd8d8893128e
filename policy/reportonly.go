package policy

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/scope"
)

// Trial is what a policy or a limit on requests would have done to a request, had it
// not been tried only.
type Trial struct {
	// Key or Token is the request as the tried policy left it: a copy, so that a
	// change has no effect. The other one is nil. Both are nil for a limit on requests.
	Key   *KeyRequest
	Token *TokenRequest
	// Err is the error with which the request would have been refused; nil if it
	// would have passed. AsDenied returns the refusal; store.IsOutage reports whether
	// it is an outage.
	Err error
	// Dropped are the permissions that would have been removed.
	Dropped scope.Set
	// NotAfter is the earlier expiry that the key or the token would have got. Zero:
	// no change.
	NotAfter time.Time
}

// trialTimeout is how long the request waits for a tried policy. It is well below the
// default of a login's bound.
const trialTimeout = 250 * time.Millisecond

// ReportOnly tries a policy: p is asked as ever, but what it answers has no effect. It
// refuses nothing, removes no permission, shortens no lifetime and limits no number of
// keys, and its outages fail no request. Each time that p would have done one of these,
// report is called, before the request goes on. p counts what it counts: a RateLimit that
// is tried shows when it would refuse. If p or report is nil, nothing is tried.
//
// The context of p ends after 250 ms, which is then reported as an outage. report must be
// safe for concurrent use and fast, since the request waits for it.
func ReportOnly(p Policy, report func(ctx context.Context, t Trial)) Policy {
	if p == nil || report == nil {
		return All()
	}
	return reportOnly{p, report}
}

type reportOnly struct {
	policy Policy
	report func(ctx context.Context, t Trial)
}

// CheckKey always returns nil.
func (o reportOnly) CheckKey(ctx context.Context, r *KeyRequest) error {
	limited, cancel := context.WithTimeout(ctx, trialTimeout)
	defer cancel()
	tried := NewKeyRequest(*r)
	t := Trial{Key: tried, Err: o.policy.CheckKey(limited, tried)}
	if t.Err == nil && tried.Limit() != r.Limit() {
		t.Err = MaxKeys(tried.Limit()).CheckKey(ctx, tried) // the store would refuse
	}
	result := tried.Result()
	t.Dropped = r.After.Permissions.Minus(result.Permissions)
	if earlier(result.NotAfter, r.After.NotAfter) {
		t.NotAfter = result.NotAfter
	}
	o.tell(ctx, t)
	return nil
}

// CheckToken always returns nil.
func (o reportOnly) CheckToken(ctx context.Context, r *TokenRequest) error {
	limited, cancel := context.WithTimeout(ctx, trialTimeout)
	defer cancel()
	tried, key := *r, r.Key.Clone()
	tried.Key = &key
	t := Trial{Token: &tried, Err: o.policy.CheckToken(limited, &tried)}
	t.Dropped = r.granted.Minus(tried.granted)
	if r.Use == UseLogin && tried.notAfter.Before(r.notAfter) {
		t.NotAfter = tried.notAfter
	}
	o.tell(ctx, t)
	return nil
}

func (o reportOnly) tell(ctx context.Context, t Trial) {
	if t.Err != nil || t.Dropped.Len() > 0 || !t.NotAfter.IsZero() {
		o.report(ctx, t)
	}
}
