package apikey_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestEveryChangeYieldsItsEvent tests the actor, action, key and fields of the
// event of every change.
func TestEveryChangeYieldsItsEvent(t *testing.T) {
	ctx := context.Background()
	r := newRig(t, func(c *apikey.Config) { c.Imported = true })
	key, secret := r.create(owner, "team-a", "project.list project.save")
	other, _ := r.create(owner, "team-a", "")
	byOwner := store.ActorRef{Kind: "owner", ID: "olga"}
	byManager := store.ActorRef{Kind: "owner", ID: "max"}
	byAdmin := store.ActorRef{Kind: "admin", ID: "ada"}
	date, err := apikey.ParseExpiry("2027-01-31")
	require.NoError(t, err)
	laptop := aPublicKey("laptop")
	_, second := r.rotate(owner, key.ID, apikey.Rotation{Grace: time.Hour})
	for i, tc := range []struct {
		action string
		actor  store.ActorRef
		key    string
		fields []string
		do     func() error
	}{
		{audit.Update, byManager, key.ID, []string{"name"}, func() error {
			_, err := r.Update(ctx, manager, key.ID, apikey.Changes{Name: ptr("new")})
			return err
		}},
		{audit.Update, byOwner, key.ID, []string{"name", "permissions", "expires_at"}, func() error {
			_, err := r.Update(ctx, owner, key.ID, apikey.Changes{Name: ptr("newer"), Permissions: ptr(perms("project.list")), Expiry: &date})
			return err
		}},
		{audit.Rotate, byOwner, key.ID, []string{"expires_at", "secrets", "secrets"}, func() error {
			_, s, err := r.Rotate(ctx, owner, key.ID, apikey.Rotation{Grace: time.Hour, Changes: apikey.Changes{Expiry: &apikey.Expiry{}}})
			r.keep(s.Reveal())
			return err
		}},
		{audit.AddCredential, byManager, key.ID, []string{"public_keys"}, func() error {
			return errOf(r.AddCredential(ctx, manager, key.ID, laptop))
		}},
		{audit.Retire, byOwner, key.ID, []string{"secrets"}, func() error {
			_, err := r.Retire(ctx, owner, key.ID, key.Credentials[0].ID, 0)
			return err
		}},
		{audit.Revoke, store.ActorRef{Kind: "holder", ID: key.ID}, key.ID, []string{"secrets"}, func() error {
			return r.RevokeSecret(ctx, apikey.Credentials{ID: key.ID, Secret: second.Reveal()})
		}},
		{audit.Disable, byOwner, key.ID, []string{"disabled"}, func() error {
			_, err := r.Disable(ctx, owner, key.ID, 0)
			return err
		}},
		{audit.Enable, byOwner, key.ID, []string{"disabled"}, func() error {
			_, err := r.Enable(ctx, owner, key.ID, 0)
			return err
		}},
		{audit.Delete, byOwner, key.ID, []string{"name", "permissions", "secrets", "public_keys"}, func() error { return r.Delete(ctx, owner, key.ID, 0) }},
		{audit.Disable, byAdmin, other.ID, []string{"disabled"}, func() error {
			_, err := r.DisableAllBy(ctx, admin, byOwner)
			return err
		}},
		{audit.Import, byOwner, "imported", []string{"name", "secrets"}, func() error {
			_, err := r.Import(ctx, owner, apikey.ImportSpec{Spec: apikey.Spec{Workspace: "team-a", Name: "old"}, ID: "imported", Digest: bcryptOf(t, "x")})
			return err
		}},
		{audit.Settings, byAdmin, "", []string{"max_keys", "require_expiry", "keys_enabled", "reminders_enabled", "remind_before"}, func() error {
			_, err := r.SaveSettings(ctx, admin, store.InstanceSettings{
				Instance:  store.Instance{KeysOff: true, Rules: store.Rules{MaxKeys: 5, RequireExpiry: true}},
				Reminders: store.Reminders{Off: true, Before: []time.Duration{day}},
			})
			return err
		}},
		{audit.Workspace, byAdmin, "", []string{"max_lifetime", "enforced_at"}, func() error {
			_, err := r.SaveWorkspace(ctx, admin, store.Workspace{ID: "team-a", Rules: store.Rules{MaxLifetime: time.Hour, EnforcedFrom: noon}})
			return err
		}},
		{audit.Suspend, byAdmin, "", []string{"suspended"}, func() error { return r.SetSuspended(ctx, admin, "team-a", true) }},
		{audit.Resume, byAdmin, "", []string{"suspended"}, func() error { return r.SetSuspended(ctx, admin, "team-a", false) }},
		{audit.DeleteWorkspace, byAdmin, "", nil, func() error { return r.DeleteWorkspace(ctx, admin, "team-a") }},
	} {
		t.Run(fmt.Sprint(i, " ", tc.action), func(t *testing.T) {
			r.clock.Advance(time.Minute)
			had := len(r.events(store.EventQuery{}))
			require.NoError(t, tc.do())
			events := r.events(store.EventQuery{})
			require.Len(t, events, had+1, "exactly one")
			got := events[had]
			require.NotEmpty(t, got.ID)
			workspace := "team-a"
			if tc.action == audit.Settings {
				workspace = ""
			}
			require.Equal(t, tc.fields, fieldsOf(got))
			got.Changes, got.KeyName = nil, "" // see TestEventsTellNamesAndValues
			require.Equal(t, store.Event{
				ID: got.ID, Time: r.clock.Now(), Actor: tc.actor, Action: tc.action, Workspace: workspace, Key: tc.key,
			}, got)
			if tc.action != audit.Import && tc.action != audit.Rotate {
				_ = r.note(tc.do()) // again: nothing left to do, or an error
				require.Len(t, r.events(store.EventQuery{}), had+1, "a call that changes nothing has no event")
			}
		})
	}
	require.Error(t, r.RevokeSecret(ctx, apikey.Credentials{ID: key.ID, Secret: secret.Reveal()}))
	require.Len(t, r.events(store.EventQuery{Key: key.ID}), 11, "the events of a deleted key stay")
}

func TestUpdateRevokesTokensThatAllowTooMuch(t *testing.T) {
	hour := func(n int) *apikey.Expiry { return ptr(apikey.Expiry{At: noon.Add(time.Duration(n) * time.Hour)}) }
	for _, tc := range []struct {
		name    string
		changes apikey.Changes
		ends    bool
	}{
		{"another name", apikey.Changes{Name: ptr("new")}, false},
		{"fewer permissions", apikey.Changes{Permissions: ptr(perms("project.list"))}, true},
		{"others", apikey.Changes{Permissions: ptr(perms("project.list project.delete"))}, true},
		{"more", apikey.Changes{Permissions: ptr(perms("project.list project.save project.delete"))}, false},
		{"the same by a wildcard and one more", apikey.Changes{Permissions: ptr(perms("project.*"))}, false},
		{"an earlier end", apikey.Changes{Expiry: hour(1)}, true},
		{"a later end", apikey.Changes{Expiry: hour(3)}, false},
		{"no end", apikey.Changes{Expiry: &apikey.Expiry{}}, false},
		{"nothing", apikey.Changes{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			key, secret := r.create(owner, "team-a", "project.list project.save", func(s *apikey.Spec) { s.Expiry = *hour(2) })
			token := r.mustLogin(key.ID, secret)
			updated, err := r.Update(t.Context(), owner, key.ID, tc.changes)
			require.NoError(t, err)
			require.Equal(t, tc.ends, r.revoked(token))
			require.False(t, r.revoked(r.mustLogin(key.ID, secret)), "the token of a login in the same second is valid")
			stored, err := r.Get(t.Context(), owner, key.ID)
			require.NoError(t, err)
			require.Equal(t, updated.Version, stored.Version)
			require.Equal(t, updated, stored)
			require.Equal(t, tc.name == "nothing", stored.Version == 1)
		})
	}
}

func TestVersions(t *testing.T) {
	r := newRig(t)
	key, _ := r.create(owner, "team-a", "")
	updated, err := r.Update(t.Context(), owner, key.ID, apikey.Changes{Name: ptr("one"), Version: key.Version})
	require.NoError(t, err)
	require.Equal(t, key.Version+1, updated.Version)
	_, err = r.Update(t.Context(), owner, key.ID, apikey.Changes{Name: ptr("two"), Version: key.Version})
	require.ErrorIs(t, r.note(err), store.ErrConflict)
	_, _, err = r.Rotate(t.Context(), owner, key.ID, apikey.Rotation{Changes: apikey.Changes{Version: key.Version}})
	require.ErrorIs(t, err, store.ErrConflict)
	_, err = r.Update(t.Context(), owner, key.ID, apikey.Changes{Name: ptr("three")})
	require.NoError(t, err, "version 0 takes any")
	shown, err := r.Get(t.Context(), owner, key.ID)
	require.NoError(t, err)
	require.Equal(t, "three", shown.Name)
	require.Equal(t, noon, shown.Created)
}

func TestRotate(t *testing.T) {
	r := newRig(t)
	key, first := r.create(owner, "team-a", "project.list")
	token := r.mustLogin(key.ID, first)

	rotated, second := r.rotate(owner, key.ID, apikey.Rotation{Grace: time.Hour})
	require.Len(t, rotated.Credentials, 2)
	require.Equal(t, noon.Add(time.Hour), rotated.Credentials[0].NotAfter)
	require.Zero(t, rotated.Credentials[1].NotAfter)
	require.False(t, r.revoked(token), "its tokens are valid during the grace")
	require.Equal(t, rotated.Credentials[1].ID, r.mustLogin(key.ID, second).CredentialID)

	r.clock.Advance(time.Hour)
	require.True(t, r.revoked(token), "they are revoked at the end of the grace")
	_, err := r.login(key.ID, first.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials)

	token = r.mustLogin(key.ID, second)
	rotated, third := r.rotate(owner, key.ID, apikey.Rotation{})
	require.Len(t, rotated.Credentials, 1)
	require.True(t, r.revoked(token), "without grace at once")
	before := token.Epochs[2]
	token = r.mustLogin(key.ID, third)
	require.False(t, r.revoked(token), "the token of a login in the same second is valid")
	require.Greater(t, token.Epochs[2], before, "for verifiers that check only epochs")

	_, fourth := r.rotate(owner, key.ID, apikey.Rotation{Grace: time.Hour})
	fresh := r.mustLogin(key.ID, fourth)
	_, err = r.Retire(t.Context(), owner, key.ID, token.CredentialID, 0)
	require.NoError(t, err)
	require.True(t, r.revoked(token), "retiring a secret revokes its tokens")
	require.False(t, r.revoked(fresh), "and no other's")
	_, err = r.Retire(t.Context(), owner, key.ID, token.CredentialID, 0)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = r.Retire(t.Context(), owner, key.ID, fresh.CredentialID, 0)
	require.NoError(t, err)
	_, err = r.login(key.ID, fourth.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials, "a key without secrets")
	_, fifth := r.rotate(owner, key.ID, apikey.Rotation{})
	r.mustLogin(key.ID, fifth)
	require.True(t, r.revoked(fresh))
}

func TestRotateBounds(t *testing.T) {
	r := newRig(t)
	key, _ := r.create(owner, "team-a", "")
	for _, grace := range []time.Duration{-1, 366*24*time.Hour + 1} {
		_, _, err := r.Rotate(t.Context(), owner, key.ID, apikey.Rotation{Grace: grace})
		require.ErrorAs(t, err, new(*apikey.InvalidError))
	}
	for range apikey.MaxSecrets - 1 {
		r.rotate(owner, key.ID, apikey.Rotation{Grace: time.Hour})
	}
	_, secret, err := r.Rotate(t.Context(), owner, key.ID, apikey.Rotation{Grace: time.Hour})
	require.ErrorAs(t, err, new(*apikey.InvalidError), "a key holds at most %d secrets", apikey.MaxSecrets)
	require.Empty(t, secret.Reveal())
	r.clock.Advance(time.Hour)
	rotated, _ := r.rotate(owner, key.ID, apikey.Rotation{Grace: 366 * 24 * time.Hour})
	require.Len(t, rotated.Credentials, 2, "expired secrets do not count")
}

// TestRevokeSecret tests that the holder of a leaked secret can revoke it, whatever
// the key's state, and nothing else.
func TestRevokeSecret(t *testing.T) {
	ctx := context.Background()
	for name, do := range map[string]func(*rig, apikey.Key){
		"live":     func(*rig, apikey.Key) {},
		"disabled": func(r *rig, k apikey.Key) { _, err := r.Disable(ctx, owner, k.ID, 0); require.NoError(r.t, err) },
		"expired":  func(r *rig, _ apikey.Key) { r.clock.Advance(3 * time.Hour) },
		"suspended": func(r *rig, _ apikey.Key) {
			require.NoError(r.t, r.SetSuspended(ctx, admin, "team-a", true))
		},
		"keys off": func(r *rig, _ apikey.Key) {
			_, err := r.SaveSettings(ctx, admin, store.InstanceSettings{Instance: store.Instance{KeysOff: true}})
			require.NoError(r.t, err)
		},
	} {
		t.Run("B24 "+name, func(t *testing.T) {
			r := newRig(t)
			key, leaked := r.create(owner, "team-a", "", func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: noon.Add(2 * time.Hour)} })
			token := r.mustLogin(key.ID, leaked)
			_, other := r.rotate(owner, key.ID, apikey.Rotation{Grace: 5 * time.Hour})
			do(r, key)
			if name == "expired" {
				// The old secret expired with the key; the new one is still there.
				leaked = other
			}
			require.NoError(t, r.RevokeSecret(ctx, apikey.Credentials{ID: key.ID, Secret: leaked.Reveal()}))
			require.True(t, r.revoked(token))
			err := r.RevokeSecret(ctx, apikey.Credentials{ID: key.ID, Secret: leaked.Reveal()})
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
			shown, err := r.Get(ctx, owner, key.ID)
			require.NoError(t, err)
			require.Len(t, shown.Credentials, 1)
			if name == "live" {
				r.mustLogin(key.ID, other)
			}
		})
	}
	for name, tc := range map[string]struct {
		meanwhile func(*rig, apikey.Key) error
		left      int // secrets
	}{
		"B22 while the key is renamed": {func(r *rig, k apikey.Key) error {
			_, err := r.Update(ctx, owner, k.ID, apikey.Changes{Name: ptr("new")})
			return err
		}, 0},
		"B22 while the secret is retired": {func(r *rig, k apikey.Key) error {
			_, err := r.Retire(ctx, owner, k.ID, k.Credentials[0].ID, 0)
			return err
		}, 0},
		"B22 while the key is deleted": {func(r *rig, k apikey.Key) error { return r.Delete(ctx, owner, k.ID, 0) }, -1},
	} {
		t.Run(name, func(t *testing.T) {
			st := memstore.New()
			r := rigOn(t, st)
			key, leaked := r.create(owner, "team-a", "")
			token, once := r.mustLogin(key.ID, leaked), true
			late := rigOn(t, harness.Tapped(st, func(context.Context, string) error {
				if once {
					once = false
					require.NoError(t, tc.meanwhile(r, key))
				}
				return nil
			}, "Keys.Update", "Keys.Delete"))
			require.NoError(t, late.RevokeSecret(ctx, apikey.Credentials{ID: key.ID, Secret: leaked.Reveal()}))
			require.False(t, once)
			require.True(t, r.revoked(token))
			shown, err := r.Get(ctx, owner, key.ID)
			if tc.left < 0 {
				require.ErrorIs(t, err, store.ErrNotFound)
				return
			}
			require.NoError(t, err)
			require.Len(t, shown.Credentials, tc.left)
		})
	}
	t.Run("B02 a wrong secret and an unknown id look alike", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.create(owner, "team-a", "")
		wrong := apikey.MustSecret(randomFrom("wrong"), "").Reveal()
		one := r.RevokeSecret(ctx, apikey.Credentials{ID: key.ID, Secret: wrong, Address: addrA})
		other := r.RevokeSecret(ctx, apikey.Credentials{ID: "no-such-key", Secret: wrong, Address: addrA})
		require.Equal(t, apikey.ErrInvalidCredentials, one)
		require.Equal(t, one, other)
		require.Equal(t, []string{"unknown_or_wrong", "unknown_or_wrong"}, r.reasons())
	})
}

func TestEnforcedSettingsExpireExactlyThoseKeys(t *testing.T) {
	r := newRig(t)
	day := 24 * time.Hour
	old, oldSecret := r.create(owner, "team-a", "")
	short, shortSecret := r.create(owner, "team-a", "", func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: noon.Add(20 * day)} })
	r.clock.Advance(5 * day)
	renewed, _ := r.create(owner, "team-a", "")
	renewedKey, renewedSecret2 := r.rotate(owner, renewed.ID, apikey.Rotation{})
	elsewhere, elsewhereSecret := r.create(admin, "team-b", "")

	saved, err := r.SaveSettings(t.Context(), admin, store.InstanceSettings{Instance: store.Instance{Rules: store.Rules{RequireExpiry: true, MaxLifetime: 10 * day}}})
	require.NoError(t, err)
	for _, k := range []struct {
		id     string
		secret apikey.Secret
	}{{old.ID, oldSecret}, {short.ID, shortSecret}, {renewedKey.ID, renewedSecret2}, {elsewhere.ID, elsewhereSecret}} {
		r.mustLogin(k.id, k.secret)
	}
	require.Zero(t, saved.Rules.EnforcedFrom, "new keys only")
	saved.Rules.EnforcedFrom = noon.Add(12 * day)
	token := r.mustLogin(old.ID, oldSecret)
	_, err = r.SaveSettings(t.Context(), admin, saved)
	require.NoError(t, err)
	require.True(t, r.revoked(token), "tokens issued under the old rules are revoked")
	for _, tc := range []struct {
		at                               time.Duration
		old, short, renewed, elsewhereOK bool
	}{
		{12*day - time.Second, true, true, true, true},
		{12 * day, false, false, true, true}, // made on day 0: 10 days are over
		{15*day - time.Second, false, false, true, true},
		{15 * day, false, false, false, false}, // made on day 5
	} {
		r.clock.Set(noon.Add(tc.at))
		for _, k := range []struct {
			name, id string
			secret   apikey.Secret
			works    bool
		}{
			{"old", old.ID, oldSecret, tc.old}, {"short", short.ID, shortSecret, tc.short},
			{"renewed", renewedKey.ID, renewedSecret2, tc.renewed}, {"elsewhere", elsewhere.ID, elsewhereSecret, tc.elsewhereOK},
		} {
			grant, err := r.login(k.id, k.secret.Reveal())
			require.Equal(t, k.works, err == nil, "B06 %s after %s: %v", k.name, tc.at, err)
			if grant != nil {
				require.False(t, grant.Expires.After(noon.Add(15*day)))
			}
		}
	}
	require.Contains(t, r.reasons(), "expired")
	require.NotContains(t, r.reasons(), "policy")
	_, fresh := r.rotate(owner, old.ID, apikey.Rotation{Changes: apikey.Changes{Expiry: ptr(apikey.Expiry{At: noon.Add(25 * day)})}})
	r.mustLogin(old.ID, fresh)
}
