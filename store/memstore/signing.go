package memstore

import (
	"context"
	"slices"
	"sync"

	"github.com/latchkey-go/latchkey/store"
)

// signingKeys implements store.SigningKeys.
type signingKeys struct {
	db   *database
	mu   sync.RWMutex
	ring store.Ring
}

// Durable implements store.SigningKeys: the ring ends with the process.
func (s *signingKeys) Durable() bool { return false }

// Ring implements store.SigningKeys.
func (s *signingKeys) Ring(ctx context.Context) (store.Ring, error) {
	if err := ctx.Err(); err != nil {
		return store.Ring{}, fail("read signing keys", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return copyRing(s.ring), nil
}

// SetRing implements store.SigningKeys.
func (s *signingKeys) SetRing(ctx context.Context, r store.Ring) error {
	if err := ctx.Err(); err != nil {
		return fail("save signing keys", err)
	}
	if !s.set(r) {
		return fail("save signing keys", store.ErrConflict)
	}
	s.db.hub.send(store.Notice{Kind: store.NoticeSigningKeys})
	return nil
}

func (s *signingKeys) set(r store.Ring) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Version != s.ring.Version {
		return false
	}
	s.ring = copyRing(r)
	s.ring.Version++
	return true
}

func copyRing(r store.Ring) store.Ring {
	r.Keys = slices.Clone(r.Keys)
	for i := range r.Keys {
		k := &r.Keys[i]
		k.Sealed = slices.Clone(k.Sealed)
		k.Created, k.NotBefore = kept(k.Created), kept(k.NotBefore)
		k.NotAfter, k.Retire = kept(k.NotAfter), kept(k.Retire)
	}
	return r
}
