package apikey

import (
	"cmp"
	"context"
	"fmt"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// Workspace returns a workspace's settings and number of keys, and the rules in
// force in it: its own merged with those of the instance, see
// policy.EffectiveRules. The actor must be allowed to see its keys, or to read
// settings.
func (s *Service) Workspace(ctx context.Context, actor Actor, id string) (store.Workspace, store.Rules, error) {
	if id == "" {
		return store.Workspace{}, store.Rules{}, invalid("workspace", "It may not be empty.")
	}
	p, err := s.powersOf(ctx, actor)
	if err == nil && !p.everywhere.hasAny(readSettings) {
		err = p.maySee(id)
	}
	if err == nil {
		err = s.mustExist(ctx, id)
	}
	if err != nil {
		return store.Workspace{}, store.Rules{}, err
	}
	w, instance, err := s.settingsOf(ctx, id)
	if err != nil {
		return store.Workspace{}, store.Rules{}, err
	}
	return w, policy.EffectiveRules(instance, w), nil
}

// Workspaces returns one page of the workspaces of which the store has keys or a saved
// record, in byte order of their ids. The page begins after the id in the parameter after,
// or at the first workspace if that is empty. Each has its number of keys. See store.Workspaces. For an organization
// admin, and a key with Management.ReadSettings.
func (s *Service) Workspaces(ctx context.Context, actor Actor, after string, limit int) (store.WorkspacePage, error) {
	if _, err := s.mayAdminister(ctx, actor, actReadSettings); err != nil {
		return store.WorkspacePage{}, err
	}
	page, err := s.store.Workspaces.List(ctx, after, limit)
	return page, describe("list workspaces", err)
}

// SaveWorkspace replaces a workspace's rules; SetSuspended changes its state.
// Version must be the one that Workspace returned; otherwise the error is
// store.ErrConflict. It revokes the workspace's tokens if it makes an expiry rule
// stricter. A call that changes nothing writes nothing. The workspace need not exist,
// so that the host can set the rules before the first key is created. For an
// organization admin, and a key with Management.SaveSettings.
func (s *Service) SaveWorkspace(ctx context.Context, actor Actor, wanted store.Workspace) (store.Workspace, error) {
	return s.alterWorkspace(ctx, actor, wanted.ID, audit.Workspace, func(w *store.Workspace) (revoke bool, err error) {
		if w.Version != wanted.Version {
			return false, fmt.Errorf("apikey: save workspace: %w", store.ErrConflict)
		}
		if err := checkRules(wanted.Rules, true); err != nil {
			return false, err
		}
		before := w.Rules
		w.Rules = storedRules(wanted.Rules)
		return tightens(before, w.Rules), nil
	})
}

// SetSuspended suspends or resumes a workspace. If suspended is true, its keys can no
// longer log in and their tokens are revoked. If it is false, its keys can log in
// again; old tokens stay revoked. A call that changes nothing writes nothing. The
// workspace need not exist. For an organization admin, and a key with
// Management.SuspendWorkspaces, except for the key's own workspace.
func (s *Service) SetSuspended(ctx context.Context, actor Actor, workspace string, suspended bool) error {
	action := audit.Resume
	if suspended {
		action = audit.Suspend
	}
	_, err := s.alterWorkspace(ctx, actor, workspace, action, func(w *store.Workspace) (revoke bool, err error) {
		w.Suspended = suspended
		return suspended, nil
	})
	return err
}

// DeleteWorkspace deletes all keys of a workspace and revokes their tokens. Its
// audit events stay, and its id cannot be used again. The workspace need not exist. If
// it is deleted already, the error is store.ErrNotFound. For an organization admin.
func (s *Service) DeleteWorkspace(ctx context.Context, actor Actor, workspace string) error {
	if _, err := s.mayAlterWorkspace(ctx, actor, workspace, audit.DeleteWorkspace); err != nil {
		return err
	}
	now := s.now()
	change, err := s.newChange(now, actor, store.Event{Action: audit.DeleteWorkspace, Workspace: workspace})
	if err != nil {
		return err
	}
	return writeError("delete workspace", s.store.Settings.DeleteWorkspace(ctx, workspace, now, change))
}

// alterWorkspace changes a workspace's record. apply returns whether the workspace's
// tokens are revoked.
func (s *Service) alterWorkspace(
	ctx context.Context, actor Actor, id, action string, apply func(*store.Workspace) (revoke bool, err error),
) (store.Workspace, error) {
	return retry(func() (store.Workspace, error) {
		p, err := s.mayAlterWorkspace(ctx, actor, id, action)
		if err != nil {
			return store.Workspace{}, err
		}
		w, err := s.store.Settings.Workspace(ctx, id)
		if err != nil {
			return store.Workspace{}, fmt.Errorf("apikey: read workspace: %w", err)
		}
		before := settingsTexts(w.Rules, w.Suspended, store.InstanceSettings{})
		revoke, err := apply(&w)
		if err != nil {
			return store.Workspace{}, err
		}
		changed := fieldChanges(settingsNames, before, settingsTexts(w.Rules, w.Suspended, store.InstanceSettings{}))
		if len(changed) == 0 {
			return w, nil
		}
		w.Updated = s.now()
		change, err := s.newChange(w.Updated, p.actor, store.Event{Action: action, Workspace: id, Changes: changed})
		if err != nil {
			return store.Workspace{}, err
		}
		change.RevokeTokens, change.Preconditions = revoke, p.actorPreconditions()
		if err := s.store.Settings.SetWorkspace(ctx, w, change); err != nil {
			return store.Workspace{}, writeError(action, err)
		}
		w.Version++
		return w, nil
	})
}

func (s *Service) mayAlterWorkspace(ctx context.Context, actor Actor, id, action string) (powers, error) {
	p, err := s.mayAdminister(ctx, actor, action)
	if err != nil {
		return p, err
	}
	if action == audit.Suspend && p.key != nil && p.key.Workspace == id {
		return p, &ForbiddenError{Action: action, Reason: "A key may not suspend its own workspace, since it could not resume it."}
	}
	var bad InvalidError
	checkText(&bad, "workspace", id)
	return p, bad.orNil()
}

// mustBeActive refuses a management call for a workspace that the host has suspended or
// does not know.
func (s *Service) mustBeActive(ctx context.Context, action, workspace string) error {
	suspended, err := s.askHost(ctx, workspace)
	if suspended {
		err = cmp.Or(s.mustExist(ctx, workspace), error(&ForbiddenError{Action: action, Reason: "The host has suspended this workspace or does not know it; ask whoever runs the host application."}))
	}
	return err
}

// mustExist refuses a workspace that does not exist: the host says that it is not active,
// and the store has neither keys nor a saved record of it.
func (s *Service) mustExist(ctx context.Context, workspace string) error {
	suspended, err := s.askHost(ctx, workspace)
	if err != nil || !suspended {
		return err
	}
	w, _, err := s.settingsOf(ctx, workspace)
	if err == nil && w.Keys == 0 && w.Version == 0 {
		err = errNoRight
	}
	return err
}
