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
	if err := ctx.Err(); err != nil {
		return store.Ring{}, fail("read signing keys", err)
	}
	get := command("hmget", s.db.layout.ring(), "version", "body")
	if err := s.db.run(ctx, get); err != nil {
		return store.Ring{}, fail("read signing keys", err)
	}
	var r store.Ring
	list := get.list()
	if len(list) != 2 || list[0] == nil {
		return r, nil
	}
	version, _ := list[0].(string)
	n, err := strconv.ParseInt(version, 10, 64)
	body, _ := list[1].(string)
	if err != nil || json.Unmarshal([]byte(body), &r.Keys) != nil {
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
	if err := ctx.Err(); err != nil {
		return fail("save signing keys", err)
	}
	body, err := json.Marshal(r.Keys)
	if err != nil {
		return fail("save signing keys", err)
	}
	set := evaluate(s.db.scripts.ring, []string{s.db.layout.ring()}, newRequest(), r.Version, body)
	if err := s.db.simple(ctx, set, store.Notice{Kind: store.NoticeSigningKeys}); err != nil {
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
