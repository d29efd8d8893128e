package redisstore

import (
	"context"
	"maps"
	"slices"
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

// restore writes back all that this process remembers, where less is there. It
// reads first and tells of nothing else: the notices of thousands would drown
// the streams of all processes.
func (e *epochs) restore(ctx context.Context) error {
	marks, revoked := e.db.memory.all()
	for part := range slices.Chunk(marks, stretch) {
		if err := e.restoreMarks(ctx, part); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(slices.Collect(maps.Keys(revoked)), stretch) {
		if err := e.restoreRevoked(ctx, part, revoked); err != nil {
			return err
		}
	}
	return nil
}

func (e *epochs) restoreMarks(ctx context.Context, marks []store.Mark) error {
	l := e.db.layout
	reads := make([]*call, len(marks))
	for i, m := range marks {
		if s := spaceOfMark(&m); m.Key != "" {
			reads[i] = command("hget", l.marks(s), m.Key)
		} else {
			reads[i] = command("hget", l.settings(s), "epoch")
		}
	}
	if err := e.db.run(ctx, reads...); err != nil {
		return err
	}
	var behind []store.Mark
	for i := range marks {
		w := words{text: reads[i].text()}
		if reads[i].missing() || w.number() < marks[i].Epoch {
			behind = append(behind, marks[i])
		}
	}
	calls, tells := e.raising(behind, true)
	return e.putBack(ctx, calls, slices.Concat(tells...))
}

func (e *epochs) restoreRevoked(ctx context.Context, ids []string, revoked map[string]revocation) error {
	reads := make([]*call, len(ids))
	for i, id := range ids {
		reads[i] = command("get", e.db.layout.revoked(id))
	}
	if err := e.db.run(ctx, reads...); err != nil {
		return err
	}
	var calls []*call
	var tells []store.Notice
	for i, id := range ids {
		w := words{text: reads[i].text()}
		if reads[i].missing() || w.number() < revoked[id].until.UnixMicro() {
			calls = append(calls, e.revoking(id, revoked[id]))
			tells = append(tells, store.Notice{Kind: store.NoticeToken, Token: id})
		}
	}
	return e.putBack(ctx, calls, tells)
}

// putBack makes many writes in one trip, without waiting for replicas: where
// they are lost again, they are put back again.
func (e *epochs) putBack(ctx context.Context, calls []*call, tells []store.Notice) error {
	if len(calls) == 0 {
		return nil
	}
	request := newRequest()
	intend, told := e.db.intending(request, tells)
	for _, step := range [][]*call{{intend}, calls, {e.db.telling(request, told)}} {
		if err := e.db.run(ctx, step...); err != nil {
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
