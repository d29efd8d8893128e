package console

import (
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// openWorkspace lists the workspaces whose rules an administrator may want to
// change, and leads to the one whose id was typed.
func (s *call) openWorkspace() error {
	if _, err := s.keys().Settings(s.r.Context(), s.actor()); err != nil {
		return err
	}
	if id := s.r.URL.Query().Get("workspace"); id != "" {
		return s.redirect("", "settings", "workspaces", id)
	}
	return s.show(http.StatusOK, "workspaces", frame{Here: "workspaces", Title: "Workspaces"})
}

// workspacePage shows a workspace's record.
func (s *call) workspacePage() (page settingsPage, err error) {
	ctx := s.r.Context()
	instance, err := s.keys().Settings(ctx, s.actor())
	if err != nil {
		return page, err
	}
	workspace, inForce, err := s.keys().Workspace(ctx, s.actor(), s.workspace())
	return settingsPage{
		Form: rulesForm(workspace.Rules, true), Updated: momentOf(workspace.Updated, s.keys().Now(), "never"), Version: workspace.Version,
		Workspace: workspace, InForce: inWords(inForce, false), Default: inWords(instance.Rules, false),
	}, err
}

// editWorkspace shows one workspace's rules and state.
func (s *call) editWorkspace() error {
	page, err := s.workspacePage()
	if err != nil {
		return err
	}
	return s.show(http.StatusOK, "workspace", frame{Here: "workspaces", Title: "Workspace " + page.ID, Data: page})
}

// saveWorkspace first shows what new rules would do, and then saves them.
func (s *call) saveWorkspace() error {
	ctx := s.r.Context()
	page, err := s.workspacePage()
	if err != nil {
		return err
	}
	rules, wrong := readRules(s.r.PostForm, true, page.Rules)
	page.Words = inWords(rules, true)
	wanted := store.Workspace{ID: page.ID, Rules: rules, Version: s.seen()}
	return s.changeSettings(settingsChange{
		page: page, form: "workspace", here: "workspaces", title: "Workspace " + page.ID, at: []string{"settings", "workspaces", page.ID}, wrong: wrong,
		save: func() error {
			_, err := s.keys().SaveWorkspace(ctx, s.actor(), wanted)
			return err
		},
		look: func(after *store.KeyCursor) (apikey.Page[apikey.Effect], error) {
			return s.keys().PreviewWorkspace(ctx, s.actor(), wanted, after, store.MaxPage)
		},
	})
}

// askSuspend asks before a workspace stops.
func (s *call) askSuspend() error {
	page, err := s.workspacePage()
	if err != nil {
		return err
	}
	return s.show(http.StatusOK, "ask", frame{Here: "workspaces", Title: "Suspend " + page.ID, Data: question{
		Workspace: page.ID, Button: "Suspend this workspace",
		Text: "None of its " + count(page.Keys, "key", "keys") + " can log in until it is resumed, and every token issued to them ends now.",
	}})
}

// suspend stops a workspace.
func (s *call) suspend() error {
	err := s.keys().SetSuspended(s.r.Context(), s.actor(), s.workspace(), true)
	return s.then(err, "done=suspended", "settings", "workspaces", s.workspace())
}

// resume lets a workspace's keys log in again.
func (s *call) resume() error {
	err := s.keys().SetSuspended(s.r.Context(), s.actor(), s.workspace(), false)
	return s.then(err, "done=resumed", "settings", "workspaces", s.workspace())
}
