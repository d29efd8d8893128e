package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// onceIDs implements store.OnceIDs.
type onceIDs struct{ d *Database }

// digest returns the stored form of ids of any length and content. Each part is
// preceded by its length, so that different lists give different digests.
func digest(parts ...string) []byte {
	h := sha256.New()
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// Spend implements store.OnceIDs. It waits for a transaction that spends the same
// id and has not committed yet.
func (o *onceIDs) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	err := checkText("a one-time id's value", id.Value, maxText)
	if err == nil {
		err = o.d.single(ctx, func(r *runner) error {
			b := &batch{d: o.d}
			b.spend(id, now)
			return b.run(ctx, r)
		})
	}
	if err != nil {
		return fail(ctx, "spend one-time id", err)
	}
	o.d.sweepOnce(ctx)
	return nil
}

// spend adds the statement and the check that spend an id.
func (b *batch) spend(id store.OnceID, now time.Time) {
	var spent int64
	p := part{
		text: `INSERT INTO {p}once (id, value, expires) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE
			SET value = excluded.value, expires = excluded.expires WHERE {p}once.expires <= ?`,
		args: []any{digest(id.Space, id.ID), id.Value, id.Expires, now}, count: &spent,
	}
	if b.d.dialect == MySQL {
		// LAST_INSERT_ID tells whether the id was refused. MySQL's count of changed rows
		// depends on the connection's flags.
		p.do = func(ctx context.Context, r *runner) error {
			refused, err := r.lastID(ctx, `INSERT INTO {p}once (id, value, expires) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE
				value = IF(expires <= ?, VALUES(value), value),
				expires = IF(expires <= ?, VALUES(expires), IF(LAST_INSERT_ID(1) = 1, expires, expires))`, append(p.args, now)...)
			spent = 1 - refused
			return err
		}
	}
	b.add(p)
	b.check(func() error {
		if spent == 0 {
			return store.ErrExists
		}
		return nil
	})
}

// Find implements store.OnceIDs.
func (o *onceIDs) Find(ctx context.Context, space, id string, now time.Time) (store.OnceID, error) {
	once := store.OnceID{Space: space, ID: id}
	err := o.d.find(ctx, `SELECT {standby}, value, expires FROM {p}once WHERE id = ?`, []any{digest(space, id)},
		orZero[string]{&once.Value}, at{&once.Expires})
	err = orNotFound(err)
	if err == nil && !once.Expires.After(now) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.OnceID{}, fail(ctx, "find one-time id", err)
	}
	return once, nil
}
