package apikey_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// raising is the tests' catalog with one permission raised to the admin level.
func raising(name string) func(*apikey.Config) {
	return func(c *apikey.Config) {
		groups := c.Permissions.Groups()
		for _, group := range groups {
			for i := range group.Permissions {
				if group.Permissions[i].Name == name {
					group.Permissions[i].Level = scope.Admin
				}
			}
		}
		c.Permissions = scope.MustCatalog(groups...)
	}
}

// TestRaisedPermission tests that the level at the time of the grant counts. A
// permission that became an admin permission later gives access to no workspace
// until an organization admin grants it again.
func TestRaisedPermission(t *testing.T) {
	const raised = "project.delete"
	ctx := t.Context()
	start := func(t *testing.T, as apikey.Actor, permissions string) (r *rig, key apikey.Key, secret apikey.Secret) {
		t.Helper()
		before := newRig(t)
		key, secret = before.create(as, "team-a", permissions)
		return rigOn(t, before.store, raising(raised)), key, secret
	}

	t.Run("B21 it is left out of tokens and reported once an hour", func(t *testing.T) {
		r, key, secret := start(t, owner, "project.list project.delete")
		for range 3 {
			require.Equal(t, "project.list", r.mustLogin(key.ID, secret).Permissions.String())
		}
		reports := func() int { return strings.Count(r.logs.String(), "raised="+raised) }
		require.Equal(t, 1, reports(), r.logs.String())
		r.clock.Advance(time.Hour)
		require.Equal(t, "project.list", r.mustLogin(key.ID, secret).Permissions.String())
		require.Equal(t, 2, reports())
		_, err := r.loginFor(key.ID, secret.Reveal(), perms(raised))
		var missing *apikey.RefusedError
		require.ErrorAs(t, err, &missing)
	})
	t.Run("what was granted as an admin permission stays", func(t *testing.T) {
		r, key, secret := start(t, admin, "project.list admin.project.list")
		require.Empty(t, key.Withheld.Names())
		require.Equal(t, "admin.project.list project.list", r.mustLogin(key.ID, secret).Permissions.String())
	})
	t.Run("a member goes on with the key, and grants it to no key", func(t *testing.T) {
		r, key, _ := start(t, owner, "project.list project.delete")
		_, err := r.Update(ctx, owner, key.ID, apikey.Changes{Name: ptr("renamed")})
		require.NoError(t, err)
		changed, fresh := r.rotate(owner, key.ID, apikey.Rotation{})
		require.True(t, changed.Permissions.Has(raised), "the record keeps it")
		require.Equal(t, "project.list", r.mustLogin(key.ID, fresh).Permissions.String())
		for _, asked := range []string{"project.list project.delete", "project.list project.delete project.save"} {
			changed, err = r.Update(ctx, owner, key.ID, apikey.Changes{Permissions: ptr(perms(asked))})
			require.NoError(t, err)
			require.Equal(t, raised, changed.Withheld.String())
		}
		_, _, err = r.tryCreate(owner, "team-a", raised)
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
		other, _ := r.create(owner, "team-a", "project.list")
		_, err = r.Update(ctx, owner, other.ID, apikey.Changes{Permissions: ptr(perms(raised))})
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
	})
	t.Run("an organization admin grants it again by naming it", func(t *testing.T) {
		r, key, secret := start(t, owner, "project.list project.delete")
		scopeOf := func() string {
			t.Helper()
			return r.mustLogin(key.ID, secret).Permissions.String()
		}
		_, err := r.Update(ctx, admin, key.ID, apikey.Changes{Name: ptr("renamed")})
		require.NoError(t, err)
		require.Equal(t, "project.list", scopeOf(), "a new name grants nothing")
		_, err = r.Update(ctx, admin.Granting(perms("project.list")), key.ID, apikey.Changes{Permissions: &key.RequestedPermissions})
		require.ErrorAs(t, err, new(*apikey.ForbiddenError), "this actor may not grant it")
		r.clock.Advance(time.Second) // events of one moment have no order
		changed, err := r.Update(ctx, admin, key.ID, apikey.Changes{Permissions: &key.RequestedPermissions})
		require.NoError(t, err)
		require.Equal(t, key.Version+2, changed.Version)
		require.Empty(t, changed.Withheld.Names())
		require.Equal(t, "project.delete project.list", scopeOf())
		var fields []string
		for _, event := range r.events(store.EventQuery{Key: key.ID, Action: audit.Update}) {
			fields = append(fields, fieldsOf(event)...)
		}
		require.ElementsMatch(t, []string{"name", "permissions"}, fields)

		changed, err = r.Update(ctx, owner, key.ID, apikey.Changes{Permissions: ptr(perms(raised))})
		require.NoError(t, err, "a member may still take others away")
		require.Empty(t, changed.Withheld.Names())
		changed, err = r.Update(ctx, owner, key.ID, apikey.Changes{Permissions: ptr(perms("project.list"))})
		require.NoError(t, err)
		require.Empty(t, changed.Withheld.Names())
	})
	t.Run("B21 a key that manages keys gives no secret of a key that holds it", func(t *testing.T) {
		r, key, _ := start(t, owner, "project.list project.delete")
		manages, _ := r.create(admin, "team-a", "keys.save project.list")
		actor := apikey.ByKey(manages.ID, catalog.All(), "")
		_, _, err := r.Rotate(ctx, actor, key.ID, apikey.Rotation{})
		var forbidden *apikey.ForbiddenError
		require.ErrorAs(t, err, &forbidden)
		_, err = r.AddCredential(ctx, actor, key.ID, aPublicKey("laptop"))
		require.ErrorAs(t, err, &forbidden)
		require.Equal(t, raised, forbidden.Missing.String(), "it would have a secret of the key once the permission is granted again")
		plain, _ := r.create(owner, "team-a", "project.list")
		_, fresh := r.rotate(actor, plain.ID, apikey.Rotation{})
		r.mustLogin(plain.ID, fresh)
	})
	t.Run("B21 a key that manages keys by this permission no longer can", func(t *testing.T) {
		before := newRig(t)
		manages, _ := before.create(owner, "team-a", "keys.list")
		actor := apikey.ByKey(manages.ID, perms("keys.list"), "")
		_, err := before.List(ctx, actor, store.KeyQuery{Workspace: "team-a"})
		require.NoError(t, err)
		after := rigOn(t, before.store, raising("keys.list"), func(c *apikey.Config) {
			c.Management = apikey.Management{AdminList: "keys.list"}
		})
		_, err = after.List(ctx, actor, store.KeyQuery{})
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
	})
}
