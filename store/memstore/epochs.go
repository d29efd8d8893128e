package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// epochs implements store.Epochs: those of the keys in the same database, and
// marks for keys that are kept elsewhere.
type epochs struct {
	db   *database
	keys *keyTable
}

// mark is what Raise left of a key that the database does not hold.
type mark struct {
	workspace string
	epoch     int64
	secrets   []store.SecretEnd
}

// With implements store.Epochs: true for the Keys of the same New.
func (e *epochs) With(keys store.Keys) bool { return keys == store.Keys(e.keys) }

// Read implements store.Epochs. It does not allocate.
func (e *epochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	if err := ctx.Err(); err != nil {
		return store.EpochState{}, fail("read epochs", err)
	}
	db := e.db
	lock := db.reader(ref.Key)
	lock.RLock()
	defer lock.RUnlock()
	state := store.EpochState{Instance: db.instance.Epoch}
	if r := db.keys[ref.Key]; r != nil {
		if r.ws.id != ref.Workspace {
			return store.EpochState{}, errNoEpochs
		}
		state.Workspace, state.Key = r.ws.record.Epoch, r.epoch
		if s := r.secret(ref.Secret); s != nil {
			state.SecretKnown, state.SecretNotAfter = true, instant(s.notAfter)
		}
	} else {
		m, ok := db.marks[ref.Key]
		if !ok || m.workspace != ref.Workspace {
			return store.EpochState{}, errNoEpochs
		}
		if ws := db.workspaces[ref.Workspace]; ws != nil {
			state.Workspace = ws.record.Epoch
		}
		state.Key = m.epoch
		for i := range m.secrets {
			if m.secrets[i].ID == ref.Secret {
				state.SecretKnown, state.SecretNotAfter = true, m.secrets[i].NotAfter
			}
		}
	}
	_, _, state.Revoked = db.revoked.get(ref.TokenID)
	return state, nil
}

// errNoEpochs is made once: tokens of deleted keys may come in any number.
var errNoEpochs = fail("read epochs", store.ErrNotFound)

// Raise implements store.Epochs. A mark for a key of another workspace is
// ErrNotFound. Of a key that the database holds only the epoch is raised:
// its secrets are in its record.
func (e *epochs) Raise(ctx context.Context, marks ...store.Mark) error {
	if err := ctx.Err(); err != nil {
		return fail("raise epochs", err)
	}
	db := e.db
	db.write.Lock()
	defer db.write.Unlock()
	for _, m := range marks {
		if !e.fits(m) {
			return fail("raise epochs", store.ErrNotFound)
		}
	}
	db.change(func() {
		for _, m := range marks {
			e.raise(m)
		}
	})
	for _, m := range marks {
		switch {
		case m.Key != "":
			db.hub.tell(store.Notice{Kind: store.NoticeKey, Workspace: m.Workspace, Key: m.Key})
		case m.Workspace != "":
			db.hub.tell(store.Notice{Kind: store.NoticeWorkspace, Workspace: m.Workspace})
		default:
			db.hub.tell(store.Notice{Kind: store.NoticeInstance})
		}
	}
	return nil
}

// fits reports whether the mark's key, if there is one, is of its workspace.
func (e *epochs) fits(m store.Mark) bool {
	if m.Key == "" {
		return true
	}
	if r := e.db.keys[m.Key]; r != nil {
		return r.ws.id == m.Workspace
	}
	old, ok := e.db.marks[m.Key]
	return !ok || old.workspace == m.Workspace
}

func (e *epochs) raise(m store.Mark) {
	db := e.db
	switch {
	case m.Key == "" && m.Workspace == "":
		db.instance.Epoch = max(db.instance.Epoch, m.Epoch)
	case m.Key == "":
		ws := db.space(m.Workspace)
		ws.record.Epoch = max(ws.record.Epoch, m.Epoch)
		db.forget(ws)
	case db.keys[m.Key] != nil:
		old := db.keys[m.Key]
		if m.Epoch > old.epoch {
			r := *old
			r.epoch = m.Epoch
			db.replace(old, &r)
		}
	default:
		if tomb, deleted := db.tombs[m.Key]; deleted {
			tomb.epoch = max(tomb.epoch, m.Epoch)
			db.tombs[m.Key] = tomb
			return
		}
		secrets := slices.Clone(m.Secrets)
		for i := range secrets {
			secrets[i].NotAfter = kept(secrets[i].NotAfter)
		}
		db.marks[m.Key] = mark{m.Workspace, max(m.Epoch, db.marks[m.Key].epoch), secrets}
	}
}

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
	db.hub.tell(store.Notice{Kind: store.NoticeToken, Token: tokenID})
	return nil
}
