package apikey_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// fieldsOf returns the names of the fields that an event changed.
func fieldsOf(e store.Event) (names []string) {
	for _, c := range e.Changes {
		names = append(names, c.Field)
	}
	return names
}

// TestEventsTellNamesAndValues tests that the audit log can be read without the
// records that it tells of: they may have changed or be deleted.
func TestEventsTellNamesAndValues(t *testing.T) {
	r := newRig(t, withResources)
	ctx := t.Context()
	olga := named(owner, "Olga O'Neil", netip.MustParseAddr("::ffff:192.0.2.7"))
	ada := named(admin, "Ada", netip.MustParseAddr("fe80::1%<b>"))
	key, secret := r.create(olga, "team-a", "project.list", func(s *apikey.Spec) { s.Name = "nightly build" })
	one := key.Credentials[0].ID + " …" + secret.Hint()
	ends := noon.Add(30 * 24 * time.Hour)
	var two string
	for _, tc := range []struct {
		action, actor, address, key string
		changes                     []store.FieldChange
		do                          func() error
	}{
		{audit.Update, "Olga O'Neil", "192.0.2.7", "weekly build", []store.FieldChange{
			{Field: "name", Old: "nightly build", New: "weekly build"}, {Field: "permissions", Old: "project.list", New: "project.save"},
			{Field: "expires_at", New: "2026-07-31T12:00:00Z"}, {Field: "resources", New: first + " " + second},
		}, func() error {
			_, err := r.Update(ctx, olga, key.ID, apikey.Changes{
				Name: new("weekly build"), Permissions: ptr(perms("project.save")), Expiry: &apikey.Expiry{At: ends}, Resources: &[]string{first, second},
			})
			return err
		}},
		{audit.Rotate, "Olga O'Neil", "192.0.2.7", "weekly build", nil, func() error {
			rotated, s, err := r.Rotate(ctx, olga, key.ID, apikey.Rotation{Grace: time.Hour})
			r.keep(s.Reveal())
			two = rotated.Credentials[1].ID + " …" + s.Hint()
			return err
		}},
		{audit.Disable, "Ada", "fe80::1", "weekly build", []store.FieldChange{{Field: "disabled", Old: "false", New: "true"}}, func() error {
			_, err := r.Disable(ctx, ada, key.ID, 0)
			return err
		}},
		{audit.Settings, "Ada", "fe80::1", "", []store.FieldChange{
			{Field: "max_keys", New: "5"}, {Field: "require_expiry", Old: "false", New: "true"}, {Field: "max_lifetime", New: "60d"},
			{Field: "enforced_at", New: "2026-07-01T12:00:00Z"}, {Field: "remind_before", New: "2d 1h0m0s"},
		}, func() error {
			_, err := r.SaveSettings(ctx, ada, store.InstanceSettings{
				Instance:  store.Instance{Rules: store.Rules{MaxKeys: 5, RequireExpiry: true, MaxLifetime: 60 * 24 * time.Hour, EnforcedFrom: noon}},
				Reminders: store.Reminders{Before: []time.Duration{time.Hour, 48 * time.Hour}},
			})
			return err
		}},
		{audit.Workspace, "Ada", "fe80::1", "", []store.FieldChange{{Field: "max_keys", New: "unlimited"}}, func() error {
			_, err := r.SaveWorkspace(ctx, ada, store.Workspace{ID: "team-a", Rules: store.Rules{MaxKeys: store.Unlimited}})
			return err
		}},
		{audit.Suspend, "Ada", "fe80::1", "", []store.FieldChange{{Field: "suspended", Old: "false", New: "true"}}, func() error {
			return r.SetSuspended(ctx, ada, "team-a", true)
		}},
		{audit.Revoke, "", "198.51.100.1", "weekly build", nil, func() error {
			return r.RevokeSecret(ctx, apikey.Credentials{ID: key.ID, Secret: secret.Reveal(), Address: netip.MustParseAddr("198.51.100.1")})
		}},
		{audit.Delete, "Olga O'Neil", "192.0.2.7", "weekly build", nil, func() error { return r.Delete(ctx, olga, key.ID, 0) }},
	} {
		t.Run(tc.action, func(t *testing.T) {
			r.clock.Advance(time.Minute)
			require.NoError(t, tc.do())
			events := r.events(store.EventQuery{})
			got := events[len(events)-1]
			until := " until 2026-07-01T13:02:00Z"
			switch tc.action {
			case audit.Rotate:
				tc.changes = []store.FieldChange{{Field: "secrets", Old: one, New: one + until}, {Field: "secrets", New: two}}
			case audit.Revoke:
				tc.changes = []store.FieldChange{{Field: "secrets", Old: one + until}}
			case audit.Delete:
				tc.changes = []store.FieldChange{
					{Field: "name", Old: "weekly build"}, {Field: "permissions", Old: "project.save"}, {Field: "expires_at", Old: "2026-07-31T12:00:00Z"},
					{Field: "resources", Old: first + " " + second}, {Field: "disabled", Old: "true", New: "false"}, {Field: "secrets", Old: two},
				}
			}
			require.Equal(t, tc.action, got.Action)
			require.Equal(t, []string{tc.actor, tc.address, tc.key}, []string{got.ActorName, got.Address, got.KeyName})
			require.Equal(t, tc.changes, got.Changes)
		})
	}
}

func named(a apikey.Actor, name string, address netip.Addr) apikey.Actor {
	a.Name, a.Address = name, address
	return a
}

// TestEventsOfActingKeys tests that a key that acts is named by its record, whatever
// the host says.
func TestEventsOfActingKeys(t *testing.T) {
	r := newRig(t)
	creator, secret := r.create(admin, "team-a", "keys.save project.list", func(s *apikey.Spec) { s.Name = "terraform" })
	grant := r.mustLogin(creator.ID, secret)
	acting := named(apikey.ByKey(creator.ID, grant.Permissions, grant.CredentialID), "somebody else", addrA)
	made, _ := r.create(acting, "team-a", "project.list")
	events := r.events(store.EventQuery{Key: made.ID})
	require.Equal(t, []string{"terraform", addrA.String()}, []string{events[0].ActorName, events[0].Address})
	for _, call := range settingsCalls {
		t.Run(call.name, func(t *testing.T) {
			if !call.write {
				return
			}
			r := newRig(t)
			key, _ := r.create(admin, "team-a", call.permission, func(s *apikey.Spec) { s.Name = "compliance" })
			require.NoError(t, call.do(r, named(asKey(key), "somebody else", addrA)))
			events := r.events(store.EventQuery{ActorID: key.ID})
			require.Equal(t, []string{"compliance", addrA.String()}, []string{events[0].ActorName, events[0].Address})
		})
	}
}

// TestRefusedLoginsHaveAnAddress tests the event of a refused login.
func TestRefusedLoginsHaveAnAddress(t *testing.T) {
	r := newRig(t)
	key, _ := r.create(owner, "team-a", "project.list", func(s *apikey.Spec) { s.Name = "nightly build" })
	_, err := r.login(key.ID, apikey.MustSecret(randomFrom("wrong"), "").Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
	require.NoError(t, r.Flush(t.Context()))
	events := r.events(store.EventQuery{Action: audit.Refuse})
	require.Equal(t, []string{"nightly build", addrA.String(), "unknown_or_wrong"}, []string{events[0].KeyName, events[0].Address, events[0].Note})
}

// TestEventsAreBounded tests the texts that a person can make long or unreadable.
func TestEventsAreBounded(t *testing.T) {
	var all []scope.Permission
	for i := range 100 {
		all = append(all, scope.Permission{Name: "project." + strings.Repeat("x", 20) + string(rune('a'+i/10)) + string(rune('a'+i%10))})
	}
	r := newRig(t, func(c *apikey.Config) {
		c.Permissions = scope.MustCatalog(scope.Group{Title: "Many", Permissions: all})
		c.Management = apikey.Management{}
	})
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
	}
	loud := named(owner, "a\x00b\r\nc\u202ed\xff"+strings.Repeat("ü", 2000), netip.Addr{})
	key, _ := r.create(loud, "team-a", strings.Join(names, " "))
	_, err := r.Update(t.Context(), loud, key.ID, apikey.Changes{Permissions: ptr(perms(strings.Join(names[:99], " ")))})
	require.NoError(t, err)
	for _, e := range r.events(store.EventQuery{Key: key.ID}) {
		require.True(t, utf8.ValidString(e.ActorName))
		require.True(t, strings.HasPrefix(e.ActorName, "a\ufffdb\ufffd\ufffdc\ufffdd\ufffdü"), "%q", e.ActorName)
		require.True(t, strings.HasSuffix(e.ActorName, "ü…"))
		require.LessOrEqual(t, len(e.ActorName), 1024+len("…"))
		for _, c := range e.Changes {
			require.LessOrEqual(t, len(c.Old)+len(c.New), 2*(1024+len("…")))
		}
		if e.Action == audit.Update {
			require.Equal(t, []store.FieldChange{{Field: "permissions", Old: names[99]}}, e.Changes, "what changed is not cut off")
		} else {
			require.True(t, strings.HasSuffix(e.Changes[1].New, "…"), "the cut shows")
		}
	}
	small, _ := r.create(owner, "team-a", strings.Join(names[:30], " "))
	_, err = r.Update(t.Context(), owner, small.ID, apikey.Changes{Permissions: ptr(perms(strings.Join(names[:40], " ")))})
	require.NoError(t, err)
	grown := r.events(store.EventQuery{Key: small.ID, Action: audit.Update})
	require.Len(t, grown, 1)
	require.Equal(t, []store.FieldChange{{Field: "permissions", New: strings.Join(names[30:40], " ")}}, grown[0].Changes, "none that stays seems to be taken away")
}
