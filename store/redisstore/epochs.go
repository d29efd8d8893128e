package redisstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// epochs implements store.Epochs.
type epochs struct{ db *database }

// Read implements store.Epochs.
func (e *epochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	state, err := e.read(ctx, &ref)
	return state, fail("read epochs", err)
}

func (e *epochs) read(ctx context.Context, ref *store.TokenRef) (store.EpochState, error) {
	found, revoked, err := e.db.lookup(ctx, ref.Key, ref.TokenID)
	if err != nil {
		return store.EpochState{}, err
	}
	if found.Key.Workspace != ref.Workspace {
		return store.EpochState{}, store.ErrNotFound
	}
	state := store.EpochState{
		Instance: found.Instance.Epoch, Workspace: found.Workspace.Epoch, Key: found.Key.Epoch, Revoked: revoked,
	}
	for i := range found.Key.Secrets {
		if s := &found.Key.Secrets[i]; s.ID == ref.Secret {
			state.SecretKnown, state.SecretNotAfter = true, s.NotAfter
		}
	}
	if r, known := e.db.revocations.of(ref.TokenID); known && !revoked {
		if err := e.revoke(ctx, ref.TokenID, r); err != nil {
			return store.EpochState{}, err
		}
		state.Revoked = true
		e.db.log.WarnContext(ctx, "redisstore: a revocation that was lost was written again")
	}
	return state, nil
}

// Revoke implements store.Epochs.
func (e *epochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	r := revocation{until, now}
	if err := e.revoke(ctx, tokenID, r); err != nil {
		return fail("revoke token", err)
	}
	e.db.revocations.add(tokenID, r)
	return nil
}

func (e *epochs) revoke(ctx context.Context, tokenID string, r revocation) error {
	return e.db.make(ctx, e.revoking(tokenID, r))
}

func (e *epochs) revoking(tokenID string, r revocation) change {
	return change{
		script: e.db.scripts.revoke, notice: &store.Notice{Kind: store.NoticeToken, Token: tokenID},
		extra: []string{e.db.layout.revoked(tokenID)}, args: []any{sortable(r.until), keepUntil(r.until, r.now)},
	}
}

// restore writes the revocations again that this process remembers and that
// are not there. It reads first, and publishes only what it writes: the notices
// of thousands would be too many for the streams of all processes.
func (e *epochs) restore(ctx context.Context) error {
	all := e.db.revocations.all()
	ids := make([]string, 0, len(all))
	for id := range all {
		ids = append(ids, id)
	}
	for len(ids) > 0 {
		n := min(len(ids), stretch)
		if err := e.restoreThese(ctx, ids[:n], all); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

func (e *epochs) restoreThese(ctx context.Context, ids []string, all map[string]revocation) error {
	get := command("mget")
	for _, id := range ids {
		get.args = append(get.args, e.db.layout.revoked(id))
	}
	if err := e.db.read(ctx, get); err != nil {
		return err
	}
	var lost []*call
	for i, text := range get.texts() {
		if text < sortable(all[ids[i]].until) {
			lost = append(lost, e.db.call(e.revoking(ids[i], all[ids[i]])))
		}
	}
	return e.db.send(ctx, lost...)
}
