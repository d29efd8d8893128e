package apikey_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

const (
	first  = "https://first.example"
	second = "https://second.example"
)

func withResources(c *apikey.Config) {
	c.Resources = []apikey.Resource{{URI: first, Permissions: perms("project.list")}, {URI: second}}
}

func allowed(uris ...string) func(*apikey.Spec) {
	return func(s *apikey.Spec) { s.Resources = uris }
}

func TestResources(t *testing.T) {
	t.Run("a key has those it was given, in order and once", func(t *testing.T) {
		r := newRig(t, withResources)
		key, _ := r.create(owner, "team-a", "project.list", allowed(second, first, second))
		require.Equal(t, []string{first, second}, key.Resources)
		got, err := r.Get(t.Context(), owner, key.ID)
		require.NoError(t, err)
		require.Equal(t, []string{first, second}, got.Resources)
	})
	t.Run("8707-01 a resource that the key is not allowed, or that is unknown", func(t *testing.T) {
		r := newRig(t, withResources)
		key, secret := r.create(owner, "team-a", "project.list", allowed(first))
		login, err := r.Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
		require.NoError(t, err)
		for _, uri := range []string{second, "https://third.example", first + "/"} {
			_, err = r.Issue(t.Context(), login, apikey.Request{Resource: uri})
			require.ErrorContains(t, err, "login refused: resource", uri)
		}
		grant, err := r.Issue(t.Context(), login, apikey.Request{Resource: first})
		require.NoError(t, err)
		require.Equal(t, first, grant.Resource)
	})
	t.Run("8707-03 only permissions that apply to the resource", func(t *testing.T) {
		r := newRig(t, withResources)
		key, secret := r.create(owner, "team-a", "project.list project.save", allowed(first, second))
		login, err := r.Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
		require.NoError(t, err)
		grant, err := r.Issue(t.Context(), login, apikey.Request{Resource: first})
		require.NoError(t, err)
		require.Equal(t, "project.list", grant.Permissions.String())
		_, err = r.Issue(t.Context(), login, apikey.Request{Scope: "project.save", Resource: first})
		var missing *apikey.RefusedError
		require.ErrorAs(t, err, &missing)
		grant, err = r.Issue(t.Context(), login, apikey.Request{Resource: second})
		require.NoError(t, err)
		require.Equal(t, "project.list project.save", grant.Permissions.String())
	})
	t.Run("one resource fewer revokes the key's tokens, one more does not", func(t *testing.T) {
		r := newRig(t, withResources)
		key, secret := r.create(owner, "team-a", "project.list", allowed(first))
		grant := r.mustLogin(key.ID, secret)
		_, err := r.Update(t.Context(), owner, key.ID, apikey.Changes{Resources: &[]string{first, second}})
		require.NoError(t, err)
		require.False(t, r.revoked(grant))
		_, err = r.Update(t.Context(), owner, key.ID, apikey.Changes{Resources: &[]string{second}})
		require.NoError(t, err)
		require.True(t, r.revoked(grant))
		events := r.events(store.EventQuery{Key: key.ID, Action: audit.Update})
		require.Equal(t, []string{"resources"}, fieldsOf(events[0]))
	})
	t.Run("a change names known ones only", func(t *testing.T) {
		r := newRig(t, withResources)
		key, _ := r.create(owner, "team-a", "project.list")
		_, err := r.Update(t.Context(), owner, key.ID, apikey.Changes{Resources: &[]string{"https://third.example"}})
		require.ErrorAs(t, err, new(*apikey.InvalidError))
	})
	t.Run("the resources a catalog of the host no longer has are refused", func(t *testing.T) {
		r := newRig(t, withResources)
		key, secret := r.create(owner, "team-a", "project.list", allowed(first))
		later := rigOn(t, r.store)
		login, err := later.Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
		require.NoError(t, err)
		_, err = later.Issue(t.Context(), login, apikey.Request{Resource: first})
		require.ErrorContains(t, err, "login refused: resource")
	})
}

func TestResourceEscalation(t *testing.T) {
	r := newRig(t, withResources)
	ctx := t.Context()
	inOneHour := func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: noon.Add(time.Hour)} }
	creator, _ := r.create(admin, "team-a", "keys.save project.list", allowed(first))
	acting := apikey.ByKey(creator.ID, catalog.All(), "")
	sibling, _ := r.create(admin, "team-a", "project.list", inOneHour)
	rich, _ := r.create(admin, "team-a", "project.list", inOneHour, allowed(second))
	powerful, _ := r.create(admin, "team-a", "project.delete admin.project.list")

	t.Run("B21 a key allows a key that it makes only its own resources", func(t *testing.T) {
		_, _, err := r.tryCreate(acting, "team-a", "project.list", inOneHour, allowed(second))
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
		_, _, err = r.tryCreate(acting, "team-a", "project.list", inOneHour, allowed(first))
		require.NoError(t, err)
	})
	t.Run("B21 nor another key", func(t *testing.T) {
		_, err := r.Update(ctx, acting, sibling.ID, apikey.Changes{Resources: &[]string{second}})
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
		_, err = r.Update(ctx, acting, sibling.ID, apikey.Changes{Resources: &[]string{first}})
		require.NoError(t, err)
	})
	t.Run("B21 nor rotates a key with more resources", func(t *testing.T) {
		_, _, err := r.Rotate(ctx, acting, rich.ID, apikey.Rotation{})
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
		_, err = r.AddCredential(ctx, acting, rich.ID, aPublicKey("laptop"))
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
	})
	t.Run("B21 nor does a key change its own", func(t *testing.T) {
		_, _, err := r.Rotate(ctx, acting, creator.ID, apikey.Rotation{Changes: apikey.Changes{Resources: &[]string{second}}})
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
	})
	t.Run("B21 a further resource for a key that holds more than the owner may grant", func(t *testing.T) {
		_, err := r.Update(ctx, owner, powerful.ID, apikey.Changes{Resources: &[]string{first}})
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
	})
}

func TestResourceForms(t *testing.T) {
	for name, uri := range map[string]string{
		"8707-01 relative": "/api", "8707-01 no host": "https:", "8707-01 a fragment": "https://api.example/#x", "8707-01 an empty fragment": "https://api.example/#",
		"no URI": "https://[", "user information": "https://user:word@api.example", "a space": "https://api.example/a b", "beyond ASCII": "https://\u00e4pi.example",
		"a quote": "https://api.example/\"", "a backslash": "https://api.example/\\",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := apikey.New(memstore.New(), apikey.Config{Permissions: catalog, Resources: []apikey.Resource{{URI: uri}}})
			require.ErrorContains(t, err, "Config.Resources[0].URI")
		})
	}
}
