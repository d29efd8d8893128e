package console

import (
	"cmp"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// home lists the person's workspaces, and for an administrator all. It redirects to the
// workspace whose id was typed, or to the only one of an owner.
func (s *call) home() error {
	if id := s.r.URL.Query().Get("workspace"); id != "" {
		return s.redirect("", "workspaces", id, "keys")
	}
	if own := s.person.Workspaces; len(own) == 1 && !s.administers() {
		return s.redirect("", "workspaces", own[0], "keys")
	}
	page := frame{Here: "home", Title: "API keys"}
	if s.administers() {
		list, err := s.readWorkspaces()
		if err != nil {
			return err
		}
		page.Data = list
	}
	return s.show(http.StatusOK, "home", page)
}

// listWorkspaces lists the workspaces for an administrator, and redirects to the
// settings of the one whose id was typed.
func (s *call) listWorkspaces() error {
	list, err := s.readWorkspaces()
	if err != nil {
		return err
	}
	if id := s.r.URL.Query().Get("workspace"); id != "" {
		return s.redirect("", "settings", "workspaces", id)
	}
	return s.show(http.StatusOK, "workspaces", frame{Here: "workspace", Title: "Workspaces", Data: list})
}

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

// workspacePage returns the data of the page of a workspace's settings.
func (s *call) workspacePage() (page settingsPage, err error) {
	ctx := s.r.Context()
	instance, err := s.keys().Settings(ctx, s.actor())
	if err != nil {
		return page, err
	}
	workspace, inForce, err := s.keys().Workspace(ctx, s.actor(), s.workspace())
	return settingsPage{
		Here: "workspace", Title: "Workspace " + workspace.ID, Address: []string{"settings", "workspaces", workspace.ID},
		Form: rulesForm(workspace.Rules, true), Version: workspace.Version, Workspace: workspace,
		InForce: inForce, Default: instance.Rules,
	}, err
}

// workspaceSettings shows one workspace's rules and state, and the preview of new
// rules, or saves them.
func (s *call) workspaceSettings() error {
	ctx := s.r.Context()
	page, err := s.workspacePage()
	if err != nil {
		return err
	}
	if s.r.Method != http.MethodPost {
		return s.showSettings(http.StatusOK, page, nil)
	}
	f := form{Values: s.r.PostForm}
	wanted := store.Workspace{ID: page.ID, Rules: f.rules(true, page.Rules), Version: s.version(0)}
	page.Wanted = wanted.Rules
	return s.changeSettings(page, f.wrong, func() error {
		_, err := s.keys().SaveWorkspace(ctx, s.actor(), wanted)
		return err
	}, func(after *store.KeyCursor) (apikey.Page[apikey.KeyPreview], error) {
		return s.keys().PreviewWorkspace(ctx, s.actor(), wanted, after, store.MaxPage)
	})
}

func (s *call) askSuspend() error {
	page, err := s.workspacePage()
	if err != nil {
		return err
	}
	return s.show(http.StatusOK, "suspend", frame{Here: "workspace", Title: "Suspend " + page.ID, Data: page.Workspace})
}

// setSuspended returns the handler that suspends or resumes a workspace, if it exists.
func setSuspended(suspended bool, done string) func(*call) error {
	return func(s *call) error {
		_, err := s.workspacePage()
		if err == nil {
			err = s.keys().SetSuspended(s.r.Context(), s.actor(), s.workspace(), suspended)
		}
		return s.redirectUnless(err, done, "settings", "workspaces", s.workspace())
	}
}
