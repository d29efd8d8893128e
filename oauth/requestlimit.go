package oauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// RequestLimit is how many requests API keys may send to the routes behind it; see
// Server.LimitRequests. Key, Workspace or Settings is required.
type RequestLimit struct {
	// Key bounds the requests of each key. Workspace bounds those of all keys of a
	// workspace together; a key with an admin permission counts for its own workspace.
	// The zero Rate sets no bound.
	Key, Workspace policy.Rate
	// Settings applies what administrators set, too: store.Rules.KeyRequests and
	// WorkspaceRequests, in requests a minute, as policy.EffectiveRules merges those of
	// the instance and of the key's workspace. They can lower Key and Workspace, and
	// never raise them: the lower rate and the smaller burst apply. A change applies
	// at the next request in this process and with store/cache within its bound in
	// others, and begins a new count. The limiter reads the key and its settings
	// itself: from memory with store/cache, else with one more read of the store for
	// each request.
	Settings bool
	// Name tells this limit from others, in RateLimit fields and for its counts: limits
	// with the same name and sizes share their counts, in this process and in all others
	// with the same Store.Limiter. At most 64 of A-Z a-z 0-9 - _. Default empty.
	Name string
	// OnOutage is what happens while Store.Limiter or, with Settings, the store is
	// unavailable. By default the answer is 503. With policy.OutageAllow the request
	// passes, and a warning is logged.
	OnOutage policy.Outage
	// ReportOnly, unless nil, tries the limit: every request passes, without RateLimit
	// fields, and is counted. The function is called for each one that would have been
	// refused, with the reason in Trial.Err and the caller in bearer.PrincipalFrom(ctx).
	ReportOnly func(ctx context.Context, t policy.Trial)
}

// RequestLimiter refuses requests over a RequestLimit. It is safe for concurrent use.
type RequestLimiter struct {
	limit  RequestLimit
	server *Server
}

// LimitRequests returns a limiter for the routes behind its Handler or Check. These must be
// behind a guard, since the limiter counts by the principal of the request: a request
// without one is a mistake of the program, and is answered with 500. It counts requests with
// a token and those with a secret alike, and exactly over all processes that share
// Store.Limiter: of any number at one instant no more than a burst pass.
//
// A request over the limit gets 429 with Retry-After. That and every other response has the
// fields RateLimit and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-11, with the
// policies "key" and "workspace", or "NAME-key" and "NAME-workspace": q is the burst, w the
// seconds in which a whole burst comes back. A 429 has in RateLimit
// only the policy that refused. The key's bound is checked first, so that the requests it
// refuses use up nothing of what the workspace's other keys share; one that the workspace's
// bound refuses has been counted for its key. A check waits for at most Config.LoginTimeout.
//
// It panics if l or the Server's store cannot limit requests; the text names each field.
func (s *Server) LimitRequests(l RequestLimit) *RequestLimiter {
	var problems []error
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	none := policy.Rate{}
	add(l.Key == none && l.Workspace == none && !l.Settings, "Key, Workspace and Settings are not set: set one")
	add(l.Key != none && l.Key.Problem() != nil, "Key: %w", l.Key.Problem())
	add(l.Workspace != none && l.Workspace.Problem() != nil, "Workspace: %w", l.Workspace.Problem())
	add(!limitName.MatchString(l.Name), "Name: it may have at most 64 characters of A-Z a-z 0-9 - _")
	add(l.OnOutage > policy.OutageAllow, "OnOutage: %d is neither OutageDeny nor OutageAllow", l.OnOutage)
	add(s.store.Limiter == nil, "Store.Limiter is missing: set it, for example to that of redisstore")
	if err := errors.Join(problems...); err != nil {
		panic(fmt.Errorf("oauth: LimitRequests: %w", err)) //nolint:forbidigo // documented above: a programming error
	}
	return &RequestLimiter{limit: l, server: s}
}

var limitName = regexp.MustCompile(`^[A-Za-z0-9_-]{0,64}$`)

// Handler passes requests within the limit to next. It panics if l or next is nil.
func (l *RequestLimiter) Handler(next http.Handler) http.Handler {
	if l == nil || next == nil {
		panic("oauth: RequestLimiter.Handler: the limit or the handler is nil") //nolint:forbidigo // documented above: a programming error
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.Check(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

// Check is Handler for other routers: it reports whether a request may pass. If not, it
// has written the answer. r must be the request that the guard returned.
func (l *RequestLimiter) Check(w http.ResponseWriter, r *http.Request) bool {
	ctx, s := r.Context(), l.server
	principal, ok := bearer.PrincipalFrom(ctx)
	if !ok {
		s.refuse(ctx, w, fmt.Errorf("oauth: the limit on requests of route %q found no principal: mount it behind a guard", r.Pattern))
		return false
	}
	header := w.Header()
	if l.limit.ReportOnly != nil {
		header = http.Header{}
	}
	err := l.take(ctx, principal, header)
	switch {
	case err == nil:
	case l.limit.OnOutage == policy.OutageAllow && store.IsOutage(err) && ctx.Err() == nil:
		s.cfg.Logger.WarnContext(ctx, "a request passed without its limit because the limiter or the store is unavailable", "error", err)
	case l.limit.ReportOnly != nil:
		l.limit.ReportOnly(ctx, policy.Trial{Err: err})
	default:
		s.refuse(ctx, w, err)
		return false
	}
	return true
}

// take counts a request, and adds the RateLimit fields to header. The error is a
// *policy.Denied or an outage.
func (l *RequestLimiter) take(ctx context.Context, p *bearer.Principal, header http.Header) error {
	timed := request.WithTimeout(ctx, l.server.cfg.LoginTimeout)
	defer timed.Stop()
	bounds, err := l.bounds(timed, p)
	if err != nil {
		return fmt.Errorf("oauth: limit on requests: read settings: %w: %w", store.ErrUnavailable, err)
	}
	for _, b := range bounds {
		header.Add("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", b.name, b.rate.Burst, max(1, b.rate.Window().Round(time.Second)/time.Second)))
	}
	for _, b := range bounds {
		left, err := b.rate.Take(timed, l.server.store.Limiter, b.id, l.server.cfg.Now())
		if err != nil {
			return fmt.Errorf("oauth: limit on requests: %w: %w", store.ErrUnavailable, err)
		}
		item := fmt.Sprintf("%q;r=%d;t=%d", b.name, left.Left, left.After/time.Second)
		if !left.Taken {
			header.Set("RateLimit", item) // alone: Retry-After may not be before the end of a t (section 6)
			return &policy.Denied{
				Rule: "requests_by_" + b.by, RetryAfter: left.After,
				Reason: "Too many requests of this " + b.noun + "; wait as Retry-After says, then try again.",
			}
		}
		header.Add("RateLimit", item)
	}
	return nil
}

// bound is a rate for one key or one workspace.
type bound struct {
	by, noun string
	id       string // of the key or the workspace, then of the counter
	rate     policy.Rate
	setting  int    // requests a minute, or 0
	name     string // in RateLimit fields
}

// bounds returns the bounds of a request, the key's first. Their bursts are set.
func (l *RequestLimiter) bounds(ctx context.Context, p *bearer.Principal) ([]bound, error) {
	var rules store.Rules
	if l.limit.Settings {
		found, err := l.server.store.Reads().Lookup(ctx, p.KeyID)
		if err != nil && (store.IsOutage(err) || !errors.Is(err, store.ErrNotFound)) { // for a key that was deleted the code's rates apply
			return nil, err
		}
		if found.Instance.Version == 0 {
			found.Instance.Rules = l.server.cfg.APIKeys.DefaultRules
		}
		rules = policy.EffectiveRules(found.Instance, found.Workspace)
	}
	var bounds []bound
	for _, b := range []bound{
		{by: "key", noun: "API key", id: p.KeyID, rate: l.limit.Key, setting: rules.KeyRequests},
		{by: "workspace", noun: "workspace", id: p.Workspace, rate: l.limit.Workspace, setting: rules.WorkspaceRequests},
	} {
		if b.setting > 0 {
			const most = int(time.Minute / time.Microsecond) // the highest rate of a limiter
			b.rate = b.rate.Narrow(policy.Rate{Limit: min(b.setting, most), Per: time.Minute})
		}
		if b.rate == (policy.Rate{}) {
			continue
		}
		b.rate.Burst = cmp.Or(b.rate.Burst, b.rate.Limit)
		// With the sizes, since settings can change them, and all calls with one id must
		// have one rate.
		b.id = fmt.Sprintf("oauth/requests/%s/%s/%d/%d/%d/%s", l.limit.Name, b.by, b.rate.Limit, int64(b.rate.Per), b.rate.Burst, b.id)
		b.name = strings.TrimPrefix(l.limit.Name+"-"+b.by, "-")
		bounds = append(bounds, b)
	}
	return bounds, nil
}
