package apikey_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func asKey(k apikey.Key) apikey.Actor { return with("", k) }

// with is asKey with what it logged in with.
func with(credential string, k apikey.Key) apikey.Actor {
	return apikey.ByKey(k.ID, catalog.All(), credential)
}

// requireDisabled checks which keys are disabled.
func (r *rig) requireDisabled(want map[string]bool) {
	r.t.Helper()
	for id, disabled := range want {
		key, err := r.Get(context.Background(), admin, id)
		require.NoError(r.t, err)
		require.Equal(r.t, disabled, key.Disabled, "%s of %v", id, key.CreatedBy)
	}
}

func TestDisableAllBy(t *testing.T) {
	ctx := t.Context()
	r := newRig(t)
	byOlga, secret := r.create(owner, "team-a", "keys.save project.list")
	token := r.mustLogin(byOlga.ID, secret)
	both := apikey.Owner("olga", "team-a", "team-b")
	inB, _ := r.create(both, "team-b", "")
	byOther, otherSecret := r.create(manager, "team-a", "")
	child, _ := r.create(asKey(byOlga), "team-a", "keys.save")
	grandchild, childSecret := r.create(asKey(child), "team-a", "")
	asAdmin, _ := r.create(apikey.OrganizationAdmin("olga"), "team-a", "")
	_, err := r.Disable(ctx, admin, child.ID, 0)
	require.NoError(t, err)

	n, err := r.DisableAllBy(ctx, admin, store.ActorRef{Kind: "owner", ID: "olga"})
	require.NoError(t, err)
	require.Equal(t, 4, n, "the person's keys in both workspaces, also as an admin, and a key that a disabled one of them had made")
	require.True(t, r.revoked(token))
	_, err = r.login(grandchild.ID, childSecret.Reveal())
	require.IsType(t, &apikey.RefusedError{}, err)
	r.requireDisabled(map[string]bool{
		byOlga.ID: true, inB.ID: true, child.ID: true, grandchild.ID: true, asAdmin.ID: true, byOther.ID: false,
	})
	r.mustLogin(byOther.ID, otherSecret)
	n, err = r.DisableAllBy(ctx, admin, store.ActorRef{Kind: "admin", ID: "olga"})
	require.NoError(t, err)
	require.Zero(t, n, "a second call is no error")
	_, err = r.DisableAllBy(ctx, admin, store.ActorRef{Kind: "owner"})
	require.ErrorAs(t, err, new(*apikey.InvalidError), "an empty id is refused")

	t.Run("more than one page", func(t *testing.T) {
		r := newRig(t)
		for range store.MaxPage + 1 {
			_, _, err := r.Create(ctx, owner, apikey.Spec{Workspace: "team-a", Name: "ci"})
			require.NoError(t, err)
		}
		n, err := r.DisableAllBy(ctx, admin, store.ActorRef{Kind: "owner", ID: "olga"})
		require.NoError(t, err)
		require.Equal(t, store.MaxPage+1, n)
	})
	t.Run("B27 a key with the id of a person", func(t *testing.T) {
		r := newRig(t, func(c *apikey.Config) { c.Imported = true })
		named, err := r.Import(ctx, admin, apikey.ImportSpec{
			Spec: apikey.Spec{Workspace: "team-a", Name: "old", Permissions: perms("keys.save")}, ID: "olga", Secret: strings.Repeat("aB3-", 12),
		})
		require.NoError(t, err)
		byKey, _ := r.create(asKey(named), "team-a", "")
		byPerson, _ := r.create(owner, "team-a", "")
		n, err := r.DisableAllBy(ctx, admin, store.ActorRef{Kind: "admin", ID: "olga"})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		r.requireDisabled(map[string]bool{named.ID: false, byKey.ID: false, byPerson.ID: true})
		n, err = r.DisableAllBy(ctx, admin, store.ActorRef{ID: "olga"})
		require.NoError(t, err)
		require.Equal(t, 2, n, "without a kind: the person and the key")
		r.requireDisabled(map[string]bool{named.ID: true, byKey.ID: true})
	})
}

// TestDisableAllByWithoutManagement tests that keys which keys created are found, and
// secrets that keys gave are retired, also if no key may manage keys any more.
func TestDisableAllByWithoutManagement(t *testing.T) {
	before := newRig(t)
	byOlga, _ := before.create(owner, "team-a", "keys.save")
	child, _ := before.create(asKey(byOlga), "team-a", "keys.save")
	grandchild, secret := before.create(asKey(child), "team-a", "")
	other, _ := before.create(manager, "team-a", "")
	_, given := before.rotate(asKey(child), other.ID, apikey.Rotation{})
	require.NoError(t, before.Delete(t.Context(), admin, child.ID, 0))

	now := rigOn(t, before.store, func(c *apikey.Config) { c.Management = apikey.Management{} })
	now.keep(secret.Reveal(), given.Reveal())
	n, err := now.DisableAllBy(t.Context(), admin, store.ActorRef{Kind: "owner", ID: "olga"})
	require.NoError(t, err)
	require.Equal(t, 3, n, "two keys and a secret")
	now.requireDisabled(map[string]bool{byOlga.ID: true, grandchild.ID: true, other.ID: false})
	_, err = now.login(other.ID, given.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
}

func TestDisableAllByAKey(t *testing.T) {
	ctx := t.Context()
	r := newRig(t)
	leaked, _ := r.create(owner, "team-a", "keys.save keys.delete project.list")
	child, _ := r.create(asKey(leaked), "team-a", "keys.save")
	grandchild, _ := r.create(asKey(child), "team-a", "keys.save")
	last, _ := r.create(asKey(grandchild), "team-a", "")
	victim, own := r.create(manager, "team-a", "project.list")
	_, minted := r.rotate(asKey(leaked), victim.ID, apikey.Rotation{Grace: time.Hour})
	other, _ := r.create(manager, "team-a", "")
	_, byChild := r.rotate(asKey(child), other.ID, apikey.Rotation{})
	token, good := r.mustLogin(victim.ID, minted), r.mustLogin(victim.ID, own)
	// A key that is deleted does not hide what it made.
	middle, _ := r.create(asKey(leaked), "team-a", "keys.save")
	hidden, _ := r.create(asKey(middle), "team-a", "")
	require.NoError(t, r.Delete(ctx, asKey(leaked), middle.ID, 0))

	n, err := r.DisableAllBy(ctx, admin, asKey(leaked).Ref())
	require.NoError(t, err)
	require.Equal(t, 5+2, n, "five keys and two secrets")
	r.requireDisabled(map[string]bool{
		leaked.ID: true, child.ID: true, grandchild.ID: true, last.ID: true, hidden.ID: true, victim.ID: false, other.ID: false,
	})
	require.True(t, r.revoked(token), "B27 a secret that it gave to another key is retired")
	require.False(t, r.revoked(good), "and no other secret of that key")
	_, err = r.login(victim.ID, minted.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
	_, err = r.login(other.ID, byChild.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials, "B27 nor a secret of a key that it created works")
	r.mustLogin(victim.ID, own)
	require.Len(t, r.events(store.EventQuery{Action: audit.Retire}), 2)

	t.Run("the creator is disabled first", func(t *testing.T) {
		st, updates := memstore.New(), 0
		at := rigOn(t, st)
		leaked, _ := at.create(owner, "team-a", "keys.save")
		child, _ := at.create(asKey(leaked), "team-a", "")
		r := rigOn(t, harness.Tapped(st, func(context.Context, string) error {
			at.requireDisabled(map[string]bool{leaked.ID: updates > 0})
			updates++
			return nil
		}, "Keys.Update"))
		n, err := r.DisableAllBy(ctx, admin, store.ActorRef{Kind: "key", ID: leaked.ID})
		require.NoError(t, err)
		require.Equal(t, 2, n)
		r.requireDisabled(map[string]bool{leaked.ID: true, child.ID: true})
		require.Equal(t, 2, updates)
		n, err = r.DisableAllBy(ctx, admin, store.ActorRef{Kind: "key", ID: "no such key"})
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

// TestDisableAllByGoesOn tests that after a failure the other keys are still
// disabled.
func TestDisableAllByGoesOn(t *testing.T) {
	ctx := t.Context()
	t.Run("after a key that cannot be disabled", func(t *testing.T) {
		failures := 0
		r := rigOn(t, harness.Tapped(memstore.New(), func(context.Context, string) error {
			if failures--; failures >= 0 {
				return errDown
			}
			return nil
		}, "Keys.Update"))
		for range 3 {
			r.create(owner, "team-a", "")
		}
		failures = 1
		n, err := r.DisableAllBy(ctx, admin, owner.Ref())
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.Equal(t, 2, n)
		n, err = r.DisableAllBy(ctx, admin, owner.Ref())
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
	for name, forever := range map[string]bool{"B27 a key that others keep changing for a while": false, "B27 and for ever": true} {
		t.Run(name, func(t *testing.T) {
			st, calls := memstore.New(), 0
			at := rigOn(t, st)
			leaked, _ := at.create(owner, "team-a", "keys.save")
			victim, _ := at.create(manager, "team-a", "")
			for _, key := range []apikey.Key{victim, leaked} {
				calls = 0
				at.rotate(asKey(leaked), victim.ID, apikey.Rotation{})
				r := rigOn(t, harness.Tapped(st, func(context.Context, string) error {
					if calls++; calls > 15 && !forever {
						return nil
					}
					return errOf(at.Update(ctx, admin, key.ID, apikey.Changes{Name: ptr(strings.Repeat("x", 1+calls%200))}))
				}, "Keys.Update"))
				n, err := r.DisableAllBy(ctx, admin, asKey(leaked).Ref())
				if forever {
					require.ErrorIs(t, err, store.ErrConflict)
					require.NoError(t, errOf(at.Enable(ctx, admin, leaked.ID, 0)))
					continue
				}
				require.NoError(t, err)
				require.Equal(t, 2, n)
				at.requireDisabled(map[string]bool{leaked.ID: true})
				require.NoError(t, errOf(at.Enable(ctx, admin, leaked.ID, 0)))
			}
		})
	}
	for _, call := range []string{"Keys.List", "Events.List"} {
		t.Run("not if keys or events cannot be listed:  "+call, func(t *testing.T) {
			down := true
			r := rigOn(t, harness.Tapped(memstore.New(), harness.While(&down, errDown), call))
			key, _ := r.create(owner, "team-a", "keys.save")
			r.create(asKey(key), "team-a", "")
			_, err := r.DisableAllBy(ctx, admin, owner.Ref())
			require.ErrorIs(t, err, store.ErrUnavailable)
			down = false
			_, err = r.DisableAllBy(ctx, admin, owner.Ref())
			require.NoError(t, err)
			page, err := r.List(ctx, admin, store.KeyQuery{Disabled: ptr(false)})
			require.NoError(t, err)
			require.Empty(t, page.Keys)
		})
	}
	t.Run("B27 if a person goes on making keys, it ends with an error", func(t *testing.T) {
		st := memstore.New()
		at := rigOn(t, st)
		r := rigOn(t, harness.Tapped(st, func(context.Context, string) error {
			at.create(owner, "team-a", "")
			return nil
		}, "Keys.Update"))
		at.create(owner, "team-a", "")
		n, err := r.DisableAllBy(ctx, admin, owner.Ref())
		require.ErrorIs(t, err, store.ErrConflict)
		require.Equal(t, 10, n)
	})
}

// TestDepth tests the bound on the chain of keys that create keys.
func TestDepth(t *testing.T) {
	for most, configure := range map[int]func(*apikey.Config){
		1: func(c *apikey.Config) { c.Management.MaxDepth = 1 },
		2: func(c *apikey.Config) { c.Management.MaxDepth = 2 },
		3: func(*apikey.Config) {},
	} {
		r := newRig(t, configure, func(c *apikey.Config) { c.Imported = true })
		key, _ := r.create(owner, "team-a", "keys.save project.list")
		require.Zero(t, key.Depth)
		for depth := 1; depth <= most; depth++ {
			key, _ = r.create(asKey(key), "team-a", "keys.save project.list")
			require.Equal(t, depth, key.Depth)
		}
		_, _, err := r.tryCreate(asKey(key), "team-a", "")
		var refused *apikey.ForbiddenError
		require.ErrorAs(t, err, &refused, "B27")
		require.Contains(t, refused.Reason, "Keys created by keys may be at most")
		_, err = r.Import(t.Context(), asKey(key), apikey.ImportSpec{
			Spec: apikey.Spec{Workspace: "team-a", Name: "old"}, ID: "legacy", Secret: strings.Repeat("aB3-", 12),
		})
		require.ErrorAs(t, err, &refused, "B27")
		r.rotate(with(key.Credentials[0].ID, key), key.ID, apikey.Rotation{})
		shown, err := r.Get(t.Context(), owner, key.ID)
		require.NoError(t, err)
		require.Equal(t, most, shown.Depth)
		require.Equal(t, asKey(key).Ref(), shown.Credentials[0].CreatedBy)
		require.Equal(t, "lk_", shown.Credentials[0].Prefix)
	}
}
