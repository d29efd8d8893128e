package sqlstore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// upkeep implements store.Upkeep.
type upkeep struct{ d *Database }

// recordAtOnce is the number of keys in one transaction of RecordUses: few enough that an
// update of one of them does not wait for long.
const recordAtOnce = 100

// RecordUses implements store.Upkeep. It writes up to recordAtOnce keys in a transaction. After
// an error the remaining keys are not written; the call may be repeated with all uses.
func (u *upkeep) RecordUses(ctx context.Context, uses []store.Use) error {
	if err := u.d.ready(ctx); err != nil {
		return fail(ctx, "record uses", err)
	}
	byKey := make(map[string][]store.Use)
	for _, use := range uses {
		byKey[use.Key] = append(byKey[use.Key], use)
	}
	// All changes lock keys in the order of their ids.
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(byKey)), recordAtOnce) {
		err := u.d.write(ctx, func(r *runner) error {
			for _, id := range ids {
				if err := r.recordUses(ctx, id, byKey[id]); err != nil && !errors.Is(err, store.ErrNotFound) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fail(ctx, "record uses", err)
		}
	}
	return nil
}

func (r *runner) recordUses(ctx context.Context, id string, uses []store.Use) error {
	k, err := r.lockCredentials(ctx, id)
	if err != nil {
		return err
	}
	for _, use := range uses {
		k.RecordUse(use)
	}
	credentials, err := storedCredentials(k.Credentials)
	if err == nil {
		_, err = r.exec(ctx, `UPDATE {p}keys SET last_used = ?, credentials = ? WHERE id = ?`, k.LastUsed, credentials, id)
	}
	return err
}

// lockCredentials locks a key's row and reads its credentials.
func (r *runner) lockCredentials(ctx context.Context, id string) (store.Key, error) {
	if !storable(id) {
		return store.Key{}, store.ErrNotFound
	}
	var k store.Key
	err := r.row(ctx, `SELECT workspace, last_used, credentials FROM {p}keys WHERE id = ?{lock}`, id).
		Scan(orZero[string]{&k.Workspace}, at{&k.LastUsed}, fromJSON[store.Credential]{&k.Credentials})
	return k, orNotFound(err)
}

// Rehash implements store.Upkeep.
func (u *upkeep) Rehash(ctx context.Context, keyID, secretID, from, to string) error {
	err := u.d.write(ctx, func(r *runner) error {
		k, err := r.lockCredentials(ctx, keyID)
		if err != nil {
			return err
		}
		s := k.Credential(secretID)
		if s == nil {
			return store.ErrNotFound
		}
		if s.Digest != from {
			return store.ErrConflict
		}
		s.Digest = to
		credentials, err := storedCredentials(k.Credentials)
		if err != nil {
			return err
		}
		if _, err := r.exec(ctx, `UPDATE {p}keys SET credentials = ? WHERE id = ?`, credentials, keyID); err != nil {
			return err
		}
		return r.writeNotification(ctx, store.Notification{Kind: store.NotificationKey, Workspace: k.Workspace, Key: keyID})
	})
	if err != nil {
		return fail(ctx, "replace digest", err)
	}
	u.d.wakeWatchers(ctx)
	return nil
}

// Purge implements store.Upkeep.
func (u *upkeep) Purge(ctx context.Context, before time.Time) (int, error) {
	purged, err := u.d.remove(ctx, `DELETE FROM {p}tombstones WHERE at < ?`, before)
	return purged, fail(ctx, "purge deleted keys", err)
}

// Clock implements store.Upkeep. On SQLite it returns the zero time, since SQLite has no
// clock of its own.
func (u *upkeep) Clock(ctx context.Context) (time.Time, error) {
	if u.d.dialect == SQLite {
		return time.Time{}, fail(ctx, "read the clock", ctx.Err())
	}
	var now time.Time
	err := u.d.read(ctx, func(r *runner) error { return r.row(ctx, `SELECT {clock}`).Scan(at{&now}) })
	return now, fail(ctx, "read the clock", err)
}
