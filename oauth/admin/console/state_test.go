package console_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// TestStateInRows: pages show the state of a key that its login gets.
func TestStateInRows(t *testing.T) {
	save := func(change func(*store.InstanceSettings)) func(*rig) {
		return func(r *rig) {
			s, err := r.keys.Settings(r.t.Context(), people["ada"].Actor)
			require.NoError(r.t, err)
			change(&s)
			_, err = r.keys.SaveSettings(r.t.Context(), people["ada"].Actor, s)
			require.NoError(r.t, err)
		}
	}
	for _, tc := range []struct {
		name, row, page string
		do              func(r *rig)
		creates         bool
	}{
		{"live", `on">active`, `on">active`, func(*rig) {}, true},
		{"the rules end it soon", `soon">expires soon`, "Under the rules of this service this key expires on", save(func(s *store.InstanceSettings) {
			s.Rules = store.Rules{RequireExpiry: true, EnforcedFrom: noon.Add(24 * time.Hour)}
		}), true},
		{"expired under the rules", `off">expired`, "This key has expired", save(func(s *store.InstanceSettings) {
			s.Rules = store.Rules{RequireExpiry: true, EnforcedFrom: noon}
		}), true},
		{"while keys are off", `off">keys off`, "API keys are switched off in this service", save(func(s *store.InstanceSettings) { s.KeysOff = true }), false},
		{"in a suspended workspace", `off">suspended`, "This workspace is suspended", func(r *rig) {
			require.NoError(r.t, r.keys.SetSuspended(r.t.Context(), people["ada"].Actor, "team-a", true))
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			key, _ := r.made("team-a", "ci", "project.list")
			tc.do(r)
			list := r.get("olga", "/workspaces/team-a/keys").Body
			require.Contains(t, list, tc.row)
			require.Equal(t, tc.creates, strings.Contains(list, "keys/new"))
			require.Contains(t, r.get("ada", "/settings/keys").Body, tc.row)
			require.Contains(t, r.get("olga", "/keys/"+key.ID).Body, tc.page)
		})
	}
}

// TestRaisedPermissionInForms: a permission that became an admin permission is granted if a
// person who may grant it selects it. A key keeps it if the person does not see it.
func TestRaisedPermissionInForms(t *testing.T) {
	start := func(t *testing.T) (*rig, apikey.Key, string) {
		before := newRig(t)
		key, _ := before.made("team-a", "ci", "project.list project.delete")
		r := newRig(t, func(st *store.Store, keys *apikey.Config, _ *console.Config) {
			*st = before.store
			keys.Permissions = scope.MustCatalog(scope.Group{Permissions: []scope.Permission{
				{Name: "project.list"}, {Name: "project.save"}, {Name: "project.delete", Level: scope.Admin},
			}})
		})
		return r, key, "/keys/" + key.ID + "/change"
	}
	now := func(r *rig, id string) apikey.Key {
		key, err := r.keys.Get(r.t.Context(), people["ada"].Actor, id)
		require.NoError(r.t, err)
		return key
	}
	t.Run("the key's page lists it", func(t *testing.T) {
		r, key, _ := start(t)
		require.Contains(t, r.get("olga", "/keys/"+key.ID).Body, "Not in force until an administrator grants it")
	})
	t.Run("a member does not see it, and keeps it", func(t *testing.T) {
		r, key, change := start(t)
		page := r.get("olga", change)
		require.NotContains(t, page.Body, `value="project.delete"`)
		form := r.form("olga", change, "name", "ci 2", "permissions", "project.list", "expires", "keep")
		require.Contains(t, r.post("olga", change, form).redirectTarget(), "done=change")
		form = r.form("olga", change, "name", "ci 2", "permissions", "project.list", "permissions", "project.save", "expires", "keep")
		require.Contains(t, r.post("olga", change, form).redirectTarget(), "done=change")
		after := now(r, key.ID)
		require.Equal(t, "project.delete project.list project.save", after.Permissions.String())
		require.Equal(t, "project.delete", after.Withheld.String())
	})
	t.Run("an administrator who changes the name grants nothing", func(t *testing.T) {
		r, key, change := start(t)
		page := r.get("ada", change)
		require.Contains(t, page.Body, `value="project.delete"`)
		form := r.form("ada", change, "name", "ci 2", "permissions", "project.list", "expires", "keep")
		require.Contains(t, r.post("ada", change, form).redirectTarget(), "done=change")
		after := now(r, key.ID)
		require.True(t, after.Permissions.Has("project.delete"))
		require.Equal(t, "project.delete", after.Withheld.String())
	})
	t.Run("an administrator who selects it grants it", func(t *testing.T) {
		r, key, change := start(t)
		require.Contains(t, r.get("ada", change).Body, `value="project.list" checked`)
		require.NotContains(t, r.get("ada", change).Body, `value="project.delete" checked`)
		form := r.form("ada", change, "name", "ci", "permissions", "project.list", "permissions", "project.delete", "expires", "keep")
		require.Contains(t, r.post("ada", change, form).redirectTarget(), "done=change")
		require.Empty(t, now(r, key.ID).Withheld.Names())
	})
}
