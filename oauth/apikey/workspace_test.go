package apikey_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

func TestSuspendAndResume(t *testing.T) {
	ctx := t.Context()
	r := newRig(t)
	key, secret := r.create(owner, "team-a", "")
	elsewhere, elsewhereSecret := r.create(admin, "team-b", "")
	token, foreign := r.mustLogin(key.ID, secret), r.mustLogin(elsewhere.ID, elsewhereSecret)
	require.NoError(t, r.SetSuspended(ctx, admin, "team-a", true))
	require.NoError(t, r.SetSuspended(ctx, admin, "team-a", true), "twice is no error")
	require.True(t, r.revoked(token))
	require.False(t, r.revoked(foreign))

	var denied *policy.Denied
	_, _, err := r.tryCreate(owner, "team-a", "")
	require.ErrorAs(t, err, &denied)
	require.Equal(t, "settings.suspended", denied.Rule)
	_, _, err = r.Rotate(ctx, owner, key.ID, apikey.Rotation{})
	require.ErrorAs(t, err, &denied)
	_, err = r.AddCredential(ctx, owner, key.ID, aPublicKey("laptop"))
	require.ErrorAs(t, err, &denied)
	_, err = r.Update(ctx, owner, key.ID, apikey.Changes{Name: ptr("new")})
	require.NoError(t, err, "a change that gives nothing is still allowed")

	require.NoError(t, r.SetSuspended(ctx, admin, "team-a", false))
	require.NoError(t, r.SetSuspended(ctx, admin, "team-a", false))
	require.True(t, r.revoked(token), "old tokens stay revoked")
	require.False(t, r.revoked(r.mustLogin(key.ID, secret)))
	require.Len(t, r.events(store.EventQuery{Action: audit.Suspend}), 1)
	require.Len(t, r.events(store.EventQuery{Action: audit.Resume}), 1)
}

func TestDeleteWorkspace(t *testing.T) {
	ctx := t.Context()
	r := newRig(t)
	key, secret := r.create(owner, "team-a", "")
	r.create(owner, "team-a", "")
	elsewhere, elsewhereSecret := r.create(admin, "team-b", "")
	token := r.mustLogin(key.ID, secret)
	require.NoError(t, r.DeleteWorkspace(ctx, admin, "team-a"))
	require.True(t, r.revoked(token), "its tokens are revoked at once")
	require.False(t, r.revoked(r.mustLogin(elsewhere.ID, elsewhereSecret)))
	require.Len(t, r.events(store.EventQuery{Workspace: "team-a"}), 3, "its events are kept")
	require.ErrorIs(t, r.DeleteWorkspace(ctx, admin, "team-a"), store.ErrNotFound)
	_, _, err := r.tryCreate(admin, "team-a", "")
	require.ErrorIs(t, err, store.ErrNotFound, "its id is not used again")
	require.ErrorIs(t, r.SetSuspended(ctx, admin, "team-a", true), store.ErrNotFound)
	page, err := r.List(ctx, admin, store.KeyQuery{Workspace: "team-a"})
	require.NoError(t, err)
	require.Empty(t, page.Keys)
}

func TestSwitchingKeysOff(t *testing.T) {
	ctx := t.Context()
	r := newRig(t)
	key, secret := r.create(owner, "team-a", "")
	token := r.mustLogin(key.ID, secret)
	saved, err := r.SaveSettings(ctx, admin, store.InstanceSettings{Instance: store.Instance{KeysOff: true}})
	require.NoError(t, err)
	require.True(t, r.revoked(token))
	_, _, err = r.tryCreate(owner, "team-a", "")
	var denied *policy.Denied
	require.ErrorAs(t, err, &denied)
	require.Equal(t, "settings.keys_off", denied.Rule)
	_, err = r.SaveSettings(ctx, admin, store.InstanceSettings{})
	require.ErrorIs(t, err, store.ErrConflict, "another version")
	saved.KeysOff = false
	saved, err = r.SaveSettings(ctx, admin, saved)
	require.NoError(t, err)
	require.True(t, r.revoked(token))
	require.False(t, r.revoked(r.mustLogin(key.ID, secret)))
	shown, err := r.Settings(ctx, admin)
	require.NoError(t, err)
	require.Equal(t, saved, shown)
}

func TestSettingsFromDefaults(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, func(c *apikey.Config) {
		c.DefaultKeysOff, c.DefaultRules = true, store.Rules{MaxKeys: 3}
	})
	_, _, err := r.tryCreate(owner, "team-a", "")
	require.Error(t, err, "keys are off")
	shown, err := r.Settings(ctx, admin)
	require.NoError(t, err)
	require.Equal(t, store.InstanceSettings{Instance: store.Instance{KeysOff: true, Rules: store.Rules{MaxKeys: 3}}}, shown)
	saved, err := r.SaveSettings(ctx, admin, shown)
	require.NoError(t, err)
	require.EqualValues(t, 1, saved.Version, "they are saved now")
	require.Len(t, r.events(store.EventQuery{}), 1)
	again, err := r.SaveSettings(ctx, admin, saved)
	require.NoError(t, err)
	require.Equal(t, saved, again)
	r.clock.Advance(time.Second)
	saved.KeysOff = false
	_, err = r.SaveSettings(ctx, admin, saved)
	require.NoError(t, err)
	r.create(owner, "team-a", "")
	require.Equal(t, []string{"keys_enabled"}, fieldsOf(r.events(store.EventQuery{Action: audit.Settings})[1]))
}

func TestSettingsAreChecked(t *testing.T) {
	r := newRig(t)
	for name, rules := range map[string]store.Rules{
		"max_keys":     {MaxKeys: -2},
		"max_lifetime": {MaxLifetime: time.Minute - 1},
		"enforced_at":  {EnforcedFrom: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		_, err := r.SaveSettings(t.Context(), admin, store.InstanceSettings{Instance: store.Instance{Rules: rules}})
		require.ErrorAs(t, err, new(*apikey.InvalidError))
		require.ErrorContains(t, err, name)
		_, err = r.SaveWorkspace(t.Context(), admin, store.Workspace{ID: "team-a", Rules: rules})
		require.ErrorAs(t, err, new(*apikey.InvalidError))
	}
	_, err := r.SaveSettings(t.Context(), admin, store.InstanceSettings{Instance: store.Instance{Rules: store.Rules{MaxKeys: store.Unlimited}}})
	require.ErrorAs(t, err, new(*apikey.InvalidError), "for workspaces only")
	_, _, err = r.Workspace(t.Context(), admin, "")
	require.ErrorAs(t, err, new(*apikey.InvalidError))
}

// TestStricterRulesRevokeTokens tests that stricter rules revoke tokens, which could
// otherwise outlive their key.
func TestStricterRulesRevokeTokens(t *testing.T) {
	day := 24 * time.Hour
	for _, tc := range []struct {
		name          string
		before, after store.Rules
		ends          bool
	}{
		{"nothing", store.Rules{MaxKeys: 1}, store.Rules{MaxKeys: 1}, false},
		{"more keys", store.Rules{MaxKeys: 1, MaxLifetime: day, EnforcedFrom: noon}, store.Rules{MaxKeys: 5, MaxLifetime: day, EnforcedFrom: noon}, false},
		{"the same instant, written otherwise", store.Rules{MaxLifetime: day, EnforcedFrom: noon},
			store.Rules{MaxLifetime: day, EnforcedFrom: noon.In(time.FixedZone("", 3600)).Add(999)}, false},
		{"a bound", store.Rules{}, store.Rules{MaxLifetime: day}, true},
		{"a shorter bound", store.Rules{MaxLifetime: 2 * day, EnforcedFrom: noon}, store.Rules{MaxLifetime: day, EnforcedFrom: noon}, true},
		{"a longer bound", store.Rules{MaxLifetime: day, EnforcedFrom: noon}, store.Rules{MaxLifetime: 2 * day, EnforcedFrom: noon}, false},
		{"no bound", store.Rules{MaxLifetime: day, EnforcedFrom: noon}, store.Rules{EnforcedFrom: noon}, false},
		{"an expiry required", store.Rules{EnforcedFrom: noon}, store.Rules{RequireExpiry: true, EnforcedFrom: noon}, true},
		{"enforced from a date", store.Rules{RequireExpiry: true}, store.Rules{RequireExpiry: true, EnforcedFrom: noon.Add(day)}, true},
		{"enforced earlier", store.Rules{RequireExpiry: true, EnforcedFrom: noon.Add(2 * day)}, store.Rules{RequireExpiry: true, EnforcedFrom: noon.Add(day)}, true},
		{"enforced later", store.Rules{RequireExpiry: true, EnforcedFrom: noon.Add(day)}, store.Rules{RequireExpiry: true, EnforcedFrom: noon.Add(2 * day)}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			key, secret := r.create(owner, "team-a", "", func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: noon.Add(10 * day)} })
			instance, err := r.SaveSettings(t.Context(), admin, store.InstanceSettings{Instance: store.Instance{Rules: tc.before}})
			require.NoError(t, err)
			token := r.mustLogin(key.ID, secret)
			instance.Rules = tc.after
			instance, err = r.SaveSettings(t.Context(), admin, instance)
			require.NoError(t, err)
			require.Equal(t, tc.ends, r.revoked(token), "by the instance")

			workspace, err := r.SaveWorkspace(t.Context(), admin, store.Workspace{ID: "team-a", Rules: tc.before})
			require.NoError(t, err)
			instance.Rules = store.Rules{}
			_, err = r.SaveSettings(t.Context(), admin, instance)
			require.NoError(t, err)
			token = r.mustLogin(key.ID, secret)
			workspace.Rules = tc.after
			if workspace.Version == 0 { // nothing to save the first time
				return
			}
			workspace, err = r.SaveWorkspace(t.Context(), admin, workspace)
			require.NoError(t, err)
			require.Equal(t, tc.ends, r.revoked(token), "by the workspace")
			workspace.Version--
			workspace.Rules.MaxKeys = 77
			_, err = r.SaveWorkspace(t.Context(), admin, workspace)
			require.ErrorIs(t, err, store.ErrConflict)
		})
	}
}

func TestListByExpiry(t *testing.T) {
	ctx := t.Context()
	r := newRig(t)
	day := 24 * time.Hour
	at := func(d time.Duration) func(*apikey.Spec) {
		return func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: noon.Add(d)} }
	}
	soon, soonSecret := r.create(owner, "team-a", "", at(day))
	disabled, _ := r.create(owner, "team-a", "", at(2*day))
	_, err := r.Disable(ctx, owner, disabled.ID, 0)
	require.NoError(t, err)
	r.create(owner, "team-a", "", at(3*day))
	r.create(owner, "team-a", "")
	elsewhere, _ := r.create(admin, "team-b", "", at(day))
	ids := func(actor apikey.Actor, workspace string, within time.Duration) (ids []string) {
		now := r.clock.Now()
		page, err := r.List(ctx, actor, store.KeyQuery{Workspace: workspace, NotAfterFrom: now.Add(time.Microsecond), NotAfterTo: now.Add(within)})
		require.NoError(t, err)
		for _, key := range page.Keys {
			ids = append(ids, key.ID)
		}
		return ids
	}
	require.ElementsMatch(t, []string{soon.ID, disabled.ID}, ids(owner, "team-a", 3*day), "the end of the window is not in it")
	require.ElementsMatch(t, []string{soon.ID, disabled.ID, elsewhere.ID}, ids(admin, "", 3*day))
	require.Empty(t, ids(owner, "team-a", 0))
	require.Empty(t, ids(owner, "team-a", -day))
	r.clock.Advance(day)
	require.Equal(t, []string{disabled.ID}, ids(owner, "team-a", day+time.Microsecond), "expired keys are not about to expire")

	r.clock.Set(noon)
	r.mustLogin(soon.ID, soonSecret)
	require.NoError(t, r.Flush(ctx))
	page, err := r.List(ctx, owner, store.KeyQuery{Workspace: "team-a", Limit: 2})
	require.NoError(t, err)
	require.Len(t, page.Keys, 2)
	require.NotNil(t, page.Next)
	page, err = r.List(ctx, owner, store.KeyQuery{Workspace: "team-a"})
	require.NoError(t, err)
	require.Len(t, page.Keys, 4)
	for _, key := range page.Keys {
		require.Equal(t, key.ID == soon.ID, key.LastUsed.Equal(noon))
	}
}
