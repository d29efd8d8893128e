package redisstore

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// signingKeys implements store.SigningKeys.
type signingKeys struct{ db *database }

// Durable implements store.SigningKeys: the ring outlives the process, for as
// long as Redis keeps it.
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
	n, err := strconv.ParseInt(texts[0], 10, 64)
	if err != nil || json.Unmarshal([]byte(texts[1]), &r.Keys) != nil {
		return store.Ring{}, fail("read signing keys", errRecord)
	}
	r.Version = n
	for i := range r.Keys {
		k := &r.Keys[i]
		k.Created, k.NotBefore, k.NotAfter, k.Retire = kept(k.Created), kept(k.NotBefore), kept(k.NotAfter), kept(k.Retire)
	}
	return r, nil
}

// SetRing implements store.SigningKeys.
func (s *signingKeys) SetRing(ctx context.Context, r store.Ring) error {
	body, err := json.Marshal(r.Keys)
	if err == nil {
		err = s.db.make(ctx, change{
			script: s.db.scripts.ring, notice: &store.Notice{Kind: store.NoticeSigningKeys}, args: []any{r.Version, body},
		})
	}
	if err != nil {
		return fail("save signing keys", err)
	}
	return nil
}

// kept is the instant as all others come back.
func kept(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}
