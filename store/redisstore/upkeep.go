package redisstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// upkeep implements store.Upkeep.
type upkeep struct{ db *Driver }

// RecordUses implements store.Upkeep.
func (u *upkeep) RecordUses(ctx context.Context, uses []store.Use) error {
	if err := ctx.Err(); err != nil {
		return fail("record uses", err)
	}
	for some := range slices.Chunk(uses, batch) {
		args := []any{len(some)}
		for _, use := range some {
			args = append(args, use.Key, escape(use.Credential), instant(use.At))
		}
		if err := u.db.send(ctx, u.db.call(change{script: u.db.scripts.recordUses, args: args})); err != nil {
			return fail("record uses", err)
		}
	}
	return nil
}

// Rehash implements store.Upkeep.
func (u *upkeep) Rehash(ctx context.Context, keyID, secretID, from, to string) error {
	err := u.db.apply(ctx, change{
		script: u.db.scripts.rehash, notification: keyNotification("", keyID), args: []any{keyID, escape(secretID), escape(from), escape(to)},
	})
	return fail("replace digest", err)
}

// Purge implements store.Upkeep. It first removes keys of deleted workspaces that
// DeleteWorkspace did not remove. Tombstones that were removed by a script whose answer
// was lost are not counted.
func (u *upkeep) Purge(ctx context.Context, before time.Time) (int, error) {
	left := command("hkeys", u.db.layout.deleting())
	if err := u.db.send(ctx, left); err != nil {
		return 0, fail("purge deleted keys", err)
	}
	for _, field := range left.texts() {
		var workspace string
		err := decode(field, &workspace)
		if err == nil {
			err = u.db.sweep(ctx, workspace)
		}
		if err != nil {
			return 0, fail("purge deleted keys", err)
		}
	}
	purged, err := u.db.inBatches(ctx, change{script: u.db.scripts.purge, args: []any{sortable(before), batch}})
	return purged, fail("purge deleted keys", err)
}

// Clock implements store.Upkeep.
func (u *upkeep) Clock(ctx context.Context) (time.Time, error) {
	c := command("time")
	if err := u.db.send(ctx, c); err != nil {
		return time.Time{}, fail("read the clock", err)
	}
	var seconds, micros int64
	if err := decode(strings.Join(c.texts(), " "), &seconds, &micros); err != nil {
		return time.Time{}, fail("read the clock", err)
	}
	return time.Unix(seconds, micros*1000).UTC(), nil
}
