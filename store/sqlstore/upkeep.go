package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// upkeep implements store.Upkeep.
type upkeep struct{ d *Database }

// touchAtOnce is how many keys one transaction touches: few enough that an
// update of one of them does not wait for long.
const touchAtOnce = 100

// Touch implements store.Upkeep. It writes some keys at a time; after an
// error the rest is not written, and calling again with all does no harm.
func (u *upkeep) Touch(ctx context.Context, uses []store.Use) error {
	if err := u.d.ready(ctx); err != nil {
		return fail(ctx, "record uses", err)
	}
	// In the order of the ids, in which all changes lock keys.
	sorted := slices.SortedStableFunc(slices.Values(uses), func(a, b store.Use) int { return cmp.Compare(a.Key, b.Key) })
	for len(sorted) > 0 {
		n, keys := 0, 0
		for n < len(sorted) && keys < touchAtOnce {
			id := sorted[n].Key
			for n < len(sorted) && sorted[n].Key == id {
				n++
			}
			keys++
		}
		part := sorted[:n]
		if err := u.d.write(ctx, func(r runner) error { return u.touch(ctx, r, part) }); err != nil {
			return fail(ctx, "record uses", err)
		}
		sorted = sorted[n:]
	}
	return nil
}

func (u *upkeep) touch(ctx context.Context, r runner, uses []store.Use) error {
	for len(uses) > 0 {
		id, n := uses[0].Key, 1
		for n < len(uses) && uses[n].Key == id {
			n++
		}
		if err := u.touchKey(ctx, r, id, uses[:n]); err != nil {
			return err
		}
		uses = uses[n:]
	}
	return nil
}

func (u *upkeep) touchKey(ctx context.Context, r runner, id string, uses []store.Use) error {
	_, lastUsed, rows, err := u.lockSecrets(ctx, r, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	changed := false
	for _, use := range uses {
		s, at := secretOf(rows, use.Secret), micros(use.At)
		if s == nil || at <= lastUsed && at <= s.LastUsed {
			continue
		}
		lastUsed, s.LastUsed, changed = max(lastUsed, at), max(s.LastUsed, at), true
	}
	if !changed {
		return nil
	}
	secrets, err := encoded(rows)
	if err != nil {
		return err
	}
	_, err = r.exec(ctx, u.d.text.setUse, lastUsed, u.d.arg(secrets), u.d.arg(id))
	return err
}

// lockSecrets locks a key's row and reads its secrets.
func (u *upkeep) lockSecrets(ctx context.Context, r runner, id string) (workspace string, lastUsed int64, rows []secretRow, err error) {
	if !storable(id) {
		return "", 0, nil, store.ErrNotFound
	}
	var secrets []byte
	if err := r.row(ctx, u.d.text.lockSecrets, u.d.arg(id)).Scan(text{&workspace}, &lastUsed, &secrets); err != nil {
		return "", 0, nil, orNotFound(err)
	}
	rows, err = decodedSecrets(secrets)
	return workspace, lastUsed, rows, err
}

// Rehash implements store.Upkeep.
func (u *upkeep) Rehash(ctx context.Context, keyID, secretID, from, to string) error {
	err := u.d.write(ctx, func(r runner) error {
		workspace, _, rows, err := u.lockSecrets(ctx, r, keyID)
		if err != nil {
			return err
		}
		s := secretOf(rows, secretID)
		if s == nil {
			return store.ErrNotFound
		}
		if s.Digest != from {
			return store.ErrConflict
		}
		s.Digest = to
		secrets, err := encoded(rows)
		if err != nil {
			return err
		}
		if _, err := r.exec(ctx, u.d.text.setSecrets, u.d.arg(secrets), u.d.arg(keyID)); err != nil {
			return err
		}
		return u.d.writeNotice(ctx, r, store.Notice{Kind: store.NoticeKey, Workspace: workspace, Key: keyID})
	})
	if err != nil {
		return fail(ctx, "replace digest", err)
	}
	u.d.wakeWatchers(ctx)
	return nil
}

// Purge implements store.Upkeep.
func (u *upkeep) Purge(ctx context.Context, before time.Time) (int, error) {
	purged := 0
	err := u.d.single(ctx, func(r runner) (err error) {
		purged, err = affected(r.exec(ctx, u.d.text.purge, micros(before)))
		return err
	})
	if err != nil {
		return 0, fail(ctx, "purge deleted keys", err)
	}
	return purged, nil
}

// Clock implements store.Upkeep. SQLite has no clock but its processes'.
func (u *upkeep) Clock(ctx context.Context) (time.Time, error) {
	if u.d.dialect == SQLite {
		if err := ctx.Err(); err != nil {
			return time.Time{}, fail(ctx, "read the clock", err)
		}
		return time.Time{}, nil
	}
	var now int64
	err := u.d.read(ctx, func(r runner) error { return r.row(ctx, u.d.text.clock).Scan(&now) })
	if err != nil {
		return time.Time{}, fail(ctx, "read the clock", err)
	}
	return instant(now), nil
}

// affected is the number of rows that a statement removed.
func affected(done sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := done.RowsAffected()
	return int(n), err
}
