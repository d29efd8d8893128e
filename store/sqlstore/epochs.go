package sqlstore

import (
	"cmp"
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// epochs implements store.Epochs.
type epochs struct{ d *Database }

// Read implements store.Epochs. It is one query.
func (e *epochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	state, err := e.read(ctx, ref)
	if err != nil {
		return store.EpochState{}, fail(ctx, "read epochs", err)
	}
	return state, nil
}

func (e *epochs) read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	if !storable(ref.Key) {
		return store.EpochState{}, cmp.Or(ctx.Err(), store.ErrNotFound)
	}
	var state store.EpochState
	var workspace *string
	var secrets []byte
	var revoked int64
	err := e.d.read(ctx, func(r runner) error {
		workspace = nil
		return r.row(ctx, e.d.text.epochs, digest(ref.TokenID), e.d.arg(ref.Key)).Scan(new(primary),
			&state.InstanceVersion, &state.Instance, whole{&state.Workspace}, &workspace, whole{&state.Key}, &secrets, &revoked)
	})
	if err != nil {
		return store.EpochState{}, err
	}
	if workspace == nil || *workspace != ref.Workspace {
		return store.EpochState{}, store.ErrNotFound
	}
	state.Revoked = revoked > 0
	rows, err := decodedSecrets(secrets)
	if err != nil {
		return store.EpochState{}, err
	}
	if s := secretOf(rows, ref.Secret); s != nil {
		state.SecretKnown, state.SecretNotAfter = true, instant(s.NotAfter)
	}
	return state, nil
}

// Revoke implements store.Epochs.
func (e *epochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	err := checkText("a token's id", tokenID, maxText)
	if err == nil {
		err = e.d.write(ctx, func(r runner) error {
			b := e.d.batch()
			b.exec(e.d.text.revoke, digest(tokenID), micros(until), max(micros(until)-micros(now), 0), micros(now))
			if err := b.addNotice(store.Notice{Kind: store.NoticeToken, Token: tokenID}); err != nil {
				return err
			}
			return b.run(ctx, r)
		})
	}
	if err != nil {
		return fail(ctx, "revoke token", err)
	}
	e.d.wakeWatchers(ctx)
	e.d.sweepRevoked(ctx)
	return nil
}
