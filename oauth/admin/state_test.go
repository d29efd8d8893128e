package admin_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// TestStateOfAKey: in every answer with keys, the state of a key is the one that its
// login gets.
func TestStateOfAKey(t *testing.T) {
	ctx := t.Context()
	save := func(change func(*store.InstanceSettings)) func(*rig) {
		return func(r *rig) {
			s, err := r.keys.Settings(ctx, harness.Ada)
			require.NoError(r.t, err)
			change(&s)
			_, err = r.keys.SaveSettings(ctx, harness.Ada, s)
			require.NoError(r.t, err)
		}
	}
	ends := noon.Add(24 * time.Hour)
	for _, tc := range []struct {
		name, state, reason, text string
		do                        func(r *rig)
		ends                      *time.Time
	}{
		{"live", "active", "", "", func(*rig) {}, nil},
		{"the rules end it later", "active", "", "", save(func(s *store.InstanceSettings) {
			s.Rules = store.Rules{RequireExpiry: true, EnforcedFrom: ends}
		}), &ends},
		{"expired under the rules", "expired", "expired_by_rules", "This API key has expired under the rules of this service.", save(func(s *store.InstanceSettings) {
			s.Rules = store.Rules{RequireExpiry: true, EnforcedFrom: noon}
		}), &noon},
		{"disabled", "disabled", "disabled", "This API key is disabled.", func(r *rig) {
			r.do("olga", "POST", "/keys/"+r.list("olga", "/workspaces/team-a/keys").Keys[0].ID+"/disable", "").Wants(http.StatusOK)
		}, nil},
		{"while keys are off", "blocked", "keys_off", "API keys are switched off.", save(func(s *store.InstanceSettings) { s.KeysOff = true }), nil},
		{"in a suspended workspace", "blocked", "suspended", "The workspace of this API key is suspended.", func(r *rig) {
			require.NoError(r.t, r.keys.SetSuspended(ctx, harness.Ada, "team-a", true))
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			m := r.create("olga", "team-a", "ci")
			tc.do(r)
			shown := []key{r.read("olga", m.Key.ID), r.list("olga", "/workspaces/team-a/keys").Keys[0], r.list("ada", "/keys").Keys[0]}
			var renamed key
			r.do("olga", "PATCH", "/keys/"+m.Key.ID, `{"name":"ci 2"}`).Wants(http.StatusOK).Into(&renamed)
			for _, k := range append(shown, renamed) {
				require.Equal(t, tc.state, k.State)
				require.Equal(t, tc.ends, k.EndsAt)
				require.Nil(t, k.ExpiresAt, "the key's own expiry stays as it is stored")
				if tc.reason == "" {
					require.Nil(t, k.StateReason)
					require.Nil(t, k.StateText)
				} else {
					require.Equal(t, tc.reason, *k.StateReason)
					require.Equal(t, tc.text, *k.StateText)
				}
			}
			err := r.login(m.Key.ID, m.Secret)
			require.Equal(t, tc.reason == "", err == nil)
		})
	}
}

func TestStateOfAnExpiredKey(t *testing.T) {
	r := newRig(t)
	m := r.createWith("olga", "team-a", `{"name":"ci","permissions":[],"expires_at":"2026-07-01T13:00:00Z"}`)
	r.clock.Advance(time.Hour)
	k := r.read("olga", m.Key.ID)
	require.Equal(t, []string{"expired", "expired", "This API key has expired."}, []string{k.State, *k.StateReason, *k.StateText})
	require.Equal(t, k.ExpiresAt, k.EndsAt)
	require.Nil(t, k.ExpiresOn, "it was given as an instant")
}

// TestWithheldPermissions: answers name the permissions that tokens do not hold. An
// organization admin grants those that became admin permissions by naming them.
func TestWithheldPermissions(t *testing.T) {
	before := newRig(t)
	m := before.createWith("olga", "team-a", `{"name":"ci","permissions":["project.list","project.save"]}`)
	require.Empty(t, m.Key.Withheld)
	after := newRig(t, func(s *setup) {
		s.store = before.store
		s.keys.Permissions = scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list", Level: scope.Admin}}})
		s.keys.Management = apikey.Management{}
	})
	require.Equal(t, []string{"project.list", "project.save"}, after.read("olga", m.Key.ID).Withheld)
	var granted key
	after.do("ada", "PATCH", "/keys/"+m.Key.ID, `{"permissions":["project.list"]}`).Wants(http.StatusOK).Into(&granted)
	require.Empty(t, granted.Withheld)
}
