package apikey_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// TestStandingIsTheSameEverywhere tests that a list, a read of one key, a preview
// and an acting key give the same state of a key as its login.
func TestStandingIsTheSameEverywhere(t *testing.T) {
	ctx := t.Context()
	for name, change := range map[string]func(r *rig){
		"nothing": func(*rig) {},
		"rules of the instance": func(r *rig) {
			r.rules("", store.Rules{MaxLifetime: 2 * time.Hour, EnforcedFrom: noon.Add(time.Hour)})
		},
		"rules of a workspace":  func(r *rig) { r.rules("team-b", store.Rules{RequireExpiry: true, EnforcedFrom: noon.Add(time.Hour)}) },
		"a suspended workspace": func(r *rig) { require.NoError(r.t, r.SetSuspended(ctx, admin, "team-b", true)) },
		"keys off": func(r *rig) {
			_, err := r.SaveSettings(ctx, admin, store.InstanceSettings{Instance: store.Instance{KeysOff: true}})
			require.NoError(r.t, err)
		},
	} {
		for _, keysOff := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, keys off by default %t", name, keysOff), func(t *testing.T) {
				shared := memstore.New()
				before := rigOn(t, shared)
				secrets := map[string]apikey.Secret{}
				for _, workspace := range []string{"team-a", "team-b"} {
					for _, life := range []time.Duration{0, time.Minute, time.Hour, 48 * time.Hour} {
						key, secret := before.create(admin, workspace, "keys.list", func(s *apikey.Spec) {
							if life > 0 {
								s.Expiry = apikey.Expiry{At: noon.Add(life)}
							}
						})
						secrets[key.ID] = secret
					}
					key, secret := before.create(admin, workspace, "keys.list")
					secrets[key.ID] = secret
					_, err := before.Disable(ctx, admin, key.ID, 0)
					require.NoError(t, err)
				}
				r := rigOn(t, shared, func(c *apikey.Config) { c.DefaultKeysOff = keysOff })
				change(r)
				for _, at := range []time.Duration{0, 30 * time.Minute, time.Hour, 3 * time.Hour, 72 * time.Hour} {
					r.clock.Set(noon.Add(at))
					page, err := r.List(ctx, admin, store.KeyQuery{})
					require.NoError(t, err)
					require.Len(t, page.Keys, len(secrets))
					for _, key := range page.Keys {
						standing := key.Standing
						alone, err := r.Get(ctx, admin, key.ID)
						require.NoError(t, err)
						require.Equal(t, standing, alone.Standing)
						require.Equal(t, key.RulesBroken, alone.RulesBroken)
						grant, err := r.login(key.ID, secrets[key.ID].Reveal())
						_, acts := r.List(ctx, apikey.ByKey(key.ID, perms("keys.list"), ""), store.KeyQuery{Workspace: key.Workspace})
						if standing.Live() {
							require.NoError(t, err)
							require.Equal(t, standing, grant.Key.Standing)
							require.NoError(t, acts)
							continue
						}
						var refused *apikey.RefusedError
						require.True(t, errors.As(err, &refused), "%v", err)
						require.Equal(t, apikey.RefusedError{Reason: string(standing.State), Description: standing.Text}, *refused)
						var forbidden *apikey.ForbiddenError
						require.ErrorAs(t, acts, &forbidden)
						require.Equal(t, standing.Text, forbidden.Reason)
					}
				}
			})
		}
	}
}

// TestAPageIsOneRead tests that a page with keys of a hundred workspaces takes one
// call of the store.
func TestAPageIsOneRead(t *testing.T) {
	ctx := t.Context()
	var tap storetest.Tap
	r := rigOn(t, tap.Over(memstore.New()))
	for n := range 100 {
		r.create(admin, fmt.Sprint("team-", n), "project.list")
	}
	r.rules("", store.Rules{RequireExpiry: true, EnforcedFrom: noon})
	for name, look := range map[string]func() error{
		"List":            func() error { return errOf(r.List(ctx, admin, store.KeyQuery{})) },
		"PreviewSettings": func() error { return errOf(r.PreviewSettings(ctx, admin, store.InstanceSettings{}, nil, 0)) },
	} {
		tap.Take()
		require.NoError(t, look(), name)
		require.Equal(t, map[string]int{"Keys.List": 1}, tap.Take(), name)
	}
}

// TestStandingOutage tests that a failed read is an error and not a state.
func TestStandingOutage(t *testing.T) {
	for _, call := range []string{"Settings.Workspace", "Settings.Instance"} {
		var tap storetest.Tap
		r := rigOn(t, tap.Over(memstore.New()))
		r.create(admin, "team-a", "project.list")
		tap.After(func(made string, err error) error {
			if made == call {
				return store.ErrUnavailable
			}
			return err
		})
		standing, err := r.WorkspaceStanding(t.Context(), "team-a")
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.Equal(t, policy.Standing{}, standing)
	}
}
