package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// act is one management call on a key or on its workspace.
type act struct {
	name string
	do   func(r *rig, a apikey.Actor, target apikey.Key) error
}

// Every management call, in the order of the columns below.
var acts = []act{
	{"Get", func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, err := r.Get(context.Background(), a, k.ID)
		return err
	}},
	{"List", func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, err := r.List(context.Background(), a, store.KeyQuery{Workspace: k.Workspace})
		return err
	}},
	{"Events", func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, err := r.Events(context.Background(), a, store.EventQuery{Workspace: k.Workspace})
		return err
	}},
	{"Workspace", func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, _, err := r.Workspace(context.Background(), a, k.Workspace)
		return err
	}},
	{"Create", func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, _, err := r.tryCreate(a, k.Workspace, "")
		return err
	}},
	{"Import", func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, err := r.Import(context.Background(), a, apikey.ImportSpec{
			Spec: apikey.Spec{Workspace: k.Workspace, Name: "old"}, ID: "imported", Secret: strings.Repeat("a1B2c3D4e5", 4) + "xyzzy",
		})
		return err
	}},
	{"Update", func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, err := r.Update(context.Background(), a, k.ID, apikey.Changes{Permissions: ptr(scope.Set{})})
		return err
	}},
	{"Rename", func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, err := r.Update(context.Background(), a, k.ID, apikey.Changes{Name: ptr("renamed")})
		return err
	}},
	{"Rotate", func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, _, err := r.Rotate(context.Background(), a, k.ID, apikey.Rotation{})
		return err
	}},
	{"AddCredential", func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, err := r.AddCredential(context.Background(), a, k.ID, aPublicKey("laptop"))
		return err
	}},
	{"Retire", func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, err := r.Retire(context.Background(), a, k.ID, k.Credentials[0].ID, 0)
		return err
	}},
	{"Disable", func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, err := r.Disable(context.Background(), a, k.ID, 0)
		return err
	}},
	{"Enable", func(r *rig, a apikey.Actor, k apikey.Key) error {
		if _, err := r.Disable(context.Background(), admin, k.ID, 0); err != nil {
			return err
		}
		_, err := r.Enable(context.Background(), a, k.ID, 0)
		return err
	}},
	{"Delete", func(r *rig, a apikey.Actor, k apikey.Key) error { return r.Delete(context.Background(), a, k.ID, 0) }},
	{"Settings", func(r *rig, a apikey.Actor, _ apikey.Key) error {
		_, err := r.Settings(context.Background(), a)
		return err
	}},
	{"SaveSettings", func(r *rig, a apikey.Actor, _ apikey.Key) error {
		_, err := r.SaveSettings(context.Background(), a, store.InstanceSettings{Instance: store.Instance{KeysOff: true}})
		return err
	}},
	{"SaveWorkspace", func(r *rig, a apikey.Actor, k apikey.Key) error {
		_, err := r.SaveWorkspace(context.Background(), a, store.Workspace{ID: k.Workspace, Rules: store.Rules{MaxKeys: store.Unlimited}})
		return err
	}},
	{"Suspend", func(r *rig, a apikey.Actor, k apikey.Key) error {
		return r.SetSuspended(context.Background(), a, k.Workspace, true)
	}},
	{"Resume", func(r *rig, a apikey.Actor, k apikey.Key) error {
		return r.SetSuspended(context.Background(), a, k.Workspace, false)
	}},
	{"DeleteWorkspace", func(r *rig, a apikey.Actor, k apikey.Key) error {
		return r.DeleteWorkspace(context.Background(), a, k.Workspace)
	}},
	{"DisableAllBy", func(r *rig, a apikey.Actor, _ apikey.Key) error {
		_, err := r.DisableAllBy(context.Background(), a, store.ActorRef{ID: "olga"})
		return err
	}},
}

// byKey makes a key in team-a and acts with it.
func byKey(permissions string, then ...func(r *rig, k apikey.Key)) func(r *rig) apikey.Actor {
	return func(r *rig) apikey.Actor {
		key, _ := r.create(admin, "team-a", permissions, func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: noon.Add(time.Hour)} })
		for _, do := range then {
			do(r, key)
		}
		return apikey.ByKey(key.ID, catalog.All(), "")
	}
}

func person(a apikey.Actor) func(*rig) apikey.Actor { return func(*rig) apikey.Actor { return a } }

// TestRights tests the whole table: '+' succeeds, 'f' is forbidden, '0' is not
// found. The target holds project.list.
func TestRights(t *testing.T) {
	const everything = "keys.list keys.save keys.delete keys.rotate project.list"
	for _, row := range []struct {
		name  string
		actor func(*rig) apikey.Actor
		// Get List Events Workspace | Create Import Update Rename Rotate AddCredential Retire Disable Enable Delete |
		// Settings SaveSettings SaveWorkspace Suspend Resume DeleteWorkspace DisableAllBy
		own, foreign string
	}{
		{"nobody", person(apikey.Actor{}), "0000 0000000000 fffffff", "0000 0000000000 fffffff"},
		{"organization admin", person(admin), "++++ ++++++++++ +++++++", "++++ ++++++++++ +++++++"},
		{"organization admin limited to nothing", person(admin.Granting(scope.Set{})), "++++ +++fff++f+ +++++++", "++++ +++fff++f+ +++++++"},
		{"owner", person(owner), "++++ ++++++++++ fffffff", "0000 0000000000 fffffff"},
		{"manager", person(manager), "++++ ++++++++++ fffffff", "0000 0000000000 fffffff"},
		{"owner limited to another permission", person(owner.Granting(perms("project.save"))), "++++ +++fff++f+ fffffff", "0000 0000000000 fffffff"},
		{"owner of nothing", person(apikey.Owner("olga")), "0000 0000000000 fffffff", "0000 0000000000 fffffff"},
		{"key with all of its workspace", byKey(everything), "++++ ++++ff++f+ fffffff", "0000 0000000000 fffffff"},
		{"key that lists", byKey("keys.list project.list"), "++++ ffffffffff fffffff", "0000 0000000000 fffffff"},
		{"key that saves", byKey("keys.save project.list"), "ffff ++++ff++ff fffffff", "0000 0000000000 fffffff"},
		{"key that deletes", byKey("keys.delete project.list"), "ffff fffffffff+ fffffff", "0000 0000000000 fffffff"},
		{"key that rotates itself", byKey("keys.rotate project.list"), "0000 0000000000 fffffff", "0000 0000000000 fffffff"},
		{"key without permissions", byKey(""), "0000 0000000000 fffffff", "0000 0000000000 fffffff"},
		{"key of the admin level", byKey("admin.keys.list admin.keys.save admin.keys.delete project.list"), "++++ ++++ff++f+ fffffff", "++++ ++++ff++f+ fffffff"},
		{"key that reads settings", byKey("admin.settings.read project.list"), "000+ 0000000000 +ffffff", "000+ 0000000000 +ffffff"},
		{"key that saves settings", byKey("admin.settings.save project.list"), "000+ 0000000000 +++ffff", "000+ 0000000000 +++ffff"},
		{"key that suspends", byKey("admin.workspaces.suspend project.list"), "000+ 0000000000 +fff+ff", "000+ 0000000000 +ff++ff"},
		{"disabled key", byKey(everything, func(r *rig, k apikey.Key) {
			_, err := r.Disable(context.Background(), admin, k.ID, 0)
			require.NoError(r.t, err)
		}), "ffff ffffffffff fffffff", "ffff ffffffffff fffffff"},
		{"expired key", byKey(everything, func(r *rig, _ apikey.Key) { r.clock.Advance(time.Hour) }), "ffff ffffffffff fffffff", "ffff ffffffffff fffffff"},
		{"deleted key", byKey(everything, func(r *rig, k apikey.Key) {
			require.NoError(r.t, r.Delete(context.Background(), admin, k.ID, 0))
		}), "ffff ffffffffff fffffff", "ffff ffffffffff fffffff"},
		{"key that no rule lets live", byKey(everything, func(r *rig, _ apikey.Key) {
			_, err := r.SaveSettings(context.Background(), admin, store.InstanceSettings{Instance: store.Instance{Rules: store.Rules{MaxLifetime: time.Minute, EnforcedFrom: noon}}})
			require.NoError(r.t, err)
			r.clock.Advance(time.Minute)
		}), "ffff ffffffffff fffffff", "ffff ffffffffff fffffff"},
		{"key whose token has no scope", func(r *rig) apikey.Actor {
			key, _ := r.create(admin, "team-a", everything)
			return apikey.ByKey(key.ID, scope.Set{}, "")
		}, "0000 0000000000 fffffff", "0000 0000000000 fffffff"},
		{"key whose token lists only", func(r *rig) apikey.Actor {
			key, _ := r.create(admin, "team-a", everything)
			return apikey.ByKey(key.ID, perms("keys.list"), "")
		}, "++++ ffffffffff fffffff", "0000 0000000000 fffffff"},
	} {
		for _, where := range []struct{ workspace, want string }{{"team-a", row.own}, {"team-b", row.foreign}} {
			t.Run("B21 B03 "+row.name+" in "+where.workspace, func(t *testing.T) {
				t.Parallel()
				var got strings.Builder
				for i, act := range acts {
					if i == 4 || i == 14 {
						got.WriteByte(' ')
					}
					r := newRig(t, func(c *apikey.Config) { c.Imported = true })
					target, _ := r.create(admin, where.workspace, "project.list")
					actor := row.actor(r)
					before := r.events(store.EventQuery{})
					err := r.note(act.do(r, actor, target))
					switch {
					case err == nil:
						got.WriteByte('+')
					case isForbidden(err):
						got.WriteByte('f')
					case errors.Is(err, store.ErrNotFound):
						got.WriteByte('0')
					case act.name == "SaveSettings" && errors.Is(err, store.ErrConflict):
						got.WriteByte('+') // it came past the check
					default:
						t.Errorf("%s: %v", act.name, err)
					}
					if err != nil && act.name != "Enable" {
						require.Equal(t, before, r.events(store.EventQuery{}), "a refused call changes nothing")
					}
				}
				require.Equal(t, where.want, got.String())
			})
		}
	}
}

func TestAllWorkspacesAtOnce(t *testing.T) {
	r := newRig(t)
	r.create(admin, "team-a", "")
	r.create(admin, "team-b", "")
	everywhere := byKey("admin.keys.list")(r)
	for _, tc := range []struct {
		name  string
		actor apikey.Actor
		sees  int
	}{
		{"admin", admin, 3},
		{"key of the admin level", everywhere, 3},
		{"B03 owner", owner, 0},
		{"B03 owner of the workspace without a name", apikey.Owner("x", ""), 0},
		{"B03 nobody", apikey.Actor{}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			page, err := r.List(t.Context(), tc.actor, store.KeyQuery{})
			require.Len(t, page.Keys, tc.sees)
			require.Equal(t, tc.sees == 0, isForbidden(err))
			events, err := r.Events(t.Context(), tc.actor, store.EventQuery{})
			require.Len(t, events.Events, tc.sees)
			require.Equal(t, tc.sees == 0, isForbidden(err))
		})
	}
}

func TestForeignLooksLikeMissing(t *testing.T) {
	r := newRig(t)
	foreign, _ := r.create(admin, "team-b", "project.list")
	for _, act := range acts {
		if act.name == "Enable" {
			continue // its preparation already tells
		}
		missing := foreign
		missing.ID, missing.Workspace = "no-such-key", "no-such-workspace"
		t.Run("B03 "+act.name, func(t *testing.T) {
			one, other := act.do(r, owner, foreign), act.do(r, owner, missing)
			require.Error(t, one)
			require.Equal(t, fmt.Sprint(other), fmt.Sprint(one))
		})
	}
	for _, id := range []string{"", "\x00", "a b", "ä", strings.Repeat("x", 256), strings.ToUpper(foreign.ID)} {
		_, err := r.Get(t.Context(), admin, id)
		require.ErrorIs(t, err, store.ErrNotFound, "%q", id)
	}
}

func TestGrantable(t *testing.T) {
	r := newRig(t)
	saving := byKey("keys.save project.list admin.project.list")(r)
	for _, tc := range []struct {
		name      string
		actor     apikey.Actor
		workspace string
		want      string
	}{
		{"admin", admin, "team-a", catalog.All().String()},
		{"owner", owner, "team-a", catalog.All().Minus(catalog.Admin()).String()},
		{"owner elsewhere", owner, "team-b", ""},
		{"limited owner", owner.Granting(perms("project.list admin.project.list")), "team-a", "project.list"},
		{"limited twice", owner.Granting(perms("project.list project.save")).Granting(perms("project.save keys.save")), "team-a", "project.save"},
		{"B21 key", saving, "team-a", "keys.save project.list"},
		{"key elsewhere", saving, "team-b", ""},
		{"nobody", apikey.Actor{}, "team-a", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := r.Grantable(t.Context(), tc.actor, tc.workspace)
			require.NoError(t, err)
			require.Equal(t, tc.want, got.String())
		})
	}
}

// TestExists tests whether an id is a key's, for a server with its own clients.
func TestExists(t *testing.T) {
	r := newRig(t)
	key, _ := r.create(admin, "team-a", "")
	ended, _ := r.create(admin, "team-a", "")
	require.NoError(t, r.Delete(t.Context(), admin, ended.ID, 0))
	folding := r.store
	folding.Keys = careless{r.store.Keys}
	st, tapped := harness.NewTap()
	for _, tc := range []struct {
		name, id string
		service  *apikey.Service
		want     bool
	}{
		{"a key", key.ID, r.Service, true},
		{"nobody", "nobody", r.Service, false},
		{"a deleted one", ended.ID, r.Service, false},
		{"a key in capitals, of a database that takes them for the same", strings.ToUpper(key.ID), rigOn(t, folding).Service, false},
		{"empty, which nothing reads", "", rigOn(t, st).Service, false},
		{"a line break, which nothing reads", "a\nb", rigOn(t, st).Service, false},
		{"too long, which nothing reads", strings.Repeat("x", 256), rigOn(t, st).Service, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.service.Exists(t.Context(), tc.id)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
	require.Zero(t, tapped.Take()["Keys.Lookup"])
	t.Run("B19 an outage", func(t *testing.T) {
		down := rigOn(t, harness.Tapped(r.store, func(context.Context, string) error { return errors.New("canary: down") }, "Keys.Lookup"))
		_, err := down.Exists(t.Context(), key.ID)
		require.ErrorIs(t, err, store.ErrUnavailable)
	})
}
