package memstore

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// settings implements store.Settings.
type settings struct{ db *database }

// Instance implements store.Settings.
func (s *settings) Instance(ctx context.Context) (store.Instance, error) {
	if err := ctx.Err(); err != nil {
		return store.Instance{}, fail("read settings", err)
	}
	lock := s.db.reader("")
	lock.RLock()
	defer lock.RUnlock()
	return s.db.instance, nil
}

// SetInstance implements store.Settings.
func (s *settings) SetInstance(ctx context.Context, in store.Instance, c store.Change) error {
	if err := s.setInstance(ctx, in, c); err != nil {
		return fail("save settings", err)
	}
	return nil
}

func (s *settings) setInstance(ctx context.Context, in store.Instance, c store.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db := s.db
	db.write.Lock()
	defer db.write.Unlock()
	if err := db.refused(c); err != nil {
		return err
	}
	if db.instance.Version != in.Version {
		return store.ErrConflict
	}
	in.Version++
	if in.Epoch = db.instance.Epoch; c.EndTokens {
		in.Epoch = db.raised(in.Epoch)
	}
	in.Updated, in.Rules.EnforcedFrom = kept(in.Updated), kept(in.Rules.EnforcedFrom)
	db.change(func() {
		db.instance = in
		db.record(c)
	})
	db.hub.send(store.Notice{Kind: store.NoticeInstance})
	return nil
}

// Workspace implements store.Settings.
func (s *settings) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	if err := ctx.Err(); err != nil {
		return store.Workspace{}, fail("read workspace settings", err)
	}
	lock := s.db.reader(id)
	lock.RLock()
	defer lock.RUnlock()
	if ws := s.db.workspaces[id]; ws != nil {
		return ws.record, nil
	}
	return store.Workspace{ID: id}, nil
}

// SetWorkspace implements store.Settings.
func (s *settings) SetWorkspace(ctx context.Context, w store.Workspace, c store.Change) error {
	if err := s.setWorkspace(ctx, w, c); err != nil {
		return fail("save workspace settings", err)
	}
	return nil
}

func (s *settings) setWorkspace(ctx context.Context, w store.Workspace, c store.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db := s.db
	db.write.Lock()
	defer db.write.Unlock()
	if err := db.refused(c); err != nil {
		return err
	}
	var old store.Workspace
	if ws := db.workspaces[w.ID]; ws != nil {
		old = ws.record
	}
	if old.Deleted {
		return store.ErrNotFound
	}
	if old.Version != w.Version {
		return store.ErrConflict
	}
	w.Version++
	if w.Epoch = old.Epoch; c.EndTokens {
		w.Epoch = db.raised(w.Epoch)
	}
	w.Keys, w.Deleted = old.Keys, false
	w.Updated, w.Rules.EnforcedFrom = kept(w.Updated), kept(w.Rules.EnforcedFrom)
	db.change(func() {
		ws := db.space(w.ID)
		w.ID = ws.id
		ws.record = w
		db.record(c)
	})
	db.hub.send(store.Notice{Kind: store.NoticeWorkspace, Workspace: w.ID})
	return nil
}

// DeleteWorkspace implements store.Settings. Readers wait until all of the
// workspace's keys are removed: some microseconds a key.
func (s *settings) DeleteWorkspace(ctx context.Context, id string, at time.Time, c store.Change) error {
	if err := s.deleteWorkspace(ctx, id, at, c); err != nil {
		return fail("delete workspace", err)
	}
	return nil
}

func (s *settings) deleteWorkspace(ctx context.Context, id string, at time.Time, c store.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	db := s.db
	db.write.Lock()
	defer db.write.Unlock()
	if err := db.refused(c); err != nil {
		return err
	}
	if db.deleted(id) {
		return store.ErrNotFound
	}
	var rows []*row
	db.orders.walk(&store.KeyQuery{Workspace: id}, nil, func(r *row) bool {
		rows = append(rows, r)
		return true
	})
	db.change(func() {
		for _, r := range rows {
			db.remove(r, micros(at))
		}
		ws := db.space(id)
		ws.record.Deleted = true
		ws.record.Epoch = db.raised(ws.record.Epoch)
		ws.record.Version++
		ws.record.Updated = kept(at)
		db.record(c)
	})
	db.hub.send(store.Notice{Kind: store.NoticeWorkspace, Workspace: id})
	return nil
}
