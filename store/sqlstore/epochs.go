package sqlstore

import (
	"cmp"
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// epochs implements store.Epochs.
type epochs struct{ d *Database }

const readEpochs = `SELECT {standby}, i.version, i.epoch, w.epoch, k.workspace, k.epoch, k.credentials, (SELECT COUNT(*) FROM {p}revoked r WHERE r.id = {bytes})
	FROM {p}instance i LEFT JOIN {p}keys k ON k.id = {bytes} LEFT JOIN {p}workspaces w ON w.id = k.workspace WHERE i.id = 1`

// Read implements store.Epochs. It is one query.
func (e *epochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	if !storable(ref.Key) {
		return store.EpochState{}, fail(ctx, "read epochs", cmp.Or(ctx.Err(), store.ErrNotFound))
	}
	var state store.EpochState
	var workspace *string
	var k store.Key
	err := e.d.findFrequent(ctx, &e.d.epochs, []any{digest(ref.TokenID), ref.Key},
		&state.InstanceVersion, &state.Instance, orZero[int64]{&state.Workspace}, &workspace, orZero[int64]{&state.Key},
		fromJSON[store.Credential]{&k.Credentials}, &state.Revoked)
	if err == nil && (workspace == nil || *workspace != ref.Workspace) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.EpochState{}, fail(ctx, "read epochs", err)
	}
	if c := k.Credential(ref.Credential); c != nil {
		state.CredentialKnown, state.CredentialNotAfter = true, c.NotAfter
	}
	return state, nil
}

// longestToken is the longest life of a token: a day, in microseconds.
const longestToken = `86400000000`

// Revoke implements store.Epochs. A revocation must outlive its token, which expires by
// the caller's clock. So the revocation is kept longer by the difference between that
// clock and the server's, up to the life of the longest token.
func (e *epochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	err := checkText("a token's id", tokenID, maxText)
	if err == nil {
		err = e.d.write(ctx, func(r *runner) error {
			_, err := r.exec(ctx, `INSERT INTO {p}revoked (id, ends) VALUES (?, {max}(?, {clock} + ? + {min}(ABS({clock} - ?), `+longestToken+`)))
				ON CONFLICT (id) DO UPDATE SET ends = {max}({p}revoked.ends, excluded.ends)`,
				digest(tokenID), until, max(micros(until)-micros(now), 0), now)
			if err != nil {
				return err
			}
			return r.writeNotification(ctx, store.Notification{Kind: store.NotificationToken, Token: tokenID})
		})
	}
	if err != nil {
		return fail(ctx, "revoke token", err)
	}
	e.d.wakeWatchers(ctx)
	e.d.sweepNow(ctx, &e.d.sweeps.revoked, "revoked", "ends", 1)
	return nil
}
