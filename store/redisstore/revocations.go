package redisstore

import (
	"maps"
	"sync"
	"time"
)

// maxRevocations is how many revocations a process remembers.
const maxRevocations = 10_000

// revocations holds the last revocations of single tokens that this process wrote. If a
// failover loses them, the process writes them again.
type revocations struct {
	mu    sync.Mutex
	byID  map[string]revocation
	order []string // from the oldest
}

type revocation struct {
	until, now time.Time
	written    time.Time // when add was called
}

// expired reports whether the revocation is not needed any more: its end has passed by
// the server's clock, and also by the time that has elapsed since it was written.
func (r *revocation) expired(server time.Time) bool {
	return r.until.Before(server.Add(-skew)) && time.Since(r.written)-skew > r.until.Sub(r.now) //nolint:forbidigo // elapsed time, independent of clock changes
}

func (m *revocations) add(tokenID string, r revocation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.written = time.Now() //nolint:forbidigo // see expired
	old, found := m.byID[tokenID]
	if old.until.After(r.until) {
		r.until = old.until
	}
	m.byID[tokenID] = r
	if found {
		return
	}
	if m.order = append(m.order, tokenID); len(m.order) > maxRevocations {
		delete(m.byID, m.order[0])
		m.order = m.order[1:]
	}
}

func (m *revocations) find(tokenID string) (revocation, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, found := m.byID[tokenID]
	return r, found
}

func (m *revocations) all() map[string]revocation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.byID)
}
