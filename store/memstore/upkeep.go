package memstore

import (
	"context"
	"strings"
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
	db := u.db
	db.write.Lock()
	defer db.write.Unlock()
	changed := make(map[string]*row)
	for _, use := range uses {
		r := changed[use.Key]
		if r == nil {
			r = db.keys[use.Key]
		}
		if r == nil {
			continue
		}
		s, at := r.secret(use.Secret), micros(use.At)
		if s == nil || at <= r.lastUsed && at <= s.lastUsed {
			continue
		}
		if changed[use.Key] == nil {
			r = r.edited()
			changed[r.id] = r
			s = r.secret(use.Secret)
		}
		r.lastUsed, s.lastUsed = max(r.lastUsed, at), max(s.lastUsed, at)
	}
	rows := make([]*row, 0, len(changed))
	for _, r := range changed {
		rows = append(rows, r)
	}
	inStretches(rows, func(part []*row) {
		db.change(func() {
			for _, r := range part {
				db.replace(db.keys[r.id], r)
			}
		})
	})
	return nil
}

// inStretches cuts long work into parts between which readers come in.
func inStretches[E any](all []E, do func(part []E)) {
	for len(all) > 0 {
		n := min(len(all), stretch)
		do(all[:n])
		all = all[n:]
	}
}

// Rehash implements store.Upkeep.
func (u *upkeep) Rehash(ctx context.Context, keyID, secretID, from, to string) error {
	if err := u.rehash(ctx, keyID, secretID, from, to); err != nil {
		return fail("replace digest", err)
	}
	return nil
}

func (u *upkeep) rehash(ctx context.Context, keyID, secretID, from, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db := u.db
	db.write.Lock()
	defer db.write.Unlock()
	old := db.keys[keyID]
	if old == nil || old.secret(secretID) == nil {
		return store.ErrNotFound
	}
	if old.secret(secretID).digest != from {
		return store.ErrConflict
	}
	r := old.edited()
	r.secret(secretID).digest = strings.Clone(to)
	db.change(func() { db.replace(old, r) })
	db.hub.send(store.Notice{Kind: store.NoticeKey, Workspace: r.ws.id, Key: r.id})
	return nil
}

// Purge implements store.Upkeep.
func (u *upkeep) Purge(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fail("purge deleted keys", err)
	}
	db := u.db
	db.write.Lock()
	defer db.write.Unlock()
	purged := 0
	for id, deleted := range db.tombstones {
		if deleted < micros(before) {
			delete(db.tombstones, id)
			purged++
		}
	}
	return purged, nil
}

// Clock implements store.Upkeep: this store has no clock but the process's.
func (u *upkeep) Clock(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, fail("read the clock", err)
	}
	return time.Time{}, nil
}
