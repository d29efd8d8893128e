package apikey_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// settingsCalls are what a key may do with settings, and the permission for it.
var settingsCalls = []struct {
	name, permission string
	write            bool
	do               func(r *rig, a apikey.Actor) error
}{
	{"Settings", "admin.settings.read", false, func(r *rig, a apikey.Actor) error { return errOf(r.Settings(context.Background(), a)) }},
	{"Workspace", "admin.settings.read", false, func(r *rig, a apikey.Actor) error {
		_, _, err := r.Workspace(context.Background(), a, "team-b")
		return err
	}},
	{"SaveSettings", "admin.settings.save", true, func(r *rig, a apikey.Actor) error {
		now, err := r.Settings(context.Background(), a)
		if err != nil {
			return err
		}
		now.Rules.MaxKeys++
		return errOf(r.SaveSettings(context.Background(), a, now))
	}},
	{"SaveWorkspace", "admin.settings.save", true, func(r *rig, a apikey.Actor) error {
		now, _, err := r.Workspace(context.Background(), a, "team-b")
		if err != nil {
			return err
		}
		now.Rules.MaxKeys++
		return errOf(r.SaveWorkspace(context.Background(), a, now))
	}},
	{"SetSuspended", "admin.workspaces.suspend", true, func(r *rig, a apikey.Actor) error {
		now, _, err := r.Workspace(context.Background(), a, "team-b")
		if err != nil {
			return err
		}
		return r.SetSuspended(context.Background(), a, "team-b", !now.Suspended)
	}},
}

// TestKeysOverSettings: a key reads and changes settings only by a permission that the
// host named for it, that an organization admin granted as an admin permission, and
// that its token carries.
func TestKeysOverSettings(t *testing.T) {
	for _, call := range settingsCalls {
		t.Run("B21 "+call.name, func(t *testing.T) {
			r := newRig(t)
			key, _ := r.create(admin, "team-a", call.permission)
			actor := apikey.ByKey(key.ID, perms(call.permission), key.Credentials[0].ID)
			require.NoError(t, r.note(call.do(r, actor)))
			require.NoError(t, r.note(call.do(r, actor)), "again, and back")

			others := catalog.All().Minus(perms("admin.keys.list admin.settings.read admin.settings.save admin.workspaces.suspend"))
			plain, _ := r.create(admin, "team-a", others.String())
			for name, refused := range map[string]apikey.Actor{
				"a key with other permissions":         apikey.ByKey(plain.ID, catalog.All(), ""),
				"a token without the scope":            apikey.ByKey(key.ID, others, ""),
				"a secret that has ended":              apikey.ByKey(key.ID, catalog.All(), "other"),
				"an owner":                             owner,
				"an owner of the other workspace":      apikey.Owner("bert", "team-c"),
				"an owner who may grant what it needs": owner.Granting(perms(call.permission)),
				"a key that has never existed":         apikey.ByKey("unknown", catalog.All(), ""),
				"a key whose holder was not granted":   apikey.ByKey(key.ID, scope.Set{}, ""),
			} {
				require.Error(t, r.note(call.do(r, refused)), name)
			}
			require.NoError(t, errOf(r.Disable(t.Context(), admin, key.ID, 0)))
			forbidden(t, call.do(r, actor))
		})
	}
	t.Run("B21 a permission that was granted before it had the admin level", func(t *testing.T) {
		before := newRig(t)
		key, _ := before.create(owner, "team-a", "project.delete")
		host := func(c *apikey.Config) {
			raising("project.delete")(c)
			c.Management.ReadSettings, c.Management.SaveSettings, c.Management.SuspendWorkspaces = "project.delete", "project.delete", "project.delete"
		}
		r := rigOn(t, before.store, host)
		for _, call := range settingsCalls {
			require.Error(t, r.note(call.do(r, asKey(key))), call.name)
		}
		_, err := r.Update(t.Context(), admin, key.ID, apikey.Changes{Permissions: ptr(perms("project.delete"))})
		require.NoError(t, err)
		for _, call := range settingsCalls {
			require.NoError(t, r.note(call.do(r, asKey(key))), call.name)
		}
	})
	t.Run("B21 a host that names no permission", func(t *testing.T) {
		r := newRig(t, func(c *apikey.Config) { c.Management = apikey.Management{} })
		key, _ := r.create(admin, "team-a", catalog.All().String())
		for _, call := range settingsCalls {
			require.Error(t, r.note(call.do(r, asKey(key))), call.name)
		}
	})
	t.Run("B21 it gets nothing else by it", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.create(admin, "team-a", "admin.settings.save admin.workspaces.suspend keys.save")
		actor := asKey(key)
		for _, permission := range []string{"admin.settings.read", "admin.settings.save", "admin.workspaces.suspend"} {
			_, _, err := r.tryCreate(actor, "team-a", permission)
			forbidden(t, err)
		}
		forbidden(t, r.RevokeAllTokens(t.Context(), actor))
		forbidden(t, r.DeleteWorkspace(t.Context(), actor, "team-b"))
		forbidden(t, errOf(r.DisableAllBy(t.Context(), actor, store.ActorRef{ID: "olga"})))
		lists, _ := r.create(admin, "team-a", "admin.settings.save admin.keys.list")
		forbidden(t, errOf(r.Outdated(t.Context(), asKey(lists), nil, 0)))
		forbidden(t, errOf(r.Restorer(t.Context(), actor)))
		forbidden(t, errOf(r.PreviewSettings(t.Context(), actor, store.InstanceSettings{}, nil, 0))) // it may not list keys
		for _, err := range r.Records(t.Context(), actor) {
			forbidden(t, err)
		}
	})
	t.Run("it does not suspend its own workspace", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.create(admin, "team-a", "admin.workspaces.suspend")
		forbidden(t, r.SetSuspended(t.Context(), asKey(key), "team-a", true))
		require.NoError(t, r.SetSuspended(t.Context(), asKey(key), "team-b", true))
		require.NoError(t, r.SetSuspended(t.Context(), asKey(key), "team-a", false), "it is not suspended")
	})
	t.Run("it previews what it may save if it lists keys", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.create(admin, "team-a", "admin.settings.save admin.keys.list")
		reads, _ := r.create(admin, "team-a", "admin.settings.read admin.keys.list")
		_, err := r.PreviewSettings(t.Context(), asKey(key), store.InstanceSettings{}, nil, 0)
		require.NoError(t, err)
		forbidden(t, errOf(r.PreviewSettings(t.Context(), asKey(reads), store.InstanceSettings{}, nil, 0)))
	})
}

// TestSettingsByAKeyAreDecidedAgain changes, between the reads and the write of a change
// of settings by a key, what its right rests on.
func TestSettingsByAKeyAreDecidedAgain(t *testing.T) {
	ctx := t.Context()
	for _, call := range settingsCalls {
		if !call.write {
			continue
		}
		for _, tc := range []struct {
			name      string
			meanwhile func(direct *rig, key apikey.Key) error
			refused   bool
		}{
			{"its key was disabled", func(d *rig, k apikey.Key) error { return errOf(d.Disable(ctx, admin, k.ID, 0)) }, true},
			{"its key was deleted", func(d *rig, k apikey.Key) error { return d.Delete(ctx, admin, k.ID, 0) }, true},
			{"its key lost the permission", func(d *rig, k apikey.Key) error {
				return errOf(d.Update(ctx, admin, k.ID, apikey.Changes{Permissions: ptr(perms("project.list"))}))
			}, true},
			{"its workspace was suspended", func(d *rig, _ apikey.Key) error { return d.SetSuspended(ctx, admin, "team-a", true) }, true},
			{"its key was renamed", func(d *rig, k apikey.Key) error {
				return errOf(d.Update(ctx, admin, k.ID, apikey.Changes{Name: ptr("renamed")}))
			}, false},
		} {
			t.Run("B21 B27 "+call.name+": "+tc.name, func(t *testing.T) {
				st := memstore.New()
				direct := rigOn(t, st)
				key, _ := direct.create(admin, "team-a", call.permission)
				calls := 0
				r := rigOn(t, harness.Tapped(st, func(context.Context, string) error {
					if calls++; calls == 1 {
						require.NoError(t, tc.meanwhile(direct, key))
					}
					return nil
				}, "Settings.SetInstance", "Settings.SetWorkspace"))
				err := r.note(call.do(r, asKey(key)))
				if tc.refused {
					forbidden(t, err)
					require.Equal(t, 1, calls)
				} else {
					require.NoError(t, err)
					require.Equal(t, 2, calls)
				}
			})
		}
	}
	t.Run("B21 B27 SaveWorkspace: keys were switched off", func(t *testing.T) {
		st := memstore.New()
		direct := rigOn(t, st)
		key, _ := direct.create(admin, "team-a", "admin.settings.save")
		calls := 0
		r := rigOn(t, harness.Tapped(st, func(context.Context, string) error {
			if calls++; calls == 1 {
				require.NoError(t, errOf(direct.SaveSettings(ctx, admin, store.InstanceSettings{Instance: store.Instance{KeysOff: true}})))
			}
			return nil
		}, "Settings.SetWorkspace"))
		forbidden(t, errOf(r.SaveWorkspace(ctx, asKey(key), store.Workspace{ID: "team-b", Rules: store.Rules{MaxKeys: 3}})))
		standing, err := direct.WorkspaceStanding(ctx, "team-b")
		require.NoError(t, err)
		require.Equal(t, policy.StateKeysOff, standing.State)
	})
}

// TestNoSettingsByADisabledKey disables a key while it saves settings: no save is written
// after the key was disabled.
func TestNoSettingsByADisabledKey(t *testing.T) {
	r := newRig(t)
	saved := 0
	for range harness.Rounds(60, 20_000) {
		key, _ := r.create(admin, "team-a", "admin.settings.save")
		started, done := make(chan struct{}), make(chan int)
		for range 2 {
			go func() {
				n := 0
				for {
					now, _, err := r.Workspace(context.Background(), asKey(key), "team-b")
					if err == nil {
						now.Rules.MaxKeys++
						_, err = r.SaveWorkspace(context.Background(), asKey(key), now)
					}
					if n == 0 {
						started <- struct{}{}
					}
					n++
					if isForbidden(err) {
						done <- n
						return
					}
				}
			}()
		}
		<-started
		<-started
		require.NoError(t, errOf(r.Disable(t.Context(), admin, key.ID, 0)))
		at, _, err := r.Workspace(t.Context(), admin, "team-b")
		require.NoError(t, err)
		saved += <-done + <-done
		after, _, err := r.Workspace(t.Context(), admin, "team-b")
		require.NoError(t, err)
		require.Equal(t, at.Version, after.Version, "B27 nothing was saved after the key was disabled")
	}
	require.Positive(t, saved)
}
