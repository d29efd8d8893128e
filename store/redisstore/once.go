package redisstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// onceIDs implements store.OnceIDs.
type onceIDs struct{ db *database }

// Spend implements store.OnceIDs.
func (o *onceIDs) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	err := o.db.make(ctx, change{script: o.db.scripts.write, with: store.Change{Once: &id, Now: now}})
	return fail("spend one-time id", err)
}

// Find implements store.OnceIDs.
func (o *onceIDs) Find(ctx context.Context, space, id string, now time.Time) (store.OnceID, error) {
	get := command("get", o.db.layout.once(space, id))
	if err := o.db.send(ctx, get); err != nil {
		return store.OnceID{}, fail("find one-time id", err)
	}
	// The expiry, and the value; see change.lua.
	d := words{text: get.text()}
	if get.missing() || d.text[:min(16, len(d.text))] <= sortable(now) {
		return store.OnceID{}, fail("find one-time id", store.ErrNotFound)
	}
	found := store.OnceID{Space: space, ID: id, Expires: d.instant(), Value: d.word()}
	if d.failed {
		return store.OnceID{}, fail("find one-time id", errRecord)
	}
	return found, nil
}
