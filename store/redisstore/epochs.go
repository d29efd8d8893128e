package redisstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// epochs implements store.Epochs: those of the driver's own keys from their
// records, and marks for keys that are kept elsewhere.
type epochs struct {
	db   *database
	keys *keyTable
}

// With implements store.Epochs: true for the Keys of the same Driver.
func (e *epochs) With(keys store.Keys) bool {
	own, ok := keys.(*keyTable)
	return ok && own.db == e.db
}

// Read implements store.Epochs, in one round trip.
func (e *epochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	if err := ctx.Err(); err != nil {
		return store.EpochState{}, fail("read epochs", err)
	}
	state, err := e.read(ctx, &ref)
	if err != nil {
		return store.EpochState{}, fail("read epochs", err)
	}
	return state, nil
}

func (e *epochs) read(ctx context.Context, ref *store.TokenRef) (state store.EpochState, err error) {
	l, s := e.db.layout, spaceOf(ref.Workspace)
	// A creation turns a mark into a record: read in this order, one of both
	// is always seen.
	mark := command("hget", l.marks(s), ref.Key)
	record := command("hget", l.keys(s), ref.Key)
	ofWorkspace := command("hget", l.settings(s), "epoch")
	ofInstance := command("hget", l.settings(instance), "epoch")
	revoked := command("exists", l.revoked(ref.TokenID))
	if err := e.db.run(ctx, mark, record, ofWorkspace, ofInstance, revoked); err != nil {
		return state, err
	}
	switch {
	case !record.missing():
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
	case !mark.missing():
		w := words{text: mark.text()}
		state.Key = w.number()
		for w.text != "" {
			if id, end := w.word(), w.instant(); id == ref.Secret {
				state.SecretKnown, state.SecretNotAfter = true, end
			}
		}
		if w.failed {
			return store.EpochState{}, errRecord
		}
	default:
		return state, store.ErrNotFound
	}
	for _, epoch := range []struct {
		c  *call
		to *int64
	}{{ofWorkspace, &state.Workspace}, {ofInstance, &state.Instance}} {
		if !epoch.c.missing() {
			w := words{text: epoch.c.text()}
			if *epoch.to = w.number(); w.failed {
				return store.EpochState{}, errRecord
			}
		}
	}
	state.Revoked = revoked.int() > 0
	return state, nil
}

// Raise implements store.Epochs. A mark for a key of another workspace is
// ErrNotFound. Marks of one workspace are one write; of several, those written
// before a failure stay, which forces logins and no more.
func (e *epochs) Raise(ctx context.Context, marks ...store.Mark) error {
	if err := ctx.Err(); err != nil {
		return fail("raise epochs", err)
	}
	if err := e.raise(ctx, marks); err != nil {
		return fail("raise epochs", err)
	}
	return nil
}

func (e *epochs) raise(ctx context.Context, marks []store.Mark) error {
	if err := e.fit(ctx, marks); err != nil {
		return err
	}
	var order []space
	calls, tells := make(map[space]*call), make(map[space][]store.Notice)
	for _, m := range marks {
		s, id, n := instance, "", store.Notice{Kind: store.NoticeInstance}
		switch {
		case m.Key != "":
			s, id, n = spaceOf(m.Workspace), "+"+m.Key, store.Notice{Kind: store.NoticeKey, Workspace: m.Workspace, Key: m.Key}
		case m.Workspace != "":
			s, n = spaceOf(m.Workspace), store.Notice{Kind: store.NoticeWorkspace, Workspace: m.Workspace}
		}
		if calls[s] == nil {
			calls[s] = evaluate(e.db.scripts.raise, e.db.layout.all(s, ""), "", "", 0)
			order = append(order, s)
		}
		secrets := ""
		for _, secret := range m.Secrets {
			secrets += " " + escape(secret.ID) + " " + micros(secret.NotAfter)
		}
		calls[s].args = append(calls[s].args, id, m.Epoch, secrets)
		tells[s] = append(tells[s], n)
	}
	for _, s := range order {
		if err := e.db.simple(ctx, calls[s], tells[s]...); err != nil {
			return err
		}
	}
	return nil
}

// fit checks that each mark's key is of its workspace. The first mark of a key
// that is kept elsewhere says of which: a key never moves.
func (e *epochs) fit(ctx context.Context, marks []store.Mark) error {
	var reads []*call
	for _, m := range marks {
		if m.Key != "" {
			reads = append(reads, command("get", e.db.layout.pointer(m.Key)), command("get", e.db.layout.markPointer(m.Key)))
		}
	}
	if err := e.db.run(ctx, reads...); err != nil {
		return err
	}
	var firsts []*call
	for _, m := range marks {
		if m.Key == "" {
			continue
		}
		key, mark := reads[0], reads[1]
		reads = reads[2:]
		home := escape(m.Workspace)
		switch {
		case !key.missing():
			if _, _, workspace := splitPointer(key.text()); workspace != m.Workspace {
				return store.ErrNotFound
			}
		case !mark.missing():
			if mark.text() != home {
				return store.ErrNotFound
			}
		default:
			firsts = append(firsts, evaluate(e.db.scripts.home, []string{e.db.layout.markPointer(m.Key)}, home, 0))
		}
	}
	if err := e.db.run(ctx, firsts...); err != nil {
		return err
	}
	for _, c := range firsts {
		if home, _ := c.args[0].(string); c.text() != home {
			return store.ErrNotFound
		}
	}
	return nil
}

// Revoke implements store.Epochs.
func (e *epochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return fail("revoke token", err)
	}
	c := evaluate(e.db.scripts.revoke, []string{e.db.layout.revoked(tokenID)}, until.UnixMicro(), keepUntil(until, now))
	if err := e.db.simple(ctx, c, store.Notice{Kind: store.NoticeToken, Token: tokenID}); err != nil {
		return fail("revoke token", err)
	}
	return nil
}
