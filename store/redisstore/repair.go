package redisstore

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// A failover can take revocations of single tokens: a process remembers those
// it wrote last, and writes them again when it reads less than it wrote, and
// when its watch begins anew.

// remembered is how many revocations a process remembers.
const remembered = 10_000

// memory holds the revocations that this process wrote last.
type memory struct {
	mu      sync.RWMutex
	revoked map[string]revocation
	order   []string // a ring once it is full
	next    int
}

type revocation struct{ until, now time.Time }

func (m *memory) ended(tokenID string, r revocation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, found := m.revoked[tokenID]
	switch {
	case found:
		if old.until.After(r.until) {
			r.until = old.until
		}
	case len(m.order) < remembered:
		m.order = append(m.order, tokenID)
	default:
		delete(m.revoked, m.order[m.next])
		m.order[m.next] = tokenID
		m.next = (m.next + 1) % remembered
	}
	if m.revoked == nil {
		m.revoked = make(map[string]revocation)
	}
	m.revoked[tokenID] = r
}

func (m *memory) of(tokenID string) (revocation, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, found := m.revoked[tokenID]
	return r, found
}

func (m *memory) all() map[string]revocation {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return maps.Clone(m.revoked)
}

// repair writes back a revocation that a read showed to be missing.
func (e *epochs) repair(ctx context.Context, ref *store.TokenRef, state *store.EpochState) error {
	r, found := e.db.memory.of(ref.TokenID)
	if !found || state.Revoked {
		return nil
	}
	if err := e.revoke(ctx, ref.TokenID, r); err != nil {
		return err
	}
	state.Revoked = true
	e.db.log.WarnContext(ctx, "redisstore: a revocation that was lost was written again")
	return nil
}

// restore writes back all that this process remembers, where less is there. It
// reads first and tells of nothing else: the notices of thousands would drown
// the streams of all processes.
func (e *epochs) restore(ctx context.Context) error {
	revoked := e.db.memory.all()
	for part := range slices.Chunk(slices.Collect(maps.Keys(revoked)), stretch) {
		if err := e.restoreRevoked(ctx, part, revoked); err != nil {
			return err
		}
	}
	return nil
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
