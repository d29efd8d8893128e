package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// epochs implements store.Epochs: those of the keys in the same tables, and
// marks for keys that are kept elsewhere.
type epochs struct{ d *Database }

// endRow is a live secret of a mark as it is kept.
type endRow struct {
	ID       string `json:"id"`
	NotAfter int64  `json:"not_after"`
}

// Read implements store.Epochs. It is one query.
func (e *epochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	state, err := e.read(ctx, ref)
	if err != nil {
		return store.EpochState{}, fail(ctx, "read epochs", found(err))
	}
	return state, nil
}

func (e *epochs) read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	var state store.EpochState
	var keyIn, keySecrets, markIn, markSecrets []byte
	var keyEpoch, markEpoch sql.NullInt64
	var revoked int64
	err := e.d.read(ctx, func(r runner) error {
		return r.row(ctx, e.d.text.epochs, digest(ref.TokenID), []byte(ref.Workspace), []byte(ref.Key), []byte(ref.Key)).
			Scan(&state.Instance, &state.Workspace, &keyIn, &keyEpoch, &keySecrets, &markIn, &markEpoch, &markSecrets, &revoked)
	})
	if err != nil {
		return store.EpochState{}, err
	}
	state.Revoked = revoked > 0
	switch {
	case keyEpoch.Valid && string(keyIn) == ref.Workspace:
		state.Key = keyEpoch.Int64
		rows, err := readSecrets(keySecrets)
		if err != nil {
			return store.EpochState{}, err
		}
		if s := secretOf(rows, ref.Secret); s != nil {
			state.SecretKnown, state.SecretNotAfter = true, instant(s.NotAfter)
		}
	case !keyEpoch.Valid && markEpoch.Valid && string(markIn) == ref.Workspace:
		state.Key = markEpoch.Int64
		var ends []endRow
		if err := json.Unmarshal(markSecrets, &ends); err != nil {
			return store.EpochState{}, errUnreadable
		}
		for _, end := range ends {
			if end.ID == ref.Secret {
				state.SecretKnown, state.SecretNotAfter = true, instant(end.NotAfter)
			}
		}
	default:
		return store.EpochState{}, store.ErrNotFound
	}
	return state, nil
}

// Revoke implements store.Epochs.
func (e *epochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	err := e.d.write(ctx, func(r runner) error {
		if _, err := r.exec(ctx, e.d.text.revoke, digest(tokenID), micros(until)); err != nil {
			return err
		}
		return e.d.tell(ctx, r, store.Notice{Kind: store.NoticeToken, Token: tokenID})
	})
	if err != nil {
		return fail(ctx, "revoke token", err)
	}
	e.d.told(ctx)
	e.d.sweepRevoked(ctx, now)
	return nil
}
