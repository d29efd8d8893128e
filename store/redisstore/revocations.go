package redisstore

import (
	"maps"
	"sync"
	"time"
)

// remembered is how many revocations a process remembers.
const remembered = 10_000

// revocations are those of single tokens that this process wrote last. A
// failover can lose them; then the process writes them again.
type revocations struct {
	mu    sync.Mutex
	byID  map[string]revocation
	order []string // from the oldest
}

type revocation struct {
	until, now time.Time
	written    time.Time // when add was called
}

// over reports whether nobody needs the revocation any more: its end has passed by
// both the server's clock and the time that went by since it was written.
func (r *revocation) over(server time.Time) bool {
	return r.until.Before(server.Add(-skew)) && time.Since(r.written)-skew > r.until.Sub(r.now) //nolint:forbidigo // what has passed here, whatever the clocks say
}

func (m *revocations) add(tokenID string, r revocation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.written = time.Now() //nolint:forbidigo // see over
	old, found := m.byID[tokenID]
	if old.until.After(r.until) {
		r.until = old.until
	}
	m.byID[tokenID] = r
	if found {
		return
	}
	if m.order = append(m.order, tokenID); len(m.order) > remembered {
		delete(m.byID, m.order[0])
		m.order = m.order[1:]
	}
}

func (m *revocations) of(tokenID string) (revocation, bool) {
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
