package memstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// upkeep implements store.Upkeep.
type upkeep struct{ db *database }

// RecordUses implements store.Upkeep.
func (u *upkeep) RecordUses(ctx context.Context, uses []store.Use) error {
	return u.db.write(ctx, "record uses", func() error {
		for _, use := range uses {
			if k := u.db.keys[use.Key]; k != nil {
				use.At = toMicro(use.At)
				k.RecordUse(use)
			}
		}
		return nil
	})
}

// Rehash implements store.Upkeep.
func (u *upkeep) Rehash(ctx context.Context, keyID, secretID, oldDigest, newDigest string) error {
	return u.db.write(ctx, "replace digest", func() error {
		k := u.db.keys[keyID]
		if k == nil {
			return store.ErrNotFound
		}
		s := k.Credential(secretID)
		switch {
		case s == nil:
			return store.ErrNotFound
		case s.Digest != oldDigest:
			return store.ErrConflict
		}
		s.Digest = newDigest
		u.db.send(keyNotification(k.Workspace, keyID))
		return nil
	})
}

// Purge implements store.Upkeep.
func (u *upkeep) Purge(ctx context.Context, before time.Time) (purged int, err error) {
	err = u.db.write(ctx, "purge deleted keys", func() error {
		for id, deleted := range u.db.tombstones {
			if deleted.Before(toMicro(before)) {
				delete(u.db.tombstones, id)
				purged++
			}
		}
		return nil
	})
	return purged, err
}

// Clock implements store.Upkeep. It returns the zero time: the store has only the clock of
// the process.
func (u *upkeep) Clock(ctx context.Context) (time.Time, error) {
	return time.Time{}, fail("read the clock", ctx.Err())
}
