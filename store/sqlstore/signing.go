package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/latchkey-go/latchkey/store"
)

// signingKeys implements store.SigningKeys.
type signingKeys struct{ d *Database }

// Durable implements store.SigningKeys: the ring outlives the process.
func (s *signingKeys) Durable() bool { return true }

// Ring implements store.SigningKeys.
func (s *signingKeys) Ring(ctx context.Context) (store.Ring, error) {
	var ring store.Ring
	err := s.d.read(ctx, func(r *runner) error {
		err := r.row(ctx, `SELECT version, content FROM {p}ring WHERE id = 1`).Scan(&ring.Version, fromJSON[store.SigningKey]{&ring.Keys})
		if errors.Is(err, sql.ErrNoRows) {
			return nil // no ring has been saved yet
		}
		return err
	})
	return ring, fail(ctx, "read signing keys", err)
}

// SetRing implements store.SigningKeys.
func (s *signingKeys) SetRing(ctx context.Context, ring store.Ring) error {
	kept := make([]store.SigningKey, len(ring.Keys))
	for i, k := range ring.Keys {
		k.Created, k.NotBefore, k.NotAfter, k.PublishUntil = k.Created.UTC(), k.NotBefore.UTC(), k.NotAfter.UTC(), k.PublishUntil.UTC()
		kept[i] = k
	}
	content, err := withTimes(kept)
	if err == nil {
		err = s.d.write(ctx, func(r *runner) error { return r.setRing(ctx, ring.Version, content) })
	}
	if err != nil {
		return fail(ctx, "save signing keys", err)
	}
	s.d.wakeWatchers(ctx)
	return nil
}

func (r *runner) setRing(ctx context.Context, version int64, content string) error {
	if version == 0 {
		if _, err := r.exec(ctx, `INSERT INTO {p}ring (id, version, content) VALUES (1, 0, '[]') ON CONFLICT DO NOTHING`); err != nil {
			return err
		}
	}
	replaced, err := r.exec(ctx, `UPDATE {p}ring SET version = version + 1, content = ? WHERE id = 1 AND version = ?`, content, version)
	if err == nil && replaced == 0 {
		err = store.ErrConflict
	}
	if err != nil {
		return err
	}
	return r.writeNotification(ctx, store.Notification{Kind: store.NotificationSigningKeys})
}
