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
	mu    sync.RWMutex
	byID  map[string]revocation
	order []string // a ring once it is full
	next  int
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
	switch {
	case found:
		if old.until.After(r.until) {
			r.until = old.until
		}
	case len(m.order) < remembered:
		m.order = append(m.order, tokenID)
	default:
		delete(m.byID, m.order[m.next])
		m.order[m.next] = tokenID
		m.next = (m.next + 1) % remembered
	}
	m.byID[tokenID] = r
}

func (m *revocations) of(tokenID string) (revocation, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, found := m.byID[tokenID]
	return r, found
}

func (m *revocations) all() map[string]revocation {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return maps.Clone(m.byID)
}
