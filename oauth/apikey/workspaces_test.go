package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// Without Config.Workspaces a line of the log says at start what that means.
func TestTheStartTellsOfMissingWorkspaces(t *testing.T) {
	const line = "apikey.Options.Workspaces is not set: an administrator can create keys in a workspace that does not exist"
	require.Contains(t, newRig(t).logs.String(), line)
	known := func(context.Context, string) (bool, error) { return true, nil }
	require.NotContains(t, newRig(t, func(cfg *apikey.Config) { cfg.Workspaces = known }).logs.String(), line)
}

func TestWorkspacesAreForAdministrators(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	r.create(owner, "team-a", "project.list")
	manages, _ := r.create(admin, "team-b", "keys.list admin.keys.list")
	page, err := r.Workspaces(ctx, admin, "", 1)
	require.NoError(t, err)
	require.Equal(t, store.WorkspacePage{Workspaces: []store.Workspace{{ID: "team-a", Keys: 1}}, Next: "team-a"}, page)
	page, err = r.Workspaces(ctx, admin, page.Next, 1)
	require.NoError(t, err)
	require.Equal(t, store.WorkspacePage{Workspaces: []store.Workspace{{ID: "team-b", Keys: 1}}}, page)
	for _, actor := range []apikey.Actor{owner, manager, apikey.ByKey(manages.ID, perms("keys.list admin.keys.list"), "")} {
		page, err = r.Workspaces(ctx, actor, "", 0)
		require.True(t, isForbidden(err), "%v", err)
		require.Empty(t, page)
	}
	_, err = r.Workspaces(ctx, admin, "", store.MaxPage+1)
	require.Error(t, err)
}

// A workspace that the host does not know, and of which there is nothing in the store,
// does not exist for any call that names it.
func TestUnknownWorkspace(t *testing.T) {
	active := map[string]bool{"team-a": true}
	down := error(nil)
	r := newRig(t, func(cfg *apikey.Config) {
		cfg.Workspaces = func(_ context.Context, id string) (bool, error) { return active[id], down }
	})
	ctx := t.Context()
	calls := map[string]func(id string) error{
		"read":       func(id string) error { _, _, err := r.Workspace(ctx, admin, id); return err },
		"list keys":  func(id string) error { return errOf(r.List(ctx, admin, store.KeyQuery{Workspace: id})) },
		"events":     func(id string) error { return errOf(r.Events(ctx, admin, store.EventQuery{Workspace: id})) },
		"grantable":  func(id string) error { return errOf(r.Grantable(ctx, admin, id)) },
		"preview":    func(id string) error { return errOf(r.PreviewWorkspace(ctx, admin, store.Workspace{ID: id}, nil, 0)) },
		"make a key": func(id string) error { _, _, err := r.tryCreate(admin, id, "project.list"); return err },
	}
	r.create(owner, "team-a", "project.list")
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, call("nope"), store.ErrNotFound)
			down = errors.New("the host's database is down")
			require.ErrorIs(t, call("nope"), store.ErrUnavailable)
			down = nil
		})
	}
	// A workspace of the host's without keys exists, and so does one that the host has
	// suspended or forgotten while there are keys or settings.
	active["team-b"], active["team-a"] = true, false
	require.NoError(t, r.SetSuspended(ctx, admin, "saved", false))
	require.NoError(t, r.SetSuspended(ctx, admin, "saved", true))
	for name, call := range calls {
		if name == "make a key" {
			continue
		}
		for _, id := range []string{"team-a", "team-b", "saved"} {
			require.NoError(t, call(id), "%s of %s", name, id)
		}
	}
	require.True(t, isForbidden(calls["make a key"]("team-a")))
}

// The store is asked only about a workspace that the host does not know. If that fails,
// nothing is decided.
func TestUnknownWorkspaceWhileTheStoreIsDown(t *testing.T) {
	var tap storetest.Tap
	r := rigOn(t, tap.Over(newRig(t).store), func(cfg *apikey.Config) {
		cfg.Workspaces = func(_ context.Context, id string) (bool, error) { return id == "team-a", nil }
	})
	tap.Before(func(_ context.Context, call string) error {
		if call == "Settings.Workspace" {
			return fmt.Errorf("down: %w", store.ErrUnavailable)
		}
		return nil
	})
	require.NoError(t, errOf(r.Events(t.Context(), admin, store.EventQuery{Workspace: "team-a"})))
	require.ErrorIs(t, errOf(r.Events(t.Context(), admin, store.EventQuery{Workspace: "nope"})), store.ErrUnavailable)
}
