package memstore

import (
	"context"
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

// signingKeys implements store.SigningKeys.
type signingKeys struct{ db *database }

// Durable implements store.SigningKeys. It returns false: the ring is lost when the process
// ends.
func (s *signingKeys) Durable() bool { return false }

// Ring implements store.SigningKeys.
func (s *signingKeys) Ring(ctx context.Context) (r store.Ring, err error) {
	err = s.db.read(ctx, "read signing keys", func() error {
		r = copyRing(s.db.ring)
		return nil
	})
	return r, err
}

// SetRing implements store.SigningKeys.
func (s *signingKeys) SetRing(ctx context.Context, r store.Ring) error {
	return s.db.change(ctx, "save signing keys", store.Change{}, store.Notification{Kind: store.NotificationSigningKeys}, func() error {
		if r.Version != s.db.ring.Version {
			return store.ErrConflict
		}
		r = copyRing(r)
		r.Version++
		s.db.ring = r
		return nil
	})
}

func copyRing(r store.Ring) store.Ring {
	r.Keys = slices.Clone(r.Keys)
	for i := range r.Keys {
		k := &r.Keys[i]
		k.Sealed = slices.Clone(k.Sealed)
		k.Created, k.NotBefore = toMicro(k.Created), toMicro(k.NotBefore)
		k.NotAfter, k.PublishUntil = toMicro(k.NotAfter), toMicro(k.PublishUntil)
	}
	return r
}
