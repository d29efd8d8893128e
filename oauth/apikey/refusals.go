package apikey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// refuse counts, reports and records a refusal, and returns err.
func (s *Service) refuse(c Credentials, l *Login, err error) error {
	reason, proved := reasonOf(err)
	s.counts.refusals.Add(1)
	if reason == "throttled" {
		s.counts.throttled.Add(1)
	}
	seen := Observation{Time: l.now, Refused: true, Reason: reason, Address: c.Address}
	if l.found.Key.ID != "" {
		if proved {
			seen.KeyID, seen.Workspace = l.found.Key.ID, l.found.Key.Workspace
		}
		s.refusals.add(l.found.Key.ID, l.found.Key.Workspace, reason, l.now)
		s.tallyRefusal(&l.found.Key, l.now)
	}
	if s.cfg.Observer != nil {
		s.cfg.Observer(seen)
	}
	return err
}

// maxYields takes longer than a millisecond. In a bubble of testing/synctest
// the time stands still meanwhile.
const maxYields = 10_000

// hold keeps a refusal back until Config.RefuseAfter has passed since start, or
// ctx ends. On Linux an idle process waits for whole milliseconds (epoll_wait),
// and what the store took would come out again as a fraction of one. So it
// first yields until a whole one has passed; one refusal at a time, since
// several hide the difference among themselves.
func (s *Service) hold(ctx context.Context, start time.Time) {
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

// realTime is not the host's clock: it is the wire that must not tell.
func realTime() time.Time { return time.Now() } //nolint:forbidigo // see above

// reasonOf names a refusal, and says whether the secret had been proved.
func reasonOf(err error) (string, bool) {
	var throttled *ThrottledError
	var refused *RefusedError
	var malformed *scope.SyntaxError
	var missing *ScopeError
	var denied *policy.Denied
	switch {
	case errors.As(err, &throttled):
		return "throttled", false
	case errors.As(err, &refused):
		return refused.Reason, true
	case errors.As(err, &malformed), errors.As(err, &missing):
		return "scope", true
	case errors.As(err, &denied) && denied.Expired:
		return "expired", true
	case errors.As(err, &denied):
		return "policy", true
	case errors.Is(err, errMalformed):
		return "malformed_secret", false
	case errors.Is(err, ErrTarget):
		return "resource", true
	case errors.Is(err, ErrInvalidCredentials):
		return "unknown_or_wrong", false
	}
	return "unavailable", false
}

// refusals gathers one event for each key, reason and hour.
type refusals struct {
	mu      sync.Mutex
	seen    map[string]struct{} // ids of this hour's events
	hour    time.Time
	pending []store.Event
}

// maxRefusals bounds the events kept between two flushes and the ids
// remembered in an hour; the store skips an id that it has already.
const maxRefusals = 10_000

func (r *refusals) add(key, workspace, reason string, now time.Time) {
	hour := now.Truncate(time.Hour)
	name := key + "\x00" + reason
	r.mu.Lock()
	defer r.mu.Unlock()
	// A clock that steps back a little repeats no event; one that was far ahead
	// suppresses none.
	if r.seen == nil || hour.After(r.hour) || r.hour.Sub(hour) > time.Hour || len(r.seen) >= maxRefusals {
		r.seen, r.hour = make(map[string]struct{}), hour
	}
	if _, known := r.seen[name]; known || len(r.pending) >= maxRefusals {
		return
	}
	r.seen[name] = struct{}{}
	// The id is the same in every process, so that the store keeps one.
	sum := sha256.Sum256([]byte(name + "\x00" + hour.Format(time.RFC3339)))
	r.pending = append(r.pending, store.Event{
		ID:        "refused-" + hex.EncodeToString(sum[:12]),
		Time:      now,
		Actor:     store.ActorRef{Kind: string(roleKey), ID: key},
		Action:    audit.Refuse,
		Workspace: workspace,
		Key:       key,
		Note:      reason,
	})
}

func (r *refusals) take() []store.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.pending
	r.pending = nil
	return events
}

func (r *refusals) putBack(events []store.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if free := maxRefusals - len(r.pending); len(events) > free {
		events = events[:max(free, 0)]
	}
	r.pending = append(r.pending, events...)
}

// reported remembers which keys' lost permissions were logged.
type reported struct {
	mu   *sync.Mutex
	keys map[string]int64
}

func newReported() reported { return reported{new(sync.Mutex), make(map[string]int64)} }

// reportRemoved logs, once per key and version, that permissions of the key left
// the catalog and are no longer issued.
func (s *Service) reportRemoved(ctx context.Context, k *store.Key) {
	s.removed.mu.Lock()
	known := s.removed.keys[k.ID] == k.Version
	if !known {
		if len(s.removed.keys) >= maxRefusals {
			clear(s.removed.keys)
		}
		s.removed.keys[k.ID] = k.Version
	}
	s.removed.mu.Unlock()
	if !known {
		s.cfg.Logger.WarnContext(ctx, "permissions of a key are no longer in the catalog and are left out of its tokens",
			"key", k.ID, "workspace", k.Workspace, "permissions", k.Permissions.Minus(s.cfg.Permissions.All()).String())
	}
}
