package redisstore

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// settings implements store.Settings.
type settings struct{ db *Driver }

// Instance implements store.Settings.
func (s *settings) Instance(ctx context.Context) (in store.InstanceSettings, err error) {
	get := command("hmget", s.db.layout.settings(), settingsField(""), remindersField)
	if err = s.db.send(ctx, get); err == nil {
		in, err = decodeSettings(get.texts())
	}
	return in, fail("read settings", err)
}

// settings reads the settings of the instance and of the given workspaces.
func (db *Driver) settings(ctx context.Context, ids ...string) (in store.Instance, all []store.Workspace, err error) {
	fields, workspaces := []any{"hmget", db.layout.settings(), settingsField("")}, []any{"hmget", db.layout.counts(), ""}
	for _, id := range ids {
		fields, workspaces = append(fields, settingsField(id)), append(workspaces, escape(id))
	}
	get, count := command(fields...), command(workspaces...)
	if err := db.send(ctx, get, count); err != nil {
		return in, nil, err
	}
	texts, counts := get.texts(), count.texts()
	if len(texts) != len(ids)+1 || len(counts) != len(texts) {
		return in, nil, errRecord
	}
	in, err = decodeInstance(texts[0])
	for i, id := range ids {
		w, bad := decodeWorkspace(id, texts[i+1], counts[i+1])
		all, err = append(all, w), cmp.Or(err, bad)
	}
	return in, all, err
}

// SetInstance implements store.Settings.
func (s *settings) SetInstance(ctx context.Context, in store.InstanceSettings, c store.Change) error {
	err := s.db.apply(ctx, change{
		script: s.db.scripts.settings, with: c, notification: &store.Notification{Kind: store.NotificationInstance},
		args: []any{
			settingsField(""), in.Version, c.RevokeTokens, encode(instanceFields(&in.Instance)[3:]...), encode(remindersFields(&in.Reminders)...),
		},
	})
	return fail("save settings", err)
}

// errNoWorkspace reports an empty workspace id, which would select the instance's
// settings and the sorted sets of all workspaces.
var errNoWorkspace = errors.New("the workspace's id must not be empty")

// Workspace implements store.Settings.
func (s *settings) Workspace(ctx context.Context, id string) (store.Workspace, error) {
	_, all, err := s.db.settings(ctx, id)
	if err != nil {
		return store.Workspace{}, fail("read workspace settings", err)
	}
	return all[0], nil
}

// SetWorkspace implements store.Settings.
func (s *settings) SetWorkspace(ctx context.Context, w store.Workspace, c store.Change) error {
	if w.ID == "" {
		return fail("save workspace settings", errNoWorkspace)
	}
	err := s.db.apply(ctx, change{
		script: s.db.scripts.settings, with: c, notification: workspaceNotification(w.ID),
		args: []any{settingsField(w.ID), w.Version, c.RevokeTokens, encode(workspaceFields(&w)[3:]...)},
	})
	return fail("save workspace settings", err)
}

func workspaceNotification(id string) *store.Notification {
	return &store.Notification{Kind: store.NotificationWorkspace, Workspace: id}
}

// DeleteWorkspace implements store.Settings. One script sets the workspace to deleted,
// so that none of its keys is found any more. Further scripts then remove the keys, 50
// each. If they are interrupted, Upkeep.Purge removes the rest.
func (s *settings) DeleteWorkspace(ctx context.Context, id string, at time.Time, c store.Change) error {
	if id == "" {
		return fail("delete workspace", errNoWorkspace)
	}
	fresh := store.Workspace{Updated: at} // what is written if no settings were saved
	err := s.db.apply(ctx, change{
		script: s.db.scripts.deleteWorkspace, workspace: id, with: c, notification: workspaceNotification(id),
		args: []any{escape(id), sortable(at), encode(workspaceFields(&fresh)[3:]...)},
	})
	if err != nil {
		return fail("delete workspace", err)
	}
	if err := s.db.sweep(ctx, id); err != nil {
		s.db.cfg.Logger.WarnContext(ctx, "redisstore: some keys of a deleted workspace were not removed; Upkeep.Purge removes them", "error", err)
	}
	return nil
}

// sweep removes the remaining keys of a deleted workspace.
func (db *Driver) sweep(ctx context.Context, workspace string) error {
	_, err := db.inBatches(ctx, change{script: db.scripts.sweep, workspace: workspace, args: []any{escape(workspace), batch}})
	return err
}

// workspaceTable implements store.Workspaces.
type workspaceTable struct{ db *Driver }

// List implements store.Workspaces. A script reads up to 200 workspaces.
func (t *workspaceTable) List(ctx context.Context, after string, limit int) (store.WorkspacePage, error) {
	l := t.db.layout
	p := page{script: t.db.scripts.workspaces, keys: []string{l.workspaces(), l.settings(), l.counts()}, from: "-", to: "+"}
	if after != "" {
		p.after(nameMember(after, escape(after)))
	}
	found, err := store.PageOfWorkspaces(limit, func(most int) ([]store.Workspace, error) {
		return collect(ctx, t.db, p, most, decodeListed, func(*store.Workspace) bool { return true })
	})
	return found, fail("list workspaces", err)
}

// decodeListed reads a record of workspaces.lua: the settings and the number of keys.
func decodeListed(field, record string) (store.Workspace, error) {
	settings, count, _ := strings.Cut(record, "\n")
	w, err := decodeWorkspace("", settings, count)
	err = cmp.Or(err, decode(field, &w.ID))
	return w, err
}
