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
	return s.page("workspaces", s.frame("workspaces", "Workspaces", nil))
}

// workspacePage shows a workspace's record.
func (s *call) workspacePage() (store.Workspace, settingsPage, error) {
	ctx := s.r.Context()
	instance, err := s.keys().Settings(ctx, s.actor())
	if err != nil {
		return store.Workspace{}, settingsPage{}, err
	}
	workspace, err := s.keys().Workspace(ctx, s.actor(), s.workspace())
	if err != nil {
		return store.Workspace{}, settingsPage{}, err
	}
	inForce, err := s.keys().Rules(ctx, s.actor(), s.workspace())
	if err != nil {
		return store.Workspace{}, settingsPage{}, err
	}
	now := s.keys().Now()
	page := settingsPage{
		ID: workspace.ID, Suspended: workspace.Suspended, Deleted: workspace.Deleted, Keys: workspace.Keys, InForce: inWords(inForce, false),
		Rules: showRules(workspace.Rules, true, now), Updated: momentOf(workspace.Updated, now, "never"), Version: workspace.Version,
	}
	page.Rules.Instance = inWords(instance.Rules, false)
	return workspace, page, nil
}

func (s *call) workspaceFrame(title string, data any) frame {
	f := s.frame("workspaces", title, data)
	f.Workspace = ""
	return f
}

// editWorkspace shows one workspace's rules and state.
func (s *call) editWorkspace() error {
	_, page, err := s.workspacePage()
	if err != nil {
		return err
	}
	return s.page("workspace", s.workspaceFrame("Workspace "+page.ID, page))
}

// saveWorkspace first shows what new rules would do, and then saves them.
func (s *call) saveWorkspace() error {
	ctx, values := s.r.Context(), s.r.PostForm
	workspace, page, err := s.workspacePage()
	if err != nil {
		return err
	}
	now := s.keys().Now()
	instance := page.Rules.Instance
	page.Rules, page.Version = typedRules(values, now), s.seen()
	page.Rules.Instance = instance
	rules, wrong := readRules(page.Rules, true, workspace.Rules)
	show := func(status int, wrong []problem) error {
		f := s.workspaceFrame("Workspace "+page.ID, page)
		f.Problems = wrong
		return s.show(status, "workspace", f)
	}
	if len(wrong) > 0 {
		return show(http.StatusUnprocessableEntity, wrong)
	}
	wanted := store.Workspace{ID: workspace.ID, Rules: rules, Version: page.Version}
	if values.Get("do") == "save" {
		_, err := s.keys().SaveWorkspace(ctx, s.actor(), wanted)
		if err != nil {
			return s.orAsk(err, show)
		}
		return s.redirect("done=settings", "settings", "workspaces", workspace.ID)
	}
	page.Preview, err = s.preview(now, func(after *store.KeyCursor) (apikey.EffectPage, error) {
		return s.keys().PreviewWorkspace(ctx, s.actor(), wanted, after, store.MaxPage)
	})
	if err != nil {
		return s.orAsk(err, show)
	}
	page.Words = inWords(rules, true)
	return s.page("preview", s.workspaceFrame("Before you save", page))
}

// askSuspend asks before a workspace stops.
func (s *call) askSuspend() error {
	_, page, err := s.workspacePage()
	if err != nil {
		return err
	}
	return s.page("ask", s.workspaceFrame("Suspend "+page.ID, question{
		Workspace: page.ID, Button: "Suspend this workspace", Danger: true,
		Text: "None of its " + count(page.Keys, "key", "keys") + " can log in until it is resumed, and every token issued to them ends now.",
	}))
}

// suspend stops a workspace.
func (s *call) suspend() error {
	if err := s.keys().Suspend(s.r.Context(), s.actor(), s.workspace()); err != nil {
		return err
	}
	return s.redirect("done=suspended", "settings", "workspaces", s.workspace())
}

// resume lets a workspace's keys log in again.
func (s *call) resume() error {
	if err := s.keys().Resume(s.r.Context(), s.actor(), s.workspace()); err != nil {
		return err
	}
	return s.redirect("done=resumed", "settings", "workspaces", s.workspace())
}
