package admin

import (
	"cmp"

	"github.com/latchkey-go/latchkey/store"
)

// listWorkspaces serves GET /workspaces: the workspaces that have keys or settings in the
// store.
func (h *Handler) listWorkspaces(c *call) error {
	ctx := c.r.Context()
	settings, err := h.keys.Settings(ctx, c.actor)
	if err != nil {
		return err
	}
	page, err := h.keys.Workspaces(ctx, c.actor, cmp.Or(c.after, &store.KeyCursor{}).ID, c.limit)
	var next *store.KeyCursor
	if page.Next != "" {
		next = &store.KeyCursor{ID: page.Next}
	}
	return c.answerPage(next, members{"keys_enabled": !settings.KeysOff, "workspaces": each(page.Workspaces, showWorkspace)}, err)
}

// showWorkspace returns a workspace in a list. Its state does not say whether all keys
// are switched off: the list has that once, in keys_enabled.
func showWorkspace(w *store.Workspace) members {
	state := "active"
	switch {
	case w.Deleted:
		state = "deleted"
	case w.Suspended:
		state = "suspended"
	}
	return members{
		"workspace": w.ID, "state": state, "keys": w.Keys, "own_rules": w.Rules != store.Rules{},
		"updated_at": orNull(w.Updated), "version": w.Version,
	}
}
