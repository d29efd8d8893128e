package sqlstore

import (
	"cmp"
	"context"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// settings implements store.Settings.
type settings struct{ d *Database }

// Instance implements store.Settings.
func (s *settings) Instance(ctx context.Context) (store.InstanceSettings, error) {
	var in store.InstanceSettings
	row := append(instanceRow(&in.Instance), &in.Reminders.Off, fromJSON[time.Duration]{&in.Reminders.Before})
	err := s.d.find(ctx, `SELECT {standby}, `+instanceColumns+`, i.reminders_off, i.remind_before FROM {p}instance i WHERE i.id = 1`, nil, row...)
	if err == nil && len(in.Reminders.Before) > store.MaxReminders {
		err = errUnreadable
	}
	if err != nil {
		return store.InstanceSettings{}, fail(ctx, "read settings", err)
	}
	return in, nil
}

// SetInstance implements store.Settings.
func (s *settings) SetInstance(ctx context.Context, in store.InstanceSettings, c store.Change) error {
	err := s.d.change(ctx, c, store.Notification{Kind: store.NotificationInstance}, locks{settings: true}, func(b *batch, h *lockedState) error {
		if h.instance != in.Version {
			return store.ErrConflict
		}
		b.exec(`UPDATE {p}instance SET keys_off = ?, direct_off = ?, max_keys = ?, require_expiry = ?, max_lifetime = ?, enforced_from = ?,
			key_requests = ?, workspace_requests = ?, reminders_off = ?, remind_before = ?, updated = ?, version = version + 1, epoch = {epoch} WHERE id = 1`,
			in.KeysOff, in.DirectOff, in.Rules.MaxKeys, in.Rules.RequireExpiry, int64(in.Rules.MaxLifetime), in.Rules.EnforcedFrom,
			in.Rules.KeyRequests, in.Rules.WorkspaceRequests, in.Reminders.Off, asJSON(in.Reminders.Before), in.Updated, c.RevokeTokens)
		return nil
	})
	return fail(ctx, "save settings", err)
}

// Workspace implements store.Settings.
func (s *settings) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	w, err := s.workspace(ctx, id)
	return w, fail(ctx, "read workspace settings", err)
}

func (s *settings) workspace(ctx context.Context, id string) (store.Workspace, error) {
	w := store.Workspace{ID: id}
	if !storable(id) {
		return w, ctx.Err()
	}
	err := s.d.find(ctx, `SELECT {standby}, `+workspaceColumns+`
		FROM {p}instance i LEFT JOIN {p}workspaces w ON w.id = ? WHERE i.id = 1`, []any{id}, workspaceRow(&w)...)
	return w, err
}

// SetWorkspace implements store.Settings.
func (s *settings) SetWorkspace(ctx context.Context, w store.Workspace, c store.Change) error {
	err := s.changeWorkspace(ctx, locks{workspace: w.ID}, c, func(b *batch, old *lockedWorkspace) error {
		if old.version != w.Version {
			return store.ErrConflict
		}
		b.exec(`UPDATE {p}workspaces SET suspended = ?, max_keys = ?, require_expiry = ?, max_lifetime = ?, enforced_from = ?,
			key_requests = ?, workspace_requests = ?, updated = ?, version = version + 1, epoch = {epoch} WHERE id = ?`,
			w.Suspended, w.Rules.MaxKeys, w.Rules.RequireExpiry, int64(w.Rules.MaxLifetime), w.Rules.EnforcedFrom,
			w.Rules.KeyRequests, w.Rules.WorkspaceRequests, w.Updated, c.RevokeTokens, w.ID)
		return nil
	})
	return fail(ctx, "save workspace settings", err)
}

// DeleteWorkspace implements store.Settings. It deletes all keys in one transaction;
// 10,000 keys take less than a second.
func (s *settings) DeleteWorkspace(ctx context.Context, id string, at time.Time, c store.Change) error {
	err := s.changeWorkspace(ctx, locks{workspace: id, keys: true}, c, func(b *batch, _ *lockedWorkspace) error {
		b.deleteKeys("workspace", id, at)
		b.exec(`UPDATE {p}workspaces SET deleted = 1, epoch = {max}(epoch + 1, {clock}), version = version + 1,
			updated = ?, held = 0 WHERE id = ?`, at, id)
		return nil
	})
	return fail(ctx, "delete workspace", err)
}

// changeWorkspace changes the workspace of l and creates its row if it is missing. A
// deleted workspace is store.ErrNotFound.
func (s *settings) changeWorkspace(ctx context.Context, l locks, c store.Change, write func(b *batch, w *lockedWorkspace) error) error {
	if err := checkWorkspace(l.workspace); err != nil {
		return err
	}
	notification := store.Notification{Kind: store.NotificationWorkspace, Workspace: l.workspace}
	return s.d.change(ctx, c, notification, l, func(b *batch, h *lockedState) error {
		w := h.workspaces[l.workspace]
		if w.deleted {
			return store.ErrNotFound
		}
		return write(b, w)
	})
}

// workspaceTable implements store.Workspaces.
type workspaceTable struct{ d *Database }

// List implements store.Workspaces. It is one query. The table also has a row for a
// workspace whose last key was deleted, so a page may be short.
func (t *workspaceTable) List(ctx context.Context, after string, limit int) (store.WorkspacePage, error) {
	if err := cmp.Or(checkLimit(limit), checkText("the id to begin after", after, maxText)); err != nil {
		return store.WorkspacePage{}, fail(ctx, "list workspaces", err)
	}
	page, err := store.PageOfWorkspaces(limit, func(most int) ([]store.Workspace, error) {
		return all(ctx, t.d, func(w *store.Workspace) []any { return append(workspaceRow(w), orZero[string]{&w.ID}) },
			`SELECT `+workspaceColumns+`, w.id FROM {p}workspaces w WHERE w.id > ? ORDER BY w.id LIMIT ?`, after, most)
	})
	return page, fail(ctx, "list workspaces", err)
}
