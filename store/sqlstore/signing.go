package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/latchkey-go/latchkey/store"
)

// signingKeys implements store.SigningKeys.
type signingKeys struct{ d *Database }

// signingRow is a signing key as it is kept.
type signingRow struct {
	ID        string `json:"id"`
	Algorithm string `json:"algorithm"`
	Sealed    []byte `json:"sealed"`
	SealKey   int    `json:"seal_key"`
	SealPrint string `json:"seal_fingerprint"`
	Created   int64  `json:"created"`
	NotBefore int64  `json:"not_before"`
	NotAfter  int64  `json:"not_after"`
	Retire    int64  `json:"retire"`
}

// Durable implements store.SigningKeys: the ring outlives the process.
func (s *signingKeys) Durable() bool { return true }

// Ring implements store.SigningKeys.
func (s *signingKeys) Ring(ctx context.Context) (store.Ring, error) {
	var ring store.Ring
	var content []byte
	err := s.d.read(ctx, func(r runner) error { return r.row(ctx, s.d.text.ring).Scan(&ring.Version, &content) })
	if err != nil {
		return store.Ring{}, fail(ctx, "read signing keys", err)
	}
	var rows []signingRow
	if err := json.Unmarshal(content, &rows); err != nil {
		return store.Ring{}, fail(ctx, "read signing keys", errUnreadable)
	}
	for _, row := range rows {
		ring.Keys = append(ring.Keys, store.SigningKey{
			ID: row.ID, Algorithm: row.Algorithm, Sealed: row.Sealed, SealKey: row.SealKey, SealFingerprint: row.SealPrint,
			Created: instant(row.Created), NotBefore: instant(row.NotBefore),
			NotAfter: instant(row.NotAfter), Retire: instant(row.Retire),
		})
	}
	return ring, nil
}

// SetRing implements store.SigningKeys.
func (s *signingKeys) SetRing(ctx context.Context, ring store.Ring) error {
	rows := make([]signingRow, len(ring.Keys))
	for i, k := range ring.Keys {
		rows[i] = signingRow{
			ID: k.ID, Algorithm: k.Algorithm, Sealed: k.Sealed, SealKey: k.SealKey, SealPrint: k.SealFingerprint,
			Created: micros(k.Created), NotBefore: micros(k.NotBefore), NotAfter: micros(k.NotAfter), Retire: micros(k.Retire),
		}
	}
	content, err := encoded(rows)
	if err == nil {
		err = s.d.write(ctx, func(r runner) error {
			if ring.Version == 0 {
				if _, err := r.exec(ctx, s.d.text.addRing, s.d.arg("[]")); err != nil {
					return err
				}
			}
			var version int64
			err := r.row(ctx, s.d.text.lockRing).Scan(&version)
			if errors.Is(err, sql.ErrNoRows) || err == nil && version != ring.Version {
				return store.ErrConflict
			}
			if err != nil {
				return err
			}
			if _, err := r.exec(ctx, s.d.text.setRing, version+1, s.d.arg(content)); err != nil {
				return err
			}
			return s.d.writeNotice(ctx, r, store.Notice{Kind: store.NoticeSigningKeys})
		})
	}
	if err != nil {
		return fail(ctx, "save signing keys", err)
	}
	s.d.wakeWatchers(ctx)
	return nil
}
