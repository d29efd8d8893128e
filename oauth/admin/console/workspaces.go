package console

import (
	"cmp"

	"github.com/latchkey-go/latchkey/store"
)

// workspaceList is the data of a table of workspaces.
type workspaceList struct {
	Workspaces []store.Workspace
	KeysOff    bool
	pager
}

// Own reports whether a workspace has rules of its own.
func (workspaceList) Own(w store.Workspace) bool { return w.Rules != store.Rules{} }

// readWorkspaces reads a page of the workspaces that have keys or settings.
func (s *call) readWorkspaces() (list workspaceList, err error) {
	ctx, after := s.r.Context(), s.after()
	settings, err := s.keys().Settings(ctx, s.actor())
	if err != nil {
		return list, err
	}
	page, err := s.keys().Workspaces(ctx, s.actor(), cmp.Or(after, &store.KeyCursor{}).ID, pageSize)
	var next *store.KeyCursor
	if page.Next != "" {
		next = &store.KeyCursor{ID: page.Next}
	}
	return workspaceList{page.Workspaces, settings.KeysOff, s.pager(after, next)}, err
}
