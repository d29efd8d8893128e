package apikey_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// TestEscalation tests every way to grant or get more than an actor has.
func TestEscalation(t *testing.T) {
	ctx := context.Background()
	inOneHour := func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: noon.Add(time.Hour)} }
	// big holds more than any actor below may grant.
	big := func(r *rig) apikey.Key {
		key, _ := r.create(admin, "team-a", "admin.project.list project.delete")
		return key
	}
	update := func(c apikey.Changes) func(*rig, apikey.Actor, apikey.Key) error {
		return func(r *rig, a apikey.Actor, k apikey.Key) error {
			_, err := r.Update(ctx, a, k.ID, c)
			return err
		}
	}
	create := func(permissions string, change ...func(*apikey.Spec)) func(*rig, apikey.Actor, apikey.Key) error {
		return func(r *rig, a apikey.Actor, _ apikey.Key) error {
			_, _, err := r.tryCreate(a, "team-a", permissions, change...)
			return err
		}
	}
	saving := byKey("keys.save project.list")
	forever := func(r *rig) apikey.Actor {
		key, _ := r.create(admin, "team-a", "keys.save project.list")
		return apikey.ByKey(key.ID, catalog.All(), "")
	}
	for _, tc := range []struct {
		name   string
		actor  func(*rig) apikey.Actor
		target func(*rig) apikey.Key
		do     func(*rig, apikey.Actor, apikey.Key) error
		want   error // nil: works
	}{
		{"owner creates with an admin permission", person(owner), nil, create("admin.project.list"), new(apikey.ForbiddenError)},
		{"owner creates with an admin wildcard", person(owner), nil, create("admin.*.*"), &apikey.InvalidError{}},
		{"owner's plain wildcard reaches no admin permission", person(owner), nil, func(r *rig, a apikey.Actor, _ apikey.Key) error {
			key, _ := r.create(a, "team-a", "*.*")
			require.Equal(t, "keys.delete keys.list keys.rotate keys.save project.delete project.list project.save", key.Permissions.String())
			require.Equal(t, "*.*", key.RequestedPermissions.String())
			return nil
		}, nil},
		{"owner creates with a permission in another case", person(owner), nil, create("Admin.project.list"), &apikey.InvalidError{}},
		{"limited owner creates beyond", person(owner.Granting(perms("project.list"))), nil, create("project.save"), new(apikey.ForbiddenError)},
		{"key creates what it lacks", saving, nil, create("project.delete"), new(apikey.ForbiddenError)},
		{"key creates by a wildcard what it lacks", saving, nil, create("project.*"), new(apikey.ForbiddenError)},
		{"key creates what its token lacks", func(r *rig) apikey.Actor {
			key, _ := r.create(admin, "team-a", "keys.save project.list")
			return apikey.ByKey(key.ID, perms("keys.save"), "")
		}, nil, create("project.list"), new(apikey.ForbiddenError)},
		{"key of the admin level hands on the admin level", byKey("admin.keys.save admin.project.list"), nil, create("admin.project.list", inOneHour), new(apikey.ForbiddenError)},
		{"key creates a child that outlives it", saving, nil, create("project.list", func(s *apikey.Spec) {
			s.Expiry = apikey.Expiry{At: noon.Add(time.Hour + time.Microsecond)}
		}), new(apikey.ForbiddenError)},
		{"key creates a child that lives as long", saving, nil, create("project.list", inOneHour), nil},
		{"owner renames a key that holds more", person(owner), big, update(apikey.Changes{Name: ptr("mine")}), new(apikey.ForbiddenError)},
		{"owner rotates a key that holds more", person(owner), big, func(r *rig, a apikey.Actor, k apikey.Key) error {
			_, _, err := r.Rotate(ctx, a, k.ID, apikey.Rotation{})
			return err
		}, new(apikey.ForbiddenError)},
		{"owner rotates with grace a key that holds more", person(owner), big, func(r *rig, a apikey.Actor, k apikey.Key) error {
			_, _, err := r.Rotate(ctx, a, k.ID, apikey.Rotation{Grace: time.Hour})
			return err
		}, new(apikey.ForbiddenError)},
		{"owner adds a public key to a key that holds more", person(owner), big, func(r *rig, a apikey.Actor, k apikey.Key) error {
			return errOf(r.AddCredential(ctx, a, k.ID, aPublicKey("laptop")))
		}, new(apikey.ForbiddenError)},
		{"owner adds a trust to a key that holds more", person(owner), big, func(r *rig, a apikey.Actor, k apikey.Key) error {
			return errOf(r.AddCredential(ctx, a, k.ID, aTrust("deploy", "repository_id", "7", "environment", "prod")))
		}, new(apikey.ForbiddenError)},
		{"owner rotates and narrows to what he may grant", person(owner), big, func(r *rig, a apikey.Actor, k apikey.Key) error {
			_, _, err := r.Rotate(ctx, a, k.ID, apikey.Rotation{Changes: apikey.Changes{Permissions: ptr(perms("project.delete"))}})
			return err
		}, nil},
		{"owner enables a key that holds more", person(owner), func(r *rig) apikey.Key {
			key := big(r)
			_, err := r.Disable(ctx, owner, key.ID, 0)
			require.NoError(r.t, err)
			return key
		}, func(r *rig, a apikey.Actor, k apikey.Key) error {
			_, err := r.Enable(ctx, a, k.ID, 0)
			return err
		}, new(apikey.ForbiddenError)},
		{"owner extends a key that holds more", person(owner), func(r *rig) apikey.Key {
			key, _ := r.create(admin, "team-a", "admin.project.list", inOneHour)
			return key
		}, update(apikey.Changes{Expiry: ptr(apikey.Expiry{At: noon.Add(2 * time.Hour)})}), new(apikey.ForbiddenError)},
		{"owner makes a key that holds more live for ever", person(owner), func(r *rig) apikey.Key {
			key, _ := r.create(admin, "team-a", "admin.project.list", inOneHour)
			return key
		}, update(apikey.Changes{Expiry: &apikey.Expiry{}}), new(apikey.ForbiddenError)},
		{"owner adds what he may grant to a key that holds more", person(owner), big, update(apikey.Changes{Permissions: ptr(perms("admin.project.list project.delete project.list"))}), new(apikey.ForbiddenError)},
		{"owner narrows a key that still holds more", person(owner), big, update(apikey.Changes{Permissions: ptr(perms("admin.project.list"))}), nil},
		{"owner shortens a key that holds more", person(owner), big, update(apikey.Changes{Expiry: ptr(apikey.Expiry{At: noon.Add(time.Hour)})}), nil},
		{"key widens a sibling beyond itself", forever, func(r *rig) apikey.Key {
			key, _ := r.create(admin, "team-a", "project.list")
			return key
		}, update(apikey.Changes{Permissions: ptr(perms("project.list project.save"))}), new(apikey.ForbiddenError)},
		{"key widens a sibling within itself", forever, func(r *rig) apikey.Key {
			key, _ := r.create(admin, "team-a", "")
			return key
		}, update(apikey.Changes{Permissions: ptr(perms("project.list"))}), nil},
		{"key with an end rotates a key without", saving, func(r *rig) apikey.Key {
			key, _ := r.create(admin, "team-a", "project.list")
			return key
		}, func(r *rig, a apikey.Actor, k apikey.Key) error {
			_, _, err := r.Rotate(ctx, a, k.ID, apikey.Rotation{})
			return err
		}, new(apikey.ForbiddenError)},
		{"key with an end adds a public key to a key without", saving, func(r *rig) apikey.Key {
			key, _ := r.create(admin, "team-a", "project.list")
			return key
		}, func(r *rig, a apikey.Actor, k apikey.Key) error {
			return errOf(r.AddCredential(ctx, a, k.ID, aPublicKey("laptop")))
		}, new(apikey.ForbiddenError)},
		{"key adds a public key to a sibling within itself", forever, func(r *rig) apikey.Key {
			key, _ := r.create(admin, "team-a", "project.list")
			return key
		}, func(r *rig, a apikey.Actor, k apikey.Key) error {
			return errOf(r.AddCredential(ctx, a, k.ID, aPublicKey("laptop")))
		}, nil},
		{"key with an end takes the end from another", saving, func(r *rig) apikey.Key {
			key, _ := r.create(admin, "team-a", "project.list", inOneHour)
			return key
		}, update(apikey.Changes{Expiry: &apikey.Expiry{}}), new(apikey.ForbiddenError)},
	} {
		t.Run("B21 "+tc.name, func(t *testing.T) {
			r := newRig(t, trusting)
			var target apikey.Key
			if tc.target != nil {
				target = tc.target(r)
			}
			err := r.note(tc.do(r, tc.actor(r), target))
			switch want := tc.want.(type) {
			case nil:
				require.NoError(t, err)
			case *apikey.InvalidError:
				require.ErrorAs(t, err, &want)
			case *apikey.ForbiddenError:
				require.ErrorAs(t, err, &want)
			default:
				require.ErrorIs(t, err, tc.want)
			}
			if tc.want != nil && tc.target != nil {
				after, err := r.Get(ctx, admin, target.ID)
				require.NoError(t, err)
				require.Equal(t, target.Permissions.String(), after.Permissions.String())
				require.Equal(t, target.NotAfter, after.NotAfter)
				require.Equal(t, target.Credentials[0].ID, after.Credentials[0].ID)
			}
		})
	}
}

// TestKeyAndItself tests that a key may rotate its own secret and do nothing else
// to itself.
func TestKeyAndItself(t *testing.T) {
	for _, act := range acts {
		t.Run("B21 "+act.name, func(t *testing.T) {
			r := newRig(t)
			key, _ := r.create(admin, "team-a", "keys.list keys.save keys.delete")
			err := r.note(act.do(r, with(key.Credentials[0].ID, key), key))
			switch act.name {
			case "Get", "List", "Events", "Workspace", "Create", "Rotate":
				require.NoError(t, err)
			case "Import":
				require.ErrorAs(t, err, new(*apikey.InvalidError), "it is not switched on")
			default:
				require.ErrorAs(t, err, new(*apikey.ForbiddenError))
			}
		})
	}
	for _, tc := range []struct {
		name     string
		holds    string
		token    scope.Set
		rotation apikey.Rotation
		works    bool
	}{
		{"with the permission for it", "keys.rotate project.list", catalog.All(), apikey.Rotation{}, true},
		{"with the one to change keys", "keys.save project.list", catalog.All(), apikey.Rotation{}, true},
		{"admin permissions of its own are no obstacle", "keys.rotate admin.project.list", catalog.All(), apikey.Rotation{}, true},
		{"with a grace", "keys.rotate project.list", catalog.All(), apikey.Rotation{Grace: time.Hour}, true},
		{"without", "project.list", catalog.All(), apikey.Rotation{}, false},
		{"token without it", "keys.rotate project.list", perms("project.list"), apikey.Rotation{}, false},
		{"token with less than the key", "keys.rotate project.list", perms("keys.rotate"), apikey.Rotation{}, false},
		{"and its name", "keys.rotate", catalog.All(), apikey.Rotation{Changes: apikey.Changes{Name: ptr("x")}}, false},
		{"and its permissions", "keys.rotate project.list", catalog.All(), apikey.Rotation{Changes: apikey.Changes{Permissions: ptr(perms("keys.rotate"))}}, false},
		{"and its expiry", "keys.rotate", catalog.All(), apikey.Rotation{Changes: apikey.Changes{Expiry: &apikey.Expiry{}}}, false},
	} {
		t.Run("B21 rotates itself "+tc.name, func(t *testing.T) {
			r := newRig(t)
			key, old := r.create(admin, "team-a", tc.holds)
			_, secret, err := r.Rotate(t.Context(), apikey.ByKey(key.ID, tc.token, key.Credentials[0].ID), key.ID, tc.rotation)
			if !tc.works {
				require.ErrorAs(t, r.note(err), new(*apikey.ForbiddenError))
				r.mustLogin(key.ID, old)
				return
			}
			require.NoError(t, err)
			r.keep(secret.Reveal())
			require.Equal(t, key.Permissions.String(), r.mustLogin(key.ID, secret).Permissions.String())
			event := r.events(store.EventQuery{Action: audit.Rotate})[0]
			require.Equal(t, store.ActorRef{Kind: "key", ID: key.ID}, event.Actor)
		})
	}
}

func TestChildOfAKey(t *testing.T) {
	r := newRig(t)
	date, err := apikey.ParseExpiry("2026-12-31")
	require.NoError(t, err)
	creator, _ := r.create(admin, "team-a", "keys.save project.list", func(s *apikey.Spec) { s.Expiry = date })
	child, _ := r.create(apikey.ByKey(creator.ID, catalog.All(), ""), "team-a", "project.list")
	require.Equal(t, store.ActorRef{Kind: "key", ID: creator.ID}, child.CreatedBy)
	require.Equal(t, "2026-12-31", child.NotAfterText, "without an expiry it has its creator's")
	require.Equal(t, creator.NotAfter, child.NotAfter)

	t.Run("B21 under a rule that ends its creator", func(t *testing.T) {
		_, err := r.SaveSettings(t.Context(), admin, store.InstanceSettings{Instance: store.Instance{Rules: store.Rules{MaxLifetime: 24 * time.Hour, EnforcedFrom: noon}}})
		require.NoError(t, err)
		r.clock.Advance(time.Hour)
		_, _, err = r.tryCreate(apikey.ByKey(creator.ID, catalog.All(), ""), "team-a", "project.list", func(s *apikey.Spec) {
			s.Expiry = apikey.Expiry{At: noon.Add(24*time.Hour + time.Second)}
		})
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
		child, _ := r.create(apikey.ByKey(creator.ID, catalog.All(), ""), "team-a", "project.list")
		require.Equal(t, noon.Add(24*time.Hour), child.NotAfter)
		require.Empty(t, child.NotAfterText)
	})
}

// TestPermissionThatLeftTheCatalog tests which actors may rotate a key with a
// permission that was removed from the catalog.
func TestPermissionThatLeftTheCatalog(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(admin, "team-a", "project.list project.save keys.rotate")
	smaller := rigOn(t, r.store, func(c *apikey.Config) {
		c.Permissions = scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}, {Name: "keys.rotate"}}})
		c.Management = apikey.Management{RotateOwn: "keys.rotate"}
	})
	for range 3 {
		require.Equal(t, "keys.rotate project.list", smaller.mustLogin(key.ID, secret).Permissions.String())
	}
	require.Equal(t, 1, strings.Count(smaller.logs.String(), "no longer in the catalog"))
	_, err := smaller.loginFor(key.ID, secret.Reveal(), perms("project.save"))
	var missing *apikey.RefusedError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, "project.save", missing.Missing.String())

	_, _, err = smaller.Rotate(t.Context(), owner, key.ID, apikey.Rotation{})
	require.ErrorAs(t, err, new(*apikey.ForbiddenError), "another replica may still know it, at whatever level")
	_, secret = smaller.rotate(admin, key.ID, apikey.Rotation{})
	_, err = smaller.Disable(t.Context(), owner, key.ID, 0)
	require.NoError(t, err)
	_, err = smaller.Enable(t.Context(), admin, key.ID, 0)
	require.NoError(t, err)
	require.Equal(t, "keys.rotate project.list project.save", r.mustLogin(key.ID, secret).Permissions.String())
}

// TestEscalationProperty tests with many actors and random actions that no key ever
// holds more than the last actor that gave it something could grant at that time.
func TestEscalationProperty(t *testing.T) {
	for i := range harness.Rounds(150, 20_000) {
		seed := uint64(i)
		if !t.Run(fmt.Sprint("B21 seed ", seed), func(t *testing.T) { crowd(t, rand.New(rand.NewPCG(seed, 21)), 40) }) {
			return
		}
	}
}

// member is one of the actors, with the permissions that it can grant by this
// test's own computation.
type grantor struct {
	actor  apikey.Actor
	grants func() (permissions scope.Set, end time.Time)
}

func crowd(t *testing.T, random *rand.Rand, steps int) {
	ctx := context.Background()
	r := newRig(t)
	plain := catalog.All().Minus(catalog.Admin())
	people := []grantor{
		{admin, func() (scope.Set, time.Time) { return catalog.All(), time.Time{} }},
		{owner, func() (scope.Set, time.Time) { return plain, time.Time{} }},
		{manager.Granting(perms("project.list keys.save")), func() (scope.Set, time.Time) { return perms("project.list keys.save"), time.Time{} }},
		{apikey.Owner("mallory"), func() (scope.Set, time.Time) { return scope.Set{}, time.Time{} }},
	}
	var ids []string
	ceilings := make(map[string]scope.Set)
	set := func() scope.Set {
		names := catalog.All().Names()
		random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		some, err := scope.Of(names[:random.IntN(5)]...)
		require.NoError(t, err)
		return some
	}
	expiry := func() apikey.Expiry {
		if random.IntN(3) == 0 {
			return apikey.Expiry{}
		}
		return apikey.Expiry{At: r.clock.Now().Add(time.Duration(1+random.IntN(100)) * time.Minute)}
	}
	for range steps {
		r.clock.Advance(time.Duration(random.IntN(5)) * time.Minute)
		g := people[random.IntN(len(people))]
		if len(ids) > 0 && random.IntN(2) == 0 {
			id, token := ids[random.IntN(len(ids))], set().Union(perms("keys.save"))
			g = grantor{apikey.ByKey(id, token, ""), func() (scope.Set, time.Time) {
				k, err := r.Get(ctx, admin, id)
				require.NoError(t, err)
				return k.Permissions.Intersect(token), k.NotAfter
			}}
		}
		grants, end := g.grants()
		gave := func(k apikey.Key) {
			if g.actor.Ref().ID == k.ID {
				return // it rotated itself: nothing new
			}
			if g.actor.Ref().Kind == "key" {
				grants = grants.Minus(catalog.Admin())
			}
			require.True(t, end.IsZero() || !k.NotAfter.IsZero() && !k.NotAfter.After(end), "%s outlives %s", k.ID, g.actor.Ref().ID)
			ceilings[k.ID] = grants
		}
		id := ""
		if len(ids) > 0 {
			id = ids[random.IntN(len(ids))]
		}
		switch random.IntN(9) {
		case 0, 1:
			key, _, err := r.tryCreate(g.actor, []string{"team-a", "team-b"}[random.IntN(4)/3], set().String(), func(s *apikey.Spec) { s.Expiry = expiry() })
			if err == nil {
				ids = append(ids, key.ID)
				gave(key)
			}
		case 2:
			before, _ := r.Get(ctx, admin, id)
			wanted := set()
			key, err := r.Update(ctx, g.actor, id, apikey.Changes{Permissions: &wanted})
			if err == nil && !before.Permissions.ContainsAll(key.Permissions) {
				gave(key)
			}
		case 3:
			before, _ := r.Get(ctx, admin, id)
			key, err := r.Update(ctx, g.actor, id, apikey.Changes{Expiry: ptr(expiry())})
			if err == nil && !before.NotAfter.IsZero() && (key.NotAfter.IsZero() || key.NotAfter.After(before.NotAfter)) {
				gave(key)
			}
		case 4:
			key, secret, err := r.Rotate(ctx, g.actor, id, apikey.Rotation{Grace: time.Duration(random.IntN(2)) * time.Minute})
			if err == nil {
				r.keep(secret.Reveal())
				gave(key)
			}
		case 5:
			_, _ = r.Disable(ctx, g.actor, id, 0)
		case 6:
			before, _ := r.Get(ctx, admin, id)
			if key, err := r.Enable(ctx, g.actor, id, 0); err == nil && before.Disabled {
				gave(key)
			}
		case 7:
			_, _ = r.Update(ctx, g.actor, id, apikey.Changes{Name: ptr("renamed")})
		case 8:
			if key, err := r.AddCredential(ctx, g.actor, id, aPublicKey("laptop")); err == nil {
				require.NotEqual(t, key.ID, g.actor.Ref().ID, "a key adds nothing to itself")
				gave(key)
			}
		}
		for _, id := range ids {
			key, err := r.Get(ctx, admin, id)
			require.NoError(t, err)
			require.True(t, ceilings[id].ContainsAll(key.Permissions), "%s holds %s, and could be given %s", id, key.Permissions, ceilings[id])
		}
	}
}
