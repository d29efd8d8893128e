package apikey

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// refuse ends every refused login: it counts and records the refusal, calls the
// Observer, waits until Config.RefuseAfter has passed, and returns the error.
func (s *Service) refuse(ctx context.Context, p *Proof, err error) error {
	proved := p.credential.ID != ""
	// The response time must not show whether a key was found. For a malformed id, secret
	// or assertion none was looked up. An error that wraps store.ErrUnavailable is not
	// delayed either: none was found, or the digest of a found key could not be verified.
	ofIssuer := errors.Is(err, errIssuerOutage)
	delayed := !proved && !errors.Is(err, errMalformed) && (ofIssuer || !errors.Is(err, store.ErrUnavailable))
	if ofIssuer || errors.Is(err, ErrInvalidCredentials) {
		if wait, over := s.budget.fail(ctx, p.address, p.id, p.now); over {
			err = &ThrottledError{RetryAfter: wait}
		}
	}
	reason := reasonOf(err)
	note := reason
	if refused, ok := errors.AsType[*assertionError](err); ok {
		note += ": " + refused.reason
	}
	if p.found.Key.ID != "" && s.unwritten.refusal(p, note) && note != reason {
		s.cfg.Logger.InfoContext(ctx, "an assertion was refused", "key", p.found.Key.ID, "reason", strings.TrimPrefix(note, reason+": "))
	}
	s.observe(ctx, p, reason)
	if delayed {
		s.delayRefusal(ctx, p.start)
	}
	return err
}

// observe calls the Observer, if there is one. reason is empty if the credentials
// were accepted.
func (s *Service) observe(ctx context.Context, p *Proof, reason string) {
	if s.cfg.Observer == nil {
		return
	}
	d := observe.Decision{Time: p.now, Use: p.use, Reason: reason, ClientID: s.presented(p), Address: p.address, Method: strings.Clone(p.method), Route: p.route}
	if p.credential.ID != "" {
		d.KeyID, d.Workspace, d.CredentialID = p.found.Key.ID, p.found.Key.Workspace, p.credential.ID
	}
	s.cfg.Observer(ctx, d)
}

// maxUnknownID is the greatest length of an unknown id that the Observer gets: that of
// a UUID, which generated key ids are.
const maxUnknownID = 36

// presented returns the Decision.ClientID. It is empty if the id may contain a secret:
// a client may have sent its secret, or its Basic credentials, as the id.
func (s *Service) presented(p *Proof) string {
	within := func(prefix string) bool { return strings.Contains(p.id, prefix) }
	switch {
	case slices.ContainsFunc(s.cfg.SecretPrefixes, within):
		return ""
	case p.found.Key.ID != "":
		return p.id
	case s.cfg.Imported, len(p.id) > maxUnknownID:
		return ""
	}
	return printable(p.id)
}

// maxYields bounds the loop in delayRefusal. So many yields take longer than a
// millisecond. Without the bound, the loop would not end in a testing/synctest bubble,
// where the time stands still.
const maxYields = 10_000

// delayRefusal waits until Config.RefuseAfter has passed since start, or ctx ends.
//
// On Linux the timer of an idle process is late by up to a millisecond (epoll_wait
// counts whole milliseconds). With the timer alone, the response time would show the
// fraction of a millisecond that the store took. So delayRefusal first yields until a
// whole number of milliseconds has passed since start. Only one refusal at a time does
// so: if several wait, the fraction does not show.
func (s *Service) delayRefusal(ctx context.Context, start time.Time) {
	passed := realTime().Sub(start)
	if passed >= s.cfg.RefuseAfter {
		return
	}
	if s.aligning.TryLock() {
		whole := (passed + time.Millisecond - 1).Truncate(time.Millisecond)
		for yields := 0; passed < whole && yields < maxYields; yields++ {
			runtime.Gosched()
			passed = realTime().Sub(start)
		}
		s.aligning.Unlock()
	}
	timer := time.NewTimer(s.cfg.RefuseAfter - passed)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// reasonOf returns the Decision.Reason of a refusal, or "" for no error.
func reasonOf(err error) string {
	var throttled *ThrottledError
	var assertion *assertionError
	var refused *RefusedError
	var malformed *scope.SyntaxError
	var denied *policy.Denied
	switch {
	case err == nil:
		return ""
	case errors.As(err, &throttled):
		return "throttled"
	case errors.As(err, &refused):
		return refused.Reason
	case errors.As(err, &malformed):
		return "scope"
	case errors.As(err, &denied) && denied.Expired:
		return "expired"
	case errors.As(err, &denied):
		return "policy"
	case errors.As(err, &assertion):
		return "assertion"
	case errors.Is(err, errMalformed):
		return "malformed_secret"
	case errors.Is(err, ErrInvalidCredentials):
		return "unknown_or_wrong"
	}
	return "unavailable"
}

// hourly remembers the names of what was logged or recorded in this hour.
type hourly struct {
	mu   sync.Mutex
	hour time.Time
	seen map[string]struct{}
}

// first reports whether this is the first call with name in the hour of now.
func (h *hourly) first(name string, now time.Time) bool {
	hour := now.Truncate(time.Hour)
	h.mu.Lock()
	defer h.mu.Unlock()
	// If the clock steps back by up to an hour, nothing is logged twice. After a
	// larger step the hour starts anew, so that nothing stays unlogged for long.
	if h.seen == nil || hour.After(h.hour) || h.hour.Sub(hour) > time.Hour || len(h.seen) >= maxRefusals {
		h.seen, h.hour = make(map[string]struct{}), hour
	}
	_, known := h.seen[name]
	h.seen[name] = struct{}{}
	return !known
}

// reportWithheld logs that permissions of the key are not issued, once per key,
// version and hour.
func (s *Service) reportWithheld(ctx context.Context, k *store.Key, withheld scope.Set) {
	if !s.withheld.first(k.ID+" "+strconv.FormatInt(k.Version, 10), s.now()) {
		return
	}
	catalog := s.cfg.Permissions
	s.cfg.Logger.WarnContext(ctx, "permissions of a key are left out of its tokens: they are no longer in the catalog, or became admin permissions, which an organization admin must grant again",
		"key", k.ID, "workspace", k.Workspace, "removed", withheld.Minus(catalog.All()).String(), "raised", withheld.Intersect(catalog.All()).String())
}
