package redisstore

import (
	"context"
	"encoding/json"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// signingKeys implements store.SigningKeys.
type signingKeys struct{ db *Driver }

// Durable implements store.SigningKeys. The ring outlives the process, as long as Redis
// keeps it.
func (s *signingKeys) Durable() bool { return true }

// Ring implements store.SigningKeys.
func (s *signingKeys) Ring(ctx context.Context) (store.Ring, error) {
	get := command("hmget", s.db.layout.ring(), "version", "body")
	if err := s.db.send(ctx, get); err != nil {
		return store.Ring{}, fail("read signing keys", err)
	}
	var r store.Ring
	texts := get.texts()
	if len(texts) != 2 || texts[0] == "" {
		return r, nil
	}
	if decode(texts[0], &r.Version) != nil || json.Unmarshal([]byte(texts[1]), &r.Keys) != nil {
		return store.Ring{}, fail("read signing keys", errRecord)
	}
	for i := range r.Keys {
		k := &r.Keys[i]
		for _, at := range []*time.Time{&k.Created, &k.NotBefore, &k.NotAfter, &k.PublishUntil} {
			*at = at.UTC()
		}
	}
	return r, nil
}

// SetRing implements store.SigningKeys.
func (s *signingKeys) SetRing(ctx context.Context, r store.Ring) error {
	body, err := json.Marshal(r.Keys)
	if err == nil {
		err = s.db.apply(ctx, change{
			script: s.db.scripts.ring, notification: &store.Notification{Kind: store.NotificationSigningKeys}, args: []any{r.Version, body},
		})
	}
	return fail("save signing keys", err)
}
