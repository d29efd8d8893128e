package apikey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Flush writes what logins left behind: last uses, counts by day, and the
// events of refused logins. Call it every few seconds and once at the end; what a failed call
// could not write is kept for the next one.
func (s *Service) Flush(ctx context.Context) error {
	var problems []error
	if batch := s.uses.all(); len(batch) > 0 {
		if err := s.store.Upkeep.Touch(ctx, batch); err != nil {
			problems = append(problems, fmt.Errorf("apikey: write last uses: %w", err))
		} else {
			s.uses.drop(batch)
		}
	}
	if err := s.flushTally(ctx); err != nil {
		problems = append(problems, err)
	}
	if events := s.trail.take(); len(events) > 0 {
		if err := s.store.Events.Append(ctx, events...); err != nil {
			s.trail.putBack(events)
			problems = append(problems, fmt.Errorf("apikey: write events of refused logins: %w", err))
		}
	}
	return errors.Join(problems...)
}

// Prune removes events older than Config.EventRetention, counts older than
// Config.UsageRetention, and the tombstones of keys whose last token has long
// expired. Call it about once an hour. While ClockAgrees is false it does nothing.
func (s *Service) Prune(ctx context.Context) error {
	agrees, err := s.ClockAgrees(ctx)
	if err != nil || !agrees {
		return err
	}
	now := s.now()
	var problems []error
	if s.cfg.EventRetention > 0 {
		if _, err := s.store.Events.Prune(ctx, now.Add(-s.cfg.EventRetention)); err != nil {
			problems = append(problems, fmt.Errorf("apikey: prune events: %w", err))
		}
	}
	if s.cfg.UsageRetention > 0 && s.store.Usage != nil {
		if _, err := s.store.Usage.Prune(ctx, now.Add(-s.cfg.UsageRetention)); err != nil {
			problems = append(problems, fmt.Errorf("apikey: prune usage: %w", err))
		}
	}
	// Twice the longest life a token can have, whatever the configuration was
	// when it was issued.
	if _, err := s.store.Upkeep.Purge(ctx, now.Add(-2*MaxTokenLifetime)); err != nil {
		problems = append(problems, fmt.Errorf("apikey: purge tombstones: %w", err))
	}
	return errors.Join(problems...)
}

// ClockAgrees reports whether this process's clock is within Config.MaxClockSkew
// of the store's. If it is not, it logs a warning with both times: what is old by
// a wrong clock may be new. A store without a clock agrees with every process.
func (s *Service) ClockAgrees(ctx context.Context) (bool, error) {
	before := s.now()
	theirs, err := s.store.Upkeep.Clock(ctx)
	if err != nil {
		return false, fmt.Errorf("apikey: read the store's clock: %w", err)
	}
	after := s.now()
	if theirs.IsZero() || !theirs.Before(before.Add(-s.cfg.MaxClockSkew)) && !theirs.After(after.Add(s.cfg.MaxClockSkew)) {
		return true, nil
	}
	s.cfg.Logger.WarnContext(ctx, "the clock of this process differs from the store's: nothing old is removed and no signing key is rotated until they agree",
		"clock", after, "store", theirs, "most", s.cfg.MaxClockSkew)
	return false, nil
}

// uses gathers last uses until they are flushed, sharded so that logins do
// not wait for one another.
type uses struct {
	seed   maphash.Seed
	shards *[useShards]useShard
}

const (
	useShards = 16
	// maxUses bounds a shard when nobody flushes: further keys are left out.
	maxUses = 16_384
)

type useShard struct {
	sync.Mutex
	at map[usedSecret]time.Time
}

type usedSecret struct{ key, secret string }

func newUses() uses {
	u := uses{seed: maphash.MakeSeed(), shards: new([useShards]useShard)}
	for i := range u.shards {
		u.shards[i].at = make(map[usedSecret]time.Time)
	}
	return u
}

func (u uses) shard(key string) *useShard {
	return &u.shards[maphash.String(u.seed, key)%useShards]
}

func (u uses) add(key, secret string, at time.Time) {
	shard := u.shard(key)
	shard.Lock()
	defer shard.Unlock()
	id := usedSecret{key, secret}
	old, known := shard.at[id]
	if at.After(old) && (known || len(shard.at) < maxUses) {
		shard.at[id] = at
	}
}

// all returns the uses. They stay until drop, after they were written.
func (u uses) all() []store.Use {
	var batch []store.Use
	for i := range u.shards {
		shard := &u.shards[i]
		shard.Lock()
		for id, at := range shard.at {
			batch = append(batch, store.Use{Key: id.key, Secret: id.secret, At: at})
		}
		shard.Unlock()
	}
	return batch
}

// drop removes uses that were written, except of keys that were used again since.
func (u uses) drop(batch []store.Use) {
	for _, use := range batch {
		shard := u.shard(use.Key)
		id := usedSecret{use.Key, use.Secret}
		shard.Lock()
		if shard.at[id].Equal(use.At) {
			delete(shard.at, id)
		}
		shard.Unlock()
	}
}

// overlay adds uses not flushed yet to a key about to be shown.
func (u uses) overlay(k *store.Key) {
	shard := u.shard(k.ID)
	shard.Lock()
	defer shard.Unlock()
	for i := range k.Secrets {
		at := shard.at[usedSecret{k.ID, k.Secrets[i].ID}]
		if at.After(k.Secrets[i].LastUsed) {
			k.Secrets[i].LastUsed = at
		}
		if at.After(k.LastUsed) {
			k.LastUsed = at
		}
	}
}

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
		s.trail.add(l.found.Key.ID, l.found.Key.Workspace, reason, l.now)
		s.tallyRefusal(&l.found.Key, l.now)
	}
	if s.cfg.Observer != nil {
		s.cfg.Observer(seen)
	}
	return err
}

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
	if _, told := r.seen[name]; told || len(r.pending) >= maxRefusals {
		return
	}
	r.seen[name] = struct{}{}
	// The id is the same in every process, so that the store keeps one.
	sum := sha256.Sum256([]byte(name + "\x00" + hour.Format(time.RFC3339)))
	r.pending = append(r.pending, store.Event{
		ID:        "refused-" + hex.EncodeToString(sum[:12]),
		Time:      now,
		Actor:     store.ActorRef{Kind: string(roleKey), ID: key},
		Action:    ActionRefuse,
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
	if room := maxRefusals - len(r.pending); len(events) > room {
		events = events[:max(room, 0)]
	}
	r.pending = append(r.pending, events...)
}

// reported remembers which keys' lost permissions were logged.
type reported struct {
	mu   *sync.Mutex
	keys map[string]int64
}

func newReported() reported { return reported{new(sync.Mutex), make(map[string]int64)} }

// reportGone logs, once per key and version, that permissions of the key left
// the catalog and are no longer issued.
func (s *Service) reportGone(ctx context.Context, k *store.Key) {
	s.gone.mu.Lock()
	told := s.gone.keys[k.ID] == k.Version
	if !told {
		if len(s.gone.keys) >= maxRefusals {
			clear(s.gone.keys)
		}
		s.gone.keys[k.ID] = k.Version
	}
	s.gone.mu.Unlock()
	if !told {
		s.cfg.Logger.WarnContext(ctx, "permissions of a key are no longer in the catalog and are left out of its tokens",
			"key", k.ID, "workspace", k.Workspace, "permissions", k.Permissions.Minus(s.cfg.Permissions.All()).String())
	}
}
