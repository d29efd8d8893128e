package apikey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/store"
)

const (
	// maxCounts bounds the counts of one write.
	maxCounts = 500
	// maxUnwritten bounds the uses, and the counts, kept in memory between two
	// flushes. Further ones are dropped.
	maxUnwritten = 262_144
	// maxRefusals bounds the events kept between two flushes, and the names in a
	// value of type hourly. If an event is recorded again after its name was dropped
	// there, it has the same id, and the store skips it.
	maxRefusals = 10_000
)

// unwritten collects the uses, counts and events of logins and refusals until Flush
// writes them.
type unwritten struct {
	counting bool // the store keeps counts
	logged   hourly
	seen     seenSecrets
	mu       sync.Mutex
	uses     map[usedCredential]time.Time
	writing  map[usedCredential]time.Time // the uses that a Flush writes at the moment
	counts   map[keyDay]store.Count
	events   []store.Event // of refusals, one for each key, reason and hour
}

type usedCredential struct{ key, credential string }

type keyDay struct {
	key string
	day time.Time
}

func newUnwritten(counting bool) *unwritten {
	return &unwritten{counting: counting, uses: make(map[usedCredential]time.Time), counts: make(map[keyDay]store.Count)}
}

// Flush writes to the store what logins and direct uses have left in memory: last uses,
// daily counts, and the events of refused ones. Call it every few seconds and once at
// the end. What a failed call could not write is kept for the next one. A failed
// write may have written its counts, and they are written again: after a failure, a
// count may be too high.
func (s *Service) Flush(ctx context.Context) error {
	uses, counts, events := s.unwritten.take()
	var problems []error
	if len(uses) > 0 {
		if err := s.store.Upkeep.RecordUses(ctx, uses); err != nil {
			s.unwritten.putBack(uses, nil, nil)
			problems = append(problems, describe("write last uses", err))
		}
		s.unwritten.written()
	}
	for some := range slices.Chunk(counts, maxCounts) {
		if err := s.store.Usage.Add(ctx, some); err != nil {
			s.unwritten.putBack(nil, counts, nil)
			problems = append(problems, describe("write usage", err))
			break
		}
		counts = counts[len(some):]
	}
	if len(events) > 0 {
		if err := s.store.Events.Append(ctx, events...); err != nil {
			s.unwritten.putBack(nil, nil, events)
			problems = append(problems, describe("write events of refused logins", err))
		}
	}
	return errors.Join(problems...)
}

func (u *unwritten) login(k *store.Key, credential string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.use(store.Use{Key: k.ID, Credential: credential, At: at})
	u.count(store.Count{Workspace: k.Workspace, Key: k.ID, Day: at, Logins: 1})
}

// refusal counts a refusal of a key that exists, and reports whether it also made an
// event. Refusals with unknown ids are not recorded, since anyone can send them.
func (u *unwritten) refusal(p *Proof, reason string) bool {
	k, at := &p.found.Key, p.now
	u.mu.Lock()
	defer u.mu.Unlock()
	u.count(store.Count{Workspace: k.Workspace, Key: k.ID, Day: at, Refusals: 1})
	name := k.ID + "\x00" + reason
	if len(u.events) >= maxRefusals || !u.logged.first(name, at) {
		return false
	}
	// The id is the same in every process, so the store keeps only one event.
	sum := sha256.Sum256([]byte(name + "\x00" + at.Truncate(time.Hour).Format(time.RFC3339)))
	u.events = append(u.events, store.Event{
		ID:        "refused-" + hex.EncodeToString(sum[:12]),
		Time:      at,
		Actor:     store.ActorRef{Kind: kindKey, ID: k.ID},
		Address:   addressText(p.address),
		Action:    audit.Refuse,
		Workspace: k.Workspace,
		Key:       k.ID,
		KeyName:   k.Name,
		Note:      printable(reason),
	})
	return true
}

// used reports whether a login with the credential waits to be written, or the first of
// several direct uses, which counts like a login.
func (u *unwritten) used(key, credential string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, waits := u.uses[usedCredential{key, credential}]
	_, writes := u.writing[usedCredential{key, credential}]
	return waits || writes
}

// written forgets the uses that a Flush has written or put back.
func (u *unwritten) written() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.writing = nil
}

// use records a use. The caller holds the lock, as for count.
func (u *unwritten) use(use store.Use) {
	id := usedCredential{use.Key, use.Credential}
	old, known := u.uses[id]
	if use.At.After(old) && (known || len(u.uses) < maxUnwritten) {
		u.uses[id] = use.At
	}
}

func (u *unwritten) count(c store.Count) {
	if !u.counting {
		return
	}
	c.Day = c.Day.Truncate(24 * time.Hour)
	id := keyDay{c.Key, c.Day}
	sum, known := u.counts[id]
	if !known && len(u.counts) >= maxUnwritten {
		return
	}
	c.Logins += sum.Logins
	c.Refusals += sum.Refusals
	u.counts[id] = c
}

// take takes out what is to be written.
func (u *unwritten) take() (uses []store.Use, counts []store.Count, events []store.Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen.flush(u)
	for id, at := range u.uses {
		uses = append(uses, store.Use{Key: id.key, Credential: id.credential, At: at})
	}
	counts, events = slices.Collect(maps.Values(u.counts)), u.events
	u.writing, u.uses = u.uses, make(map[usedCredential]time.Time)
	clear(u.counts)
	u.events = nil
	return uses, counts, events
}

func (u *unwritten) putBack(uses []store.Use, counts []store.Count, events []store.Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, use := range uses {
		u.use(use)
	}
	for _, c := range counts {
		u.count(c)
	}
	u.events = append(u.events, events[:min(len(events), maxRefusals-len(u.events))]...)
}
