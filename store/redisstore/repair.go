package redisstore

import (
	"context"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// A failover can set epochs back: to what the promoted replica had. Where the
// keys are this driver's own, the changes that raised them are gone as well.
// Where the keys are another's, the change stands, and its mark must come
// back. So a process remembers the marks and revocations it wrote last, and
// writes them again when it reads less than it wrote, and when its watch
// begins anew. What no living process remembers, the next login of the key
// puts right from its record (package apikey).

// remembered is how many marks, and how many revocations, a process remembers.
const remembered = 10_000

// memory holds the marks and revocations that this process wrote last.
type memory struct {
	mu      sync.RWMutex
	marks   latest[markID, store.Mark]
	revoked latest[string, revocation]
}

type markID struct{ workspace, key string }

type revocation struct{ until, now time.Time }

func (m *memory) raised(marks []store.Mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mark := range marks {
		id := markID{mark.Workspace, mark.Key}
		if old, ok := m.marks.get(id); ok {
			mark.Epoch = max(mark.Epoch, old.Epoch)
		}
		mark.Secrets = append([]store.SecretEnd(nil), mark.Secrets...)
		m.marks.put(id, mark)
	}
}

func (m *memory) ended(tokenID string, until, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.revoked.get(tokenID); ok && old.until.After(until) {
		until = old.until
	}
	m.revoked.put(tokenID, revocation{until, now})
}

// ahead returns the marks for a token that are ahead of what was read, and
// whether the token was revoked although it was not read so.
func (m *memory) ahead(ref *store.TokenRef, state store.EpochState, known bool) (marks []store.Mark, revoked *revocation) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, at := range []struct {
		id   markID
		read int64
	}{
		{markID{}, state.Instance}, {markID{workspace: ref.Workspace}, state.Workspace}, {markID{ref.Workspace, ref.Key}, state.Key},
	} {
		if mark, ok := m.marks.get(at.id); ok && (mark.Epoch > at.read || at.id.key != "" && !known) {
			marks = append(marks, mark)
		}
	}
	if r, ok := m.revoked.get(ref.TokenID); ok && !state.Revoked {
		revoked = &r
	}
	return marks, revoked
}

func (m *memory) all() ([]store.Mark, map[string]revocation) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	marks := make([]store.Mark, 0, len(m.marks.entries))
	for _, mark := range m.marks.entries {
		marks = append(marks, mark)
	}
	revoked := make(map[string]revocation, len(m.revoked.entries))
	for id, r := range m.revoked.entries {
		revoked[id] = r
	}
	return marks, revoked
}

// repair writes back what a read showed to be gone, and what it should have
// read.
func (e *epochs) repair(ctx context.Context, ref *store.TokenRef, state store.EpochState, known bool) (store.EpochState, bool, error) {
	marks, revoked := e.db.memory.ahead(ref, state, known)
	if len(marks) == 0 && revoked == nil {
		return state, known, nil
	}
	if err := e.write(ctx, marks, true); err != nil {
		return state, known, err
	}
	if revoked != nil {
		if err := e.revoke(ctx, ref.TokenID, *revoked); err != nil {
			return state, known, err
		}
	}
	e.db.log.WarnContext(ctx, "redisstore: epochs that had gone backwards were put right")
	return e.read(ctx, ref)
}

// restore writes back all that this process remembers, where less is there.
func (e *epochs) restore(ctx context.Context) error {
	marks, revoked := e.db.memory.all()
	for len(marks) > 0 {
		n := min(len(marks), stretch)
		if err := e.write(ctx, marks[:n], true); err != nil {
			return err
		}
		marks = marks[n:]
	}
	for id, r := range revoked {
		c := e.revoking(id, r)
		if err := e.db.runDurably(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// latest is a map that forgets what came first.
type latest[K comparable, V any] struct {
	entries map[K]V
	order   []K // a ring once it is full
	next    int
}

func (l *latest[K, V]) get(key K) (V, bool) {
	value, ok := l.entries[key]
	return value, ok
}

func (l *latest[K, V]) put(key K, value V) {
	if l.entries == nil {
		l.entries = make(map[K]V)
	}
	if _, ok := l.entries[key]; !ok {
		if len(l.order) < remembered {
			l.order = append(l.order, key)
		} else {
			delete(l.entries, l.order[l.next])
			l.order[l.next] = key
			l.next = (l.next + 1) % remembered
		}
	}
	l.entries[key] = value
}
