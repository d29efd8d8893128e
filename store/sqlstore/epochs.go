package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
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

// With implements store.Epochs: true for the Keys of the same Database.
func (e *epochs) With(keys store.Keys) bool { return keys == store.Keys(e.d.keys) }

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

// Raise implements store.Epochs. A mark for a key of another workspace is
// ErrNotFound. Of a key in these tables only the epoch is raised: its secrets
// are in its record.
func (e *epochs) Raise(ctx context.Context, marks ...store.Mark) error {
	for _, m := range marks {
		if err := checkMark(m); err != nil {
			return fail(ctx, "raise epochs", err)
		}
	}
	// One order for all, so that no two calls wait for one another: the
	// workspaces, the keys, the instance.
	sorted := slices.SortedStableFunc(slices.Values(marks), func(a, b store.Mark) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Workspace, b.Workspace), cmp.Compare(a.Key, b.Key))
	})
	err := e.d.write(ctx, func(r runner) error {
		for _, m := range sorted {
			if err := e.raise(ctx, r, m); err != nil {
				return err
			}
		}
		for _, m := range marks {
			if err := e.d.tell(ctx, r, noticeOf(m)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fail(ctx, "raise epochs", err)
	}
	e.d.told(ctx)
	return nil
}

func checkMark(m store.Mark) error {
	if len(m.Key) > maxID {
		return refuse("a key's id has at most %d bytes", maxID)
	}
	return checkWorkspace(m.Workspace)
}

func rank(m store.Mark) int {
	switch {
	case m.Key != "":
		return 1
	case m.Workspace != "":
		return 0
	}
	return 2
}

func noticeOf(m store.Mark) store.Notice {
	switch {
	case m.Key != "":
		return store.Notice{Kind: store.NoticeKey, Workspace: m.Workspace, Key: m.Key}
	case m.Workspace != "":
		return store.Notice{Kind: store.NoticeWorkspace, Workspace: m.Workspace}
	}
	return store.Notice{Kind: store.NoticeInstance}
}

func (e *epochs) raise(ctx context.Context, r runner, m store.Mark) error {
	q := &e.d.text
	if m.Key == "" && m.Workspace == "" {
		_, err := r.exec(ctx, q.raiseInstance, m.Epoch)
		return err
	}
	if m.Key != "" {
		return e.raiseKey(ctx, r, m)
	}
	if _, err := e.d.lockWorkspace(ctx, r, m.Workspace); err != nil {
		return err
	}
	_, err := r.exec(ctx, q.raiseWorkspace, m.Epoch, []byte(m.Workspace))
	return err
}

func (e *epochs) raiseKey(ctx context.Context, r runner, m store.Mark) error {
	q, id := &e.d.text, []byte(m.Key)
	// The workspace's lock keeps a key of it from coming in meanwhile.
	if _, err := e.d.lockWorkspace(ctx, r, m.Workspace); err != nil {
		return err
	}
	var key keyRow
	switch err := r.row(ctx, q.lockKey, id).Scan(key.columns()...); {
	case err == nil && key.k.Workspace != m.Workspace:
		return store.ErrNotFound
	case err == nil:
		_, err = r.exec(ctx, q.raiseKey, m.Epoch, id)
		return err
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	var epoch int64
	switch err := r.row(ctx, q.tombstone, id).Scan(&epoch); {
	case err == nil:
		_, err = r.exec(ctx, q.raiseTombstone, m.Epoch, id)
		return err
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	var workspace string
	switch err := r.row(ctx, q.lockMark, id).Scan(text{&workspace}, &epoch); {
	case err == nil && workspace != m.Workspace:
		return store.ErrNotFound
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return err
	}
	ends := make([]endRow, len(m.Secrets))
	for i, s := range m.Secrets {
		ends[i] = endRow{s.ID, micros(s.NotAfter)}
	}
	secrets, err := written(ends)
	if err != nil {
		return err
	}
	_, err = r.exec(ctx, q.setMark, id, []byte(m.Workspace), max(m.Epoch, epoch), secrets)
	return err
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
