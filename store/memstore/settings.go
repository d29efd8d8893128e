package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// settings implements store.Settings.
type settings struct{ db *database }

// Instance implements store.Settings.
func (s *settings) Instance(ctx context.Context) (in store.InstanceSettings, err error) {
	err = s.db.read(ctx, "read settings", func() error {
		in = s.db.instance
		in.Reminders.Before = slices.Clone(in.Reminders.Before)
		return nil
	})
	return in, err
}

// SetInstance implements store.Settings.
func (s *settings) SetInstance(ctx context.Context, in store.InstanceSettings, c store.Change) error {
	db := s.db
	return db.change(ctx, "save settings", c, store.Notification{Kind: store.NotificationInstance}, func() error {
		if db.instance.Version != in.Version {
			return store.ErrConflict
		}
		in.Version++
		if in.Epoch = db.instance.Epoch; c.RevokeTokens {
			in.Epoch = db.nextEpoch(in.Epoch)
		}
		in.Updated, in.Rules.EnforcedFrom = toMicro(in.Updated), toMicro(in.Rules.EnforcedFrom)
		in.Reminders.Before = slices.Clone(in.Reminders.Before)
		db.instance = in
		return nil
	})
}

// Workspace implements store.Settings.
func (s *settings) Workspace(ctx context.Context, id string) (w store.Workspace, err error) {
	err = s.db.read(ctx, "read workspace settings", func() error {
		w = s.db.record(id)
		return nil
	})
	return w, err
}

// SetWorkspace implements store.Settings.
func (s *settings) SetWorkspace(ctx context.Context, w store.Workspace, c store.Change) error {
	db := s.db
	return db.change(ctx, "save workspace settings", c, workspaceNotification(w.ID), func() error {
		old := db.record(w.ID)
		switch {
		case old.Deleted:
			return store.ErrNotFound
		case old.Version != w.Version:
			return store.ErrConflict
		}
		w.Version++
		if w.Epoch = old.Epoch; c.RevokeTokens {
			w.Epoch = db.nextEpoch(w.Epoch)
		}
		w.ID, w.Keys, w.Deleted = old.ID, old.Keys, false
		w.Updated, w.Rules.EnforcedFrom = toMicro(w.Updated), toMicro(w.Rules.EnforcedFrom)
		db.addWorkspace(w.ID).Workspace = w
		return nil
	})
}

func workspaceNotification(id string) store.Notification {
	return store.Notification{Kind: store.NotificationWorkspace, Workspace: id}
}

// DeleteWorkspace implements store.Settings. It holds the lock until all keys of the
// workspace are removed, which takes some microseconds for each key.
func (s *settings) DeleteWorkspace(ctx context.Context, id string, at time.Time, c store.Change) error {
	db := s.db
	return db.change(ctx, "delete workspace", c, workspaceNotification(id), func() error {
		if db.record(id).Deleted {
			return store.ErrNotFound
		}
		ws := db.addWorkspace(id)
		for ws.Keys > 0 {
			first, _ := ws.created.tree.Min()
			db.remove(first, at)
		}
		ws.Deleted = true
		ws.Epoch = db.nextEpoch(ws.Epoch)
		ws.Version++
		ws.Updated = toMicro(at)
		return nil
	})
}
