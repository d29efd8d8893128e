package redisstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// onceIDs implements store.OnceIDs.
type onceIDs struct{ db *Driver }

// Spend implements store.OnceIDs.
func (o *onceIDs) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	err := o.db.apply(ctx, change{script: o.db.scripts.write, with: store.Change{Once: &id, Now: now}})
	return fail("spend one-time id", err)
}

// Find implements store.OnceIDs.
func (o *onceIDs) Find(ctx context.Context, space, id string, now time.Time) (store.OnceID, error) {
	get := command("get", o.db.layout.once(space, id))
	if err := o.db.send(ctx, get); err != nil {
		return store.OnceID{}, fail("find one-time id", err)
	}
	found := store.OnceID{Space: space, ID: id}
	// The stored value is the expiry and the given value; see change.lua.
	if err := decodeSaved(get.text(), &found.Expires, &found.Value); err != nil {
		return store.OnceID{}, fail("find one-time id", err)
	}
	if !found.Expires.After(now) {
		return store.OnceID{}, fail("find one-time id", store.ErrNotFound)
	}
	return found, nil
}
