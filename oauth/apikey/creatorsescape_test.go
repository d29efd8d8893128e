package apikey_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestDisableAllByKeepsTheCreatorDisabled tests a key that enables its creator again
// before it is disabled itself.
func TestDisableAllByKeepsTheCreatorDisabled(t *testing.T) {
	ctx := t.Context()
	st, updates := memstore.New(), 0
	at := rigOn(t, st)
	leaked, secret := at.create(owner, "team-a", "keys.save project.list")
	child, _ := at.create(asKey(leaked), "team-a", "keys.save project.list")
	r := rigOn(t, harness.Tapped(st, func(context.Context, string) error {
		if updates++; updates == 2 { // the first one disabled the creator
			_, err := at.Enable(ctx, asKey(child), leaked.ID, 0)
			return err
		}
		return nil
	}, "Keys.Update"))
	_, err := r.DisableAllBy(ctx, admin, asKey(leaked).Ref())
	require.NoError(t, err)
	r.requireDisabled(map[string]bool{leaked.ID: true, child.ID: true})
	_, err = at.login(leaked.ID, secret.Reveal())
	require.Error(t, err, "B27")
}

// TestDisableAllByFollowsGivenSecrets tests a key that gave a secret to another
// key, made keys as that key, and replaced the secret.
func TestDisableAllByFollowsGivenSecrets(t *testing.T) {
	for name, replaced := range map[string]bool{"B27 the secret is there": false, "B27 the secret was replaced by the key itself": true} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			r := newRig(t)
			leaked, _ := r.create(owner, "team-a", "keys.save project.list")
			other, own := r.create(manager, "team-a", "keys.save project.list")
			before, _ := r.create(asKey(other), "team-a", "project.list")
			r.clock.Advance(time.Hour)
			given, last := r.rotate(asKey(leaked), other.ID, apikey.Rotation{Grace: 9 * time.Hour})
			r.clock.Advance(time.Hour)
			if replaced {
				_, last = r.rotate(with(given.Credentials[len(given.Credentials)-1].ID, other), other.ID, apikey.Rotation{Grace: time.Minute})
				r.clock.Advance(time.Hour)
				r.rotate(manager, other.ID, apikey.Rotation{Grace: 9 * time.Hour})
			}
			hidden, _ := r.create(asKey(other), "team-a", "keys.save project.list")
			below, _ := r.create(asKey(hidden), "team-a", "project.list")
			token := r.mustLogin(other.ID, last)
			n, err := r.DisableAllBy(ctx, admin, asKey(leaked).Ref())
			require.NoError(t, err)
			require.Equal(t, 3+1, n, "three keys and the secret")
			r.requireDisabled(map[string]bool{leaked.ID: true, other.ID: false, before.ID: false, hidden.ID: true, below.ID: true})
			require.True(t, r.revoked(token))
			if !replaced {
				r.mustLogin(other.ID, own)
			}
			n, err = r.DisableAllBy(ctx, admin, asKey(leaked).Ref())
			require.NoError(t, err)
			require.Zero(t, n)
		})
	}
	t.Run("B27 the clocks of two replicas differ as much as they may", func(t *testing.T) {
		st := memstore.New()
		ahead, behind := rigOn(t, st), rigOn(t, st)
		leaked, _ := ahead.create(owner, "team-a", "keys.save project.list")
		other, _ := ahead.create(manager, "team-a", "keys.save project.list")
		ahead.clock.Set(noon.Add(time.Hour + time.Minute)) // MaxClockSkew is a minute
		behind.clock.Set(noon.Add(time.Hour - time.Minute))
		ahead.rotate(asKey(leaked), other.ID, apikey.Rotation{Grace: 9 * time.Hour})
		hidden, _ := behind.create(asKey(other), "team-a", "project.list")
		_, err := ahead.DisableAllBy(t.Context(), admin, asKey(leaked).Ref())
		require.NoError(t, err)
		ahead.requireDisabled(map[string]bool{leaked.ID: true, other.ID: false, hidden.ID: true})
	})
	t.Run("not if a person gave it", func(t *testing.T) {
		r := newRig(t)
		other, _ := r.create(manager, "team-a", "keys.save project.list")
		r.rotate(owner, other.ID, apikey.Rotation{})
		made, _ := r.create(asKey(other), "team-a", "project.list")
		n, err := r.DisableAllBy(t.Context(), admin, owner.Ref())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		r.requireDisabled(map[string]bool{other.ID: false, made.ID: false})
	})
}

// TestDisableAllByFollowsCredentials tests a key that gave another one a public key, which
// the other one replaced.
func TestDisableAllByFollowsCredentials(t *testing.T) {
	r := newRig(t, trusting)
	leaked, _ := r.create(owner, "team-a", "keys.save project.list")
	other, own := r.create(manager, "team-a", "keys.save project.list")
	before, _ := r.create(asKey(other), "team-a", "project.list")
	r.clock.Advance(time.Hour)
	given := r.add(asKey(leaked), other.ID, keyOf(1))
	spec, private := withPrivate("2")
	spec.Replaces = last(given).ID
	r.add(with(spec.Replaces, other), other.ID, spec)
	r.add(manager, other.ID, trustOf(1))
	made, _ := r.create(asKey(other), "team-a", "project.list")
	n, err := r.DisableAllBy(t.Context(), admin, asKey(leaked).Ref())
	require.NoError(t, err)
	require.Equal(t, 2+1, n, "two keys and the public key")
	r.requireDisabled(map[string]bool{leaked.ID: true, other.ID: false, before.ID: false, made.ID: true})
	_, err = r.assert(other.ID, private)
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials, "B27")
	r.mustLogin(other.ID, own)

	t.Run("not if a person gave it", func(t *testing.T) {
		r := newRig(t, trusting)
		other, _ := r.create(manager, "team-a", "keys.save project.list")
		r.add(owner, other.ID, trustOf(1))
		made, _ := r.create(asKey(other), "team-a", "project.list")
		n, err := r.DisableAllBy(t.Context(), admin, owner.Ref())
		require.NoError(t, err)
		require.Equal(t, 1, n, "the trust")
		r.requireDisabled(map[string]bool{other.ID: false, made.ID: false})
	})
}

// TestDisableAllByAgainstKeysThatEnableEachOther tests that such keys can make it
// fail, but not while their workspace is suspended.
func TestDisableAllByAgainstKeysThatEnableEachOther(t *testing.T) {
	for name, suspended := range map[string]bool{"B27 at work": false, "B27 suspended": true} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			st := memstore.New()
			at := rigOn(t, st)
			leaked, _ := at.create(owner, "team-a", "keys.save")
			all := []apikey.Key{leaked}
			for range 3 {
				child, _ := at.create(asKey(leaked), "team-a", "keys.save")
				all = append(all, child)
			}
			if suspended {
				require.NoError(t, at.SetSuspended(ctx, admin, "team-a", true))
			}
			r := rigOn(t, harness.Tapped(st, func(context.Context, string) error {
				for range 2 {
					for _, by := range all {
						for _, k := range all {
							_, err := at.Enable(ctx, asKey(by), k.ID, 0)
							if err != nil && !isForbidden(err) {
								return err
							}
						}
					}
				}
				return nil
			}, "Keys.Update"))
			n, err := r.DisableAllBy(ctx, admin, asKey(leaked).Ref())
			if !suspended {
				require.ErrorIs(t, err, store.ErrConflict)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 4, n)
			require.NoError(t, at.SetSuspended(ctx, admin, "team-a", false))
			for _, k := range all {
				r.requireDisabled(map[string]bool{k.ID: true})
			}
		})
	}
}

// TestByKeyWithASecret tests that an admitted request changes nothing once the
// secret of its token has expired or was retired.
func TestByKeyWithASecret(t *testing.T) {
	ctx := t.Context()
	for name, end := range map[string]func(r *rig, k apikey.Key) error{
		"B27 retired": func(r *rig, k apikey.Key) error { return errOf(r.Retire(ctx, admin, k.ID, k.Credentials[0].ID, 0)) },
		"B27 rotated": func(r *rig, k apikey.Key) error {
			_, _, err := r.Rotate(ctx, admin, k.ID, apikey.Rotation{})
			return err
		},
		"B27 at the end of its grace": func(r *rig, k apikey.Key) error {
			_, _, err := r.Rotate(ctx, admin, k.ID, apikey.Rotation{Grace: time.Minute})
			r.clock.Advance(time.Minute)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := memstore.New()
			at := rigOn(t, st)
			key, _ := at.create(owner, "team-a", "keys.save")
			actor := apikey.ByKey(key.ID, catalog.All(), key.Credentials[0].ID)
			at.create(actor.Granting(perms("keys.save")), "team-a", "")
			require.NoError(t, end(at, key))
			_, _, err := at.tryCreate(actor, "team-a", "")
			require.ErrorAs(t, err, new(*apikey.ForbiddenError))
			at.create(asKey(key), "team-a", "")
		})
	}
	t.Run("B27 between its reads and its write", func(t *testing.T) {
		st := memstore.New()
		at := rigOn(t, st)
		key, _ := at.create(owner, "team-a", "keys.save")
		r := rigOn(t, harness.Tapped(st, func(context.Context, string) error {
			_, err := at.Retire(ctx, admin, key.ID, key.Credentials[0].ID, 0)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		}, "Keys.Create"))
		_, _, err := r.tryCreate(apikey.ByKey(key.ID, catalog.All(), key.Credentials[0].ID), "team-a", "")
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
	})
}
