package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// apart is a store whose epochs live in another system than its keys.
func apart() store.Store {
	st := memstore.New()
	st.Epochs = memstore.New().Epochs
	return st
}

// flaky fails the writes of a store on demand.
type flaky struct {
	keys, raise bool
	raises      int // how many still work, while raise is set
}

var errDown = fmt.Errorf("flaky: %w", store.ErrUnavailable)

func flakyApart(f *flaky) store.Store {
	return harness.Tapped(apart(), func(_ context.Context, call string) error {
		switch call {
		case "Keys.Update", "Keys.Delete", "Settings.SetWorkspace":
			if f.keys {
				return errDown
			}
		case "Epochs.Raise":
			if !f.raise {
				return nil
			}
			if f.raises == 0 {
				return errDown
			}
			f.raises--
		}
		return nil
	})
}

// TestEpochsApart: epochs in another system than the keys.
func TestEpochsApart(t *testing.T) {
	ctx := t.Context()
	disable := func(r *rig, id string) error { _, err := r.Disable(ctx, owner, id); return err }

	t.Run("B22 the epoch is raised before the change, and a change that fails only forces a login", func(t *testing.T) {
		var f flaky
		r := rigOn(t, flakyApart(&f))
		key, secret := r.create(owner, "team-a", "project.list")
		token := r.mustLogin(key.ID, secret)
		require.False(t, r.ended(token))
		for range 3 {
			f.keys = true
			require.ErrorIs(t, disable(r, key.ID), store.ErrUnavailable)
			f.keys = false
			require.True(t, r.ended(token))
			token = r.mustLogin(key.ID, secret)
			require.False(t, r.ended(token), "the next login works")
		}
		require.NoError(t, disable(r, key.ID))
		require.True(t, r.ended(token), "a token issued after a failed change ends with the change")
	})
	t.Run("B22 a retired secret that was not retired after all", func(t *testing.T) {
		var f flaky
		r := rigOn(t, flakyApart(&f))
		key, secret := r.create(owner, "team-a", "project.list")
		f.keys = true
		_, err := r.RetireSecret(ctx, owner, key.ID, key.Secrets[0].ID)
		require.ErrorIs(t, err, store.ErrUnavailable)
		f.keys = false
		token := r.mustLogin(key.ID, secret)
		require.False(t, r.ended(token), "its logins work again")
		_, err = r.RetireSecret(ctx, owner, key.ID, key.Secrets[0].ID)
		require.NoError(t, err)
		require.True(t, r.ended(token))
	})
	t.Run("B22 a workspace that was not suspended after all", func(t *testing.T) {
		var f flaky
		r := rigOn(t, flakyApart(&f))
		key, secret := r.create(owner, "team-a", "project.list")
		f.keys = true
		require.ErrorIs(t, r.Suspend(ctx, admin, "team-a"), store.ErrUnavailable)
		f.keys = false
		token := r.mustLogin(key.ID, secret)
		require.False(t, r.ended(token))
		require.NoError(t, r.Suspend(ctx, admin, "team-a"))
		require.True(t, r.ended(token))
	})
	t.Run("nothing is written while the epoch cannot be raised", func(t *testing.T) {
		f := flaky{raise: true, raises: 1} // the creation's
		r := rigOn(t, flakyApart(&f))
		key, secret := r.create(owner, "team-a", "project.list")
		require.ErrorIs(t, disable(r, key.ID), store.ErrUnavailable)
		require.ErrorIs(t, r.Delete(ctx, owner, key.ID), store.ErrUnavailable)
		require.ErrorIs(t, r.Suspend(ctx, admin, "team-a"), store.ErrUnavailable)
		_, _, err := r.tryCreate(owner, "team-a", "")
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.Len(t, r.events(store.EventQuery{}), 1)
		r.mustLogin(key.ID, secret)
		_, err = r.Update(ctx, owner, key.ID, apikey.Changes{Name: ptr("new")})
		require.NoError(t, err, "a name does not touch tokens")
	})
	t.Run("B22 whoever comes again finds the last step done", func(t *testing.T) {
		for name, do := range map[string]func(*rig, store.Key) error{
			"Disable": func(r *rig, k store.Key) error { return disable(r, k.ID) },
			"Suspend": func(r *rig, _ store.Key) error { return r.Suspend(ctx, admin, "team-a") },
			"RetireSecret": func(r *rig, k store.Key) error {
				_, err := r.RetireSecret(ctx, owner, k.ID, k.Secrets[0].ID)
				return unlessGone(err)
			},
			"Delete":          func(r *rig, k store.Key) error { return unlessGone(r.Delete(ctx, owner, k.ID)) },
			"DeleteWorkspace": func(r *rig, _ store.Key) error { return unlessGone(r.DeleteWorkspace(ctx, admin, "team-a")) },
		} {
			var f flaky
			st := flakyApart(&f)
			r := rigOn(t, st)
			key, secret := r.create(owner, "team-a", "project.list")
			r.mustLogin(key.ID, secret)
			// The first step works, and a login comes in before the second.
			meanwhile := new(*apikey.Grant)
			late := harness.Tapped(st, func(context.Context, string) error {
				f.raise = false // for what the login puts right
				*meanwhile = r.mustLogin(key.ID, secret)
				f.raise = true
				return nil
			}, "Keys.Update", "Keys.Delete", "Settings.SetWorkspace", "Settings.DeleteWorkspace")
			f.raise, f.raises = true, 1
			require.ErrorIs(t, do(rigOn(t, late), key), store.ErrUnavailable, name)
			require.NotNil(t, *meanwhile)
			f.raise = false
			require.NoError(t, do(r, key))
			require.True(t, r.ended(*meanwhile), name)
		}
	})
	t.Run("marks that got lost are put right by a login", func(t *testing.T) {
		st := apart()
		r := rigOn(t, st)
		key, secret := r.create(owner, "team-a", "project.list")
		for range 2 {
			require.NoError(t, r.Suspend(ctx, admin, "team-a"))
			require.NoError(t, r.Resume(ctx, admin, "team-a"))
		}
		token := r.mustLogin(key.ID, secret)
		st.Epochs = memstore.New().Epochs // as after moving to another Redis
		moved := rigOn(t, st)
		require.True(t, moved.ended(token), "nothing is known of it")
		fresh := moved.mustLogin(key.ID, secret)
		require.False(t, moved.ended(fresh))
		require.False(t, moved.ended(token), "it had not been ended")
		state, err := st.Epochs.Read(ctx, store.TokenRef{Workspace: "team-a", Key: key.ID})
		require.NoError(t, err)
		require.Equal(t, token.Epochs[1], state.Workspace)
		require.NoError(t, disable(moved, key.ID))
		require.True(t, moved.ended(fresh))
	})
	t.Run("a login costs one read of each in the usual case", func(t *testing.T) {
		var c counted
		r := rigOn(t, c.around(apart()))
		key, secret := r.create(owner, "team-a", "project.list")
		c.reads.Store(0)
		c.writes.Store(0)
		r.mustLogin(key.ID, secret)
		require.EqualValues(t, 2, c.reads.Load())
		require.Zero(t, c.writes.Load())
	})
	t.Run("an id that comes back starts above what it left behind", func(t *testing.T) {
		r := rigOn(t, apart(), func(c *apikey.Config) { c.Imported = true })
		spec := apikey.ImportSpec{Spec: apikey.Spec{Workspace: "team-a", Name: "old"}, ID: "legacy", Secret: "0123456789abcdefghijklmnopqrstuvwxyzABCD"}
		_, err := r.Import(ctx, owner, spec)
		require.NoError(t, err)
		token, err := r.login("legacy", spec.Secret)
		require.NoError(t, err)
		require.NoError(t, r.Delete(ctx, owner, "legacy"))
		_, err = r.Import(ctx, owner, spec)
		require.ErrorIs(t, err, store.ErrExists, "the tombstone")
		r.clock.Advance(1000 * 24 * time.Hour)
		require.NoError(t, r.Prune(ctx))
		_, err = r.Import(ctx, owner, spec)
		require.NoError(t, err)
		fresh, err := r.login("legacy", spec.Secret)
		require.NoError(t, err)
		require.True(t, r.ended(token))
		require.False(t, r.ended(fresh))
		require.NoError(t, disable(r, "legacy"))
		require.True(t, r.ended(fresh))
	})
}

// unlessGone takes the answer to a deletion repeated for no failure.
func unlessGone(err error) error {
	if errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrUnavailable) {
		return nil
	}
	return err
}
