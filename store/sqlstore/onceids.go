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

// digest is how ids of any length and content are kept. Each part is preceded
// by its length, so that no two lists give one text.
func digest(parts ...string) []byte {
	h := sha256.New()
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// Spend implements store.OnceIDs.
func (o *onceIDs) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	err := checkText("a one-time id's value", id.Value, maxText)
	if err == nil {
		err = o.d.alone(ctx, func(r runner) error { return o.d.spend(ctx, r, id, now) })
	}
	if err != nil {
		return fail(ctx, "spend one-time id", err)
	}
	o.d.sweepOnce(ctx)
	return nil
}

// spend is one statement, which waits for another one with the same id that
// is not committed yet.
func (d *Database) spend(ctx context.Context, r runner, id store.OnceID, now time.Time) error {
	args := []any{digest(id.Space, id.ID), d.arg(id.Value), micros(id.Expires), micros(now)}
	if d.dialect == MySQL {
		args = append(args, micros(now))
	}
	done, err := r.exec(ctx, d.text.spend, args...)
	if err != nil {
		return err
	}
	var refused bool
	if d.dialect == MySQL {
		word, err := done.LastInsertId()
		if err != nil {
			return err
		}
		refused = word == 1
	} else {
		written, err := done.RowsAffected()
		if err != nil {
			return err
		}
		refused = written == 0
	}
	if refused {
		return store.ErrExists
	}
	return nil
}

// Find implements store.OnceIDs.
func (o *onceIDs) Find(ctx context.Context, space, id string, now time.Time) (store.OnceID, error) {
	once := store.OnceID{Space: space, ID: id}
	var ends int64
	err := o.d.read(ctx, func(r runner) error {
		return r.row(ctx, o.d.text.once, digest(space, id)).Scan(new(primary), text{&once.Value}, &ends)
	})
	if err == nil && ends <= micros(now) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.OnceID{}, fail(ctx, "find one-time id", found(err))
	}
	once.Expires = instant(ends)
	return once, nil
}
