package memstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

type onceKey struct{ space, id string }

// onceIDs implements store.OnceIDs. Each id that is spent also removes
// some that expired a while ago.
type onceIDs struct{ db *database }

// Spend implements store.OnceIDs.
func (o *onceIDs) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return fail("spend one-time id", err)
	}
	c := store.Change{Once: &id, Now: now}
	o.db.write.Lock()
	defer o.db.write.Unlock()
	if o.db.spent(c) {
		return fail("spend one-time id", store.ErrExists)
	}
	o.db.change(func() { o.db.record(c) })
	return nil
}

// Find implements store.OnceIDs.
func (o *onceIDs) Find(ctx context.Context, space, id string, now time.Time) (store.OnceID, error) {
	if err := ctx.Err(); err != nil {
		return store.OnceID{}, fail("find one-time id", err)
	}
	lock := o.db.reader(id)
	lock.RLock()
	defer lock.RUnlock()
	value, expires, found := o.db.once.get(onceKey{space, id})
	if !found || expires <= micros(now) {
		return store.OnceID{}, fail("find one-time id", store.ErrNotFound)
	}
	return store.OnceID{Space: space, ID: id, Value: value, Expires: instant(expires)}, nil
}
