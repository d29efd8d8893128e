package redisstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// upkeep implements store.Upkeep.
type upkeep struct{ db *database }

// Touch implements store.Upkeep.
func (u *upkeep) Touch(ctx context.Context, uses []store.Use) error {
	if err := ctx.Err(); err != nil {
		return fail("record uses", err)
	}
	for len(uses) > 0 {
		n := min(len(uses), batch)
		args := []any{n}
		for _, use := range uses[:n] {
			args = append(args, use.Key, escape(use.Secret), instant(use.At))
		}
		if err := u.db.send(ctx, u.db.call(change{script: u.db.scripts.touch, args: args})); err != nil {
			return fail("record uses", err)
		}
		uses = uses[n:]
	}
	return nil
}

// Rehash implements store.Upkeep.
func (u *upkeep) Rehash(ctx context.Context, keyID, secretID, from, to string) error {
	err := u.db.make(ctx, change{
		script: u.db.scripts.rehash, notice: keyNotice("", keyID), args: []any{keyID, escape(secretID), escape(from), escape(to)},
	})
	return fail("replace digest", err)
}

// Purge implements store.Upkeep. It first removes the keys of deleted
// workspaces that DeleteWorkspace has left.
func (u *upkeep) Purge(ctx context.Context, before time.Time) (int, error) {
	left := command("hkeys", u.db.layout.deleting())
	if err := u.db.send(ctx, left); err != nil {
		return 0, fail("purge deleted keys", err)
	}
	for _, workspace := range left.texts() {
		if err := u.db.sweep(ctx, (&words{text: workspace}).word()); err != nil {
			return 0, fail("purge deleted keys", err)
		}
	}
	purged := 0
	for {
		c := u.db.call(change{script: u.db.scripts.purge, args: []any{sortable(before), batch}})
		if err := u.db.send(ctx, c); err != nil {
			return purged, fail("purge deleted keys", err)
		}
		if purged += int(c.int()); c.int() < batch {
			return purged, nil
		}
	}
}

// Clock implements store.Upkeep.
func (u *upkeep) Clock(ctx context.Context) (time.Time, error) {
	c := command("time")
	if err := u.db.send(ctx, c); err != nil {
		return time.Time{}, fail("read the clock", err)
	}
	d := words{text: line(c.texts()...)}
	now := time.Unix(d.number(), d.number()*1000).UTC()
	if d.failed {
		return time.Time{}, fail("read the clock", errRecord)
	}
	return now, nil
}
