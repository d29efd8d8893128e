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
	state, known, err := e.read(ctx, &ref)
	if err == nil {
		state, known, err = e.repair(ctx, &ref, state, known)
	}
	if err == nil && !known {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.EpochState{}, fail("read epochs", err)
	}
	return state, nil
}

// read reports as known whether the key has epochs.
func (e *epochs) read(ctx context.Context, ref *store.TokenRef) (state store.EpochState, known bool, err error) {
	l, s := e.db.layout, spaceOf(ref.Workspace)
	// A creation turns a mark into a record: read in this order, one of both
	// is always seen.
	mark := command("hget", l.marks(s), ref.Key)
	record := command("hget", l.keys(s), ref.Key)
	ofWorkspace := command("hget", l.settings(s), "epoch")
	ofInstance := command("hget", l.settings(instance), "epoch")
	revoked := command("exists", l.revoked(ref.TokenID))
	calls := []*call{mark, record, ofWorkspace, ofInstance, revoked}
	calls = append(calls, e.db.masters(l.keys(s), l.settings(instance), l.revoked(ref.TokenID))...)
	if err := e.db.run(ctx, calls...); err != nil {
		return state, false, err
	}
	switch {
	case !record.missing():
		k, err := decodeKey(ref.Key, ref.Workspace, record.text(), "")
		if err != nil {
			return state, false, err
		}
		known, state.Key = true, k.Epoch
		for i := range k.Secrets {
			if k.Secrets[i].ID == ref.Secret {
				state.SecretKnown, state.SecretNotAfter = true, k.Secrets[i].NotAfter
			}
		}
	case !mark.missing():
		w := words{text: mark.text()}
		known, state.Key = true, w.number()
		for w.text != "" {
			if id, end := w.word(), w.instant(); id == ref.Secret {
				state.SecretKnown, state.SecretNotAfter = true, end
			}
		}
		if w.failed {
			return state, false, errRecord
		}
	}
	for _, epoch := range []struct {
		c  *call
		to *int64
	}{{ofWorkspace, &state.Workspace}, {ofInstance, &state.Instance}} {
		if !epoch.c.missing() {
			w := words{text: epoch.c.text()}
			if *epoch.to = w.number(); w.failed {
				return state, false, errRecord
			}
		}
	}
	state.Revoked = revoked.int() > 0
	return state, known, nil
}

// Raise implements store.Epochs. A mark for a key of another workspace is
// ErrNotFound. Marks of one workspace are one write; of several, those written
// before a failure stay, which forces logins and no more.
func (e *epochs) Raise(ctx context.Context, marks ...store.Mark) error {
	if err := ctx.Err(); err != nil {
		return fail("raise epochs", err)
	}
	elsewhere, err := e.fit(ctx, marks)
	if err == nil {
		err = e.write(ctx, marks, false)
	}
	if err != nil {
		return fail("raise epochs", err)
	}
	e.db.memory.raised(elsewhere)
	return nil
}

// write raises epochs; behind limits it to marks that are behind, whose
// secrets would otherwise replace newer ones.
func (e *epochs) write(ctx context.Context, marks []store.Mark, behind bool) error {
	calls, tells := e.raising(marks, behind)
	for i, c := range calls {
		if err := e.db.simple(ctx, c, tells[i]...); err != nil {
			return err
		}
	}
	return nil
}

// raising makes a call for each space, and says what to tell of it.
func (e *epochs) raising(marks []store.Mark, behind bool) (calls []*call, tells [][]store.Notice) {
	places := make(map[space]int)
	for _, m := range marks {
		s, id, n := spaceOfMark(&m), "", store.Notice{Workspace: m.Workspace, Key: m.Key}
		switch {
		case m.Key != "":
			id, n.Kind = "+"+m.Key, store.NoticeKey
		case m.Workspace != "":
			n.Kind = store.NoticeWorkspace
		default:
			n.Kind = store.NoticeInstance
		}
		i, found := places[s]
		if !found {
			i = len(calls)
			places[s] = i
			calls = append(calls, evaluate(e.db.scripts.raise, e.db.layout.all(s, ""), "", "", 0, flag(behind)))
			tells = append(tells, nil)
		}
		secrets := ""
		for _, secret := range m.Secrets {
			secrets += " " + escape(secret.ID) + " " + micros(secret.NotAfter)
		}
		calls[i].args = append(calls[i].args, id, m.Epoch, secrets)
		tells[i] = append(tells[i], n)
	}
	return calls, tells
}

func spaceOfMark(m *store.Mark) space {
	if m.Key == "" && m.Workspace == "" {
		return instance
	}
	return spaceOf(m.Workspace)
}

// fit checks that each mark's key is of its workspace. The first mark of a key
// that is kept elsewhere says of which: a key never moves. It returns the marks
// that no record of this driver's holds.
func (e *epochs) fit(ctx context.Context, marks []store.Mark) (elsewhere []store.Mark, err error) {
	var reads []*call
	for _, m := range marks {
		if m.Key != "" {
			reads = append(reads, command("get", e.db.layout.pointer(m.Key)), command("get", e.db.layout.markPointer(m.Key)))
		}
	}
	if err := e.db.run(ctx, reads...); err != nil {
		return nil, err
	}
	var firsts []*call
	for _, m := range marks {
		if m.Key == "" {
			elsewhere = append(elsewhere, m)
			continue
		}
		key, mark := reads[0], reads[1]
		reads = reads[2:]
		home := escape(m.Workspace)
		switch {
		case !key.missing():
			if _, workspace := splitPointer(key.text()); workspace != m.Workspace {
				return nil, store.ErrNotFound
			}
		case !mark.missing():
			if mark.text() != home {
				return nil, store.ErrNotFound
			}
			elsewhere = append(elsewhere, m)
		default:
			elsewhere = append(elsewhere, m)
			firsts = append(firsts, evaluate(e.db.scripts.home, []string{e.db.layout.markPointer(m.Key)}, home, 0))
		}
	}
	if err := e.db.run(ctx, firsts...); err != nil {
		return nil, err
	}
	for _, c := range firsts {
		if home, _ := c.args[0].(string); c.text() != home {
			return nil, store.ErrNotFound
		}
	}
	return elsewhere, nil
}

// Revoke implements store.Epochs.
func (e *epochs) Revoke(ctx context.Context, tokenID string, until, now time.Time) error {
	if err := ctx.Err(); err != nil {
		return fail("revoke token", err)
	}
	r := revocation{until, now}
	if err := e.revoke(ctx, tokenID, r); err != nil {
		return fail("revoke token", err)
	}
	e.db.memory.ended(tokenID, until, now)
	return nil
}

func (e *epochs) revoke(ctx context.Context, tokenID string, r revocation) error {
	return e.db.simple(ctx, e.revoking(tokenID, r), store.Notice{Kind: store.NoticeToken, Token: tokenID})
}

func (e *epochs) revoking(tokenID string, r revocation) *call {
	return evaluate(e.db.scripts.revoke, []string{e.db.layout.revoked(tokenID)}, r.until.UnixMicro(), keepUntil(r.until, r.now))
}
