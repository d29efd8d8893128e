package memstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// epochs implements store.Epochs.
type epochs struct{ db *database }

// Read implements store.Epochs. It does not allocate.
func (e *epochs) Read(ctx context.Context, ref store.TokenRef) (state store.EpochState, err error) {
	db := e.db
	err = db.read(ctx, "read epochs", func() error {
		k, err := db.find(ref.Workspace, ref.Key)
		if err != nil {
			return err
		}
		state = store.EpochState{
			Instance: db.instance.Epoch, Workspace: db.workspaces[ref.Workspace].Epoch, Key: k.Epoch,
			InstanceVersion: db.instance.Version, Revoked: db.revoked.entries[onceKey{id: ref.TokenID}] != nil,
		}
		if c := k.Credential(ref.Credential); c != nil {
			state.CredentialKnown, state.CredentialNotAfter = true, c.NotAfter
		}
		return nil
	})
	return state, err
}

// Revoke implements store.Epochs.
func (e *epochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	db := e.db
	return db.change(ctx, "revoke token", store.Change{}, store.Notification{Kind: store.NotificationToken, Token: tokenID}, func() error {
		db.revoked.put(store.OnceID{ID: tokenID, Expires: until}, now)
		return nil
	})
}
