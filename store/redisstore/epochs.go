package redisstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// epochs implements store.Epochs.
type epochs struct{ db *database }

// Read implements store.Epochs, in one round trip.
func (e *epochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	if err := ctx.Err(); err != nil {
		return store.EpochState{}, fail("read epochs", err)
	}
	state, err := e.read(ctx, &ref)
	if err == nil {
		err = e.repair(ctx, &ref, &state)
	}
	if err != nil {
		return store.EpochState{}, fail("read epochs", err)
	}
	return state, nil
}

func (e *epochs) read(ctx context.Context, ref *store.TokenRef) (state store.EpochState, err error) {
	l, s := e.db.layout, spaceOf(ref.Workspace)
	record := command("hget", l.keys(s), ref.Key)
	ofWorkspace := command("hget", l.settings(s), "epoch")
	ofInstance := command("hget", l.settings(instance), "epoch")
	revoked := command("exists", l.revoked(ref.TokenID))
	calls := []*call{record, ofWorkspace, ofInstance, revoked}
	calls = append(calls, e.db.masters(l.keys(s), l.settings(instance), l.revoked(ref.TokenID))...)
	if err := e.db.run(ctx, calls...); err != nil {
		return state, err
	}
	if record.missing() {
		return state, store.ErrNotFound
	}
	k, err := decodeKey(ref.Key, ref.Workspace, record.text(), "")
	if err != nil {
		return state, err
	}
	state.Key = k.Epoch
	for i := range k.Secrets {
		if k.Secrets[i].ID == ref.Secret {
			state.SecretKnown, state.SecretNotAfter = true, k.Secrets[i].NotAfter
		}
	}
	for _, epoch := range []struct {
		c  *call
		to *int64
	}{{ofWorkspace, &state.Workspace}, {ofInstance, &state.Instance}} {
		if !epoch.c.missing() {
			w := words{text: epoch.c.text()}
			if *epoch.to = w.number(); w.failed {
				return state, errRecord
			}
		}
	}
	state.Revoked = revoked.int() > 0
	return state, nil
}

// Revoke implements store.Epochs.
func (e *epochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return fail("revoke token", err)
	}
	r := revocation{until, now}
	if err := e.revoke(ctx, tokenID, r); err != nil {
		return fail("revoke token", err)
	}
	e.db.memory.ended(tokenID, r)
	return nil
}

func (e *epochs) revoke(ctx context.Context, tokenID string, r revocation) error {
	return e.db.simple(ctx, e.revoking(tokenID, r), store.Notice{Kind: store.NoticeToken, Token: tokenID})
}

func (e *epochs) revoking(tokenID string, r revocation) *call {
	return evaluate(e.db.scripts.revoke, []string{e.db.layout.revoked(tokenID)}, r.until.UnixMicro(), keepUntil(r.until, r.now))
}
