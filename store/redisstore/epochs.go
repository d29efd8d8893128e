package redisstore

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// epochs implements store.Epochs.
type epochs struct{ db *Driver }

// Read implements store.Epochs.
func (e *epochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	state, err := e.read(ctx, &ref)
	return state, fail("read epochs", err)
}

func (e *epochs) read(ctx context.Context, ref *store.TokenRef) (store.EpochState, error) {
	found, revoked, err := e.db.lookup(ctx, ref.Key, "", ref.TokenID)
	if err != nil {
		return store.EpochState{}, err
	}
	if found.Key.Workspace != ref.Workspace {
		return store.EpochState{}, store.ErrNotFound
	}
	state := store.EpochState{
		Instance: found.Instance.Epoch, Workspace: found.Workspace.Epoch, Key: found.Key.Epoch, Revoked: revoked,
		InstanceVersion: found.Instance.Version,
	}
	if c := found.Key.Credential(ref.Credential); c != nil {
		state.CredentialKnown, state.CredentialNotAfter = true, c.NotAfter
	}
	if r, known := e.db.revocations.find(ref.TokenID); known && !revoked {
		if err := e.db.apply(ctx, e.revoking(ref.TokenID, r)); err != nil {
			return store.EpochState{}, err
		}
		state.Revoked = true
		e.db.cfg.Logger.WarnContext(ctx, "redisstore: the server had lost a revocation, and it was written again")
	}
	return state, nil
}

// Revoke implements store.Epochs.
func (e *epochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	r := revocation{until: until, now: now}
	if err := e.db.apply(ctx, e.revoking(tokenID, r)); err != nil {
		return fail("revoke token", err)
	}
	e.db.revocations.add(tokenID, r)
	return nil
}

func (e *epochs) revoking(tokenID string, r revocation) change {
	return change{
		script: e.db.scripts.revoke, with: store.Change{Now: r.now}, notification: &store.Notification{Kind: store.NotificationToken, Token: tokenID},
		extra: []string{e.db.layout.revoked(tokenID)}, args: []any{sortable(r.until), timeToLive(r.until, r.now)},
	}
}

// restore writes again the revocations that this process remembers, except those that have
// expired. Revocations that still exist are not changed and cause no notification.
func (e *epochs) restore(ctx context.Context) error {
	all := e.db.revocations.all()
	if len(all) == 0 {
		return nil
	}
	now, err := (&upkeep{e.db}).Clock(ctx)
	if err != nil {
		return err
	}
	maps.DeleteFunc(all, func(_ string, r revocation) bool { return r.expired(now) })
	for ids := range slices.Chunk(slices.Collect(maps.Keys(all)), maxVisit) {
		calls := make([]*call, len(ids))
		for i, id := range ids {
			calls[i] = e.db.call(e.revoking(id, all[id]))
		}
		if err := e.db.send(ctx, calls...); err != nil {
			return err
		}
	}
	return nil
}
