package memstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// epochs implements store.Epochs.
type epochs struct{ db *database }

// Read implements store.Epochs. It does not allocate.
func (e *epochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	if err := ctx.Err(); err != nil {
		return store.EpochState{}, fail("read epochs", err)
	}
	db := e.db
	lock := db.reader(ref.Key)
	lock.RLock()
	defer lock.RUnlock()
	r := db.keys[ref.Key]
	if r == nil || r.ws.id != ref.Workspace {
		return store.EpochState{}, errNoEpochs
	}
	state := store.EpochState{Instance: db.instance.Epoch, Workspace: r.ws.record.Epoch, Key: r.epoch, InstanceVersion: db.instance.Version}
	if s := r.secret(ref.Secret); s != nil {
		state.SecretKnown, state.SecretNotAfter = true, instant(s.notAfter)
	}
	_, _, state.Revoked = db.revoked.get(ref.TokenID)
	return state, nil
}

// errNoEpochs is made once: tokens of deleted keys may come in any number.
var errNoEpochs = fail("read epochs", store.ErrNotFound)

// Revoke implements store.Epochs.
func (e *epochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return fail("revoke token", err)
	}
	db := e.db
	db.write.Lock()
	defer db.write.Unlock()
	db.change(func() {
		end := micros(until)
		if _, earlier, twice := db.revoked.get(tokenID); twice {
			end = max(end, earlier)
		}
		expire(db, &db.revoked, tokenID, struct{}{}, end, now)
	})
	db.hub.send(store.Notice{Kind: store.NoticeToken, Token: tokenID})
	return nil
}
