package apikey

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Changes are the changes to make to a key. A nil field changes nothing.
type Changes struct {
	Name        *string
	Permissions *scope.Set // wildcards allowed
	Expiry      *Expiry    // the zero Expiry removes it
	Resources   *[]string  // resource indicators, of Config.Resources
	Direct      *bool      // see Spec.Direct
	// Version, unless 0, is the version of the key that the caller read. If the key
	// has another one by now, the error is store.ErrConflict.
	Version int64
}

// Rotation are the options of Rotate.
type Rotation struct {
	// Grace is how long the other secrets still work, from 0 to 366 days. 0: they
	// are retired and every token issued for them is revoked at once. Public keys and trusts
	// stay as they are.
	Grace time.Duration
	// Changes are made to the key in the same write.
	Changes Changes
	// Replaces, unless empty, is the id of a secret that was created and then lost,
	// before anybody used it. It ends at once. The other secrets end when they would
	// end without this rotation, and Grace has no effect. If the key does not have
	// that secret, or a program has logged in with it, the error is an *InvalidError. A
	// login at another replica is known once that replica has called Flush.
	Replaces string
	// Once is as in Spec.
	Once *store.OnceID
}

// Update changes a key's name, permissions, expiry, resources or direct use. If it takes
// away permissions or resources or sets an earlier expiry, it revokes the key's tokens.
// If it adds any, sets a later expiry, allows direct use or changes the name, the actor
// must be able to grant all permissions that the key then holds. A set of permissions
// equal to the one given before, wildcards included, changes nothing, unless an organization admin gives it and some of the
// key's permissions became admin permissions; see Key.Withheld. A call that changes
// nothing writes nothing.
//
// The errors of this and of the other methods that change one key:
// store.ErrNotFound if there is no such key or the actor has no right in its
// workspace, *ForbiddenError, *InvalidError, *policy.Denied, store.ErrConflict if
// another call changed the key at the same time, store.ErrUnavailable.
func (s *Service) Update(ctx context.Context, actor Actor, id string, c Changes) (Key, error) {
	return s.alter(ctx, actor, id, alteration{
		action: audit.Update, policy: policy.ActionUpdate, version: c.Version,
		apply: func(p powers, k *store.Key, now time.Time) error { return s.applyChanges(p, k, c, now) },
	})
}

// Rotate adds a new secret, and lets the other secrets expire after the grace. A key
// without a secret gets one. The secret is returned here and can never be read again. A key
// may rotate its own secret if it logged in with one. If two rotations run at once, one succeeds and
// the other returns store.ErrConflict. AddCredential replaces public keys and trusts.
func (s *Service) Rotate(ctx context.Context, actor Actor, id string, r Rotation) (Key, Secret, error) {
	var bad InvalidError
	bad.addIf(r.Grace < 0 || r.Grace > maxGrace, "grace", "It must be from 0 to 366 days.")
	if checkOnce(&bad, r.Once, s.now()); len(bad.Problems) > 0 {
		return Key{}, Secret{}, &bad
	}
	secret, err := secrets.New(s.cfg.Random, s.cfg.SecretPrefixes[0])
	if err != nil {
		return Key{}, Secret{}, fmt.Errorf("apikey: rotate: %w", err)
	}
	key, err := s.alter(ctx, actor, id, alteration{
		action: audit.Rotate, policy: policy.ActionRotate, version: r.Changes.Version, once: r.Once, gives: true,
		apply: func(p powers, k *store.Key, now time.Time) error {
			if err := p.mayRotateWith(k, r.Changes); err != nil {
				return err
			}
			expiry := k.NotAfter
			if err := s.applyChanges(p, k, r.Changes, now); err != nil {
				return err
			}
			if r.Replaces != "" {
				if err := s.removeUnused(k, r.Replaces); err != nil {
					return err
				}
			}
			for i := range k.Credentials {
				old := &k.Credentials[i]
				if old.IsSecret() && r.Replaces == "" {
					old.NotAfter = earlier(now.Add(r.Grace), old.NotAfter)
				}
				// A later expiry applies to the new secret, not to the old ones.
				if old.IsSecret() && outlives(old.NotAfter, expiry) {
					old.NotAfter = expiry
				}
			}
			added := s.secretRecord(k, secret, p.actor.ref, now)
			if err := addCredential(k, added, "", now); err != nil {
				return err
			}
			return s.record(ctx, entriesOf(added)...)
		},
	})
	if err != nil {
		return Key{}, Secret{}, err
	}
	return key, secret, nil
}

const maxGrace = 366 * 24 * time.Hour

// alteration is one change of one key.
type alteration struct {
	action  string
	policy  policy.Action // empty: no policy is asked, since the action only takes away
	version int64
	once    *store.OnceID
	now     time.Time
	// gives says that the action gives a credential or enables the key, whatever else it
	// changes.
	gives bool
	// narrows says that the action only takes away. If another call changes the key
	// meanwhile, the action is attempted again on the changed key.
	narrows bool
	apply   func(p powers, k *store.Key, now time.Time) error
}

// alter makes one change of one key. It reads the actor's powers, applies the
// change, asks the policies, checks the actor's powers over the result, and makes
// one write whose preconditions name the records that it read.
func (s *Service) alter(ctx context.Context, actor Actor, id string, a alteration) (Key, error) {
	a.now = s.now()
	return retry(func() (Key, error) { return s.alterOnce(ctx, actor, id, &a) })
}

func (s *Service) alterOnce(ctx context.Context, actor Actor, id string, a *alteration) (Key, error) {
	p, found, err := s.find(ctx, actor, a.action, id)
	if err != nil {
		return Key{}, err
	}
	before := found.Key
	if a.version != 0 && a.version != before.Version {
		return Key{}, fmt.Errorf("apikey: %s: %w", a.action, store.ErrConflict)
	}
	if !a.narrows {
		// A later attempt must find the same version: if two rotations run at once,
		// only one may succeed.
		a.version = before.Version
	}
	after := before.Clone()
	after.Updated = a.now
	if err := a.apply(p, &after, a.now); err != nil {
		return Key{}, err
	}
	changed := changedFields(&before, &after)
	if len(changed) == 0 {
		return s.keyOf(&found, a.now), nil
	}
	conditions := p.keyPreconditions()
	if a.policy != "" {
		conditions = p.policyPreconditions(found.Workspace, found.Instance)
		if err := s.askAltered(ctx, actor, a, &found, &after); err != nil {
			return Key{}, err
		}
	}
	if gives := a.gives || widens(&before, &after); gives || after.Name != before.Name {
		if err := p.mayGrant(a.action, &after, s.raised(&before).Intersect(s.raised(&after)), gives); err != nil {
			return Key{}, err
		}
	}
	change, err := s.newChange(a.now, p.actor, eventOf(a.action, &after, changed))
	if err != nil {
		return Key{}, err
	}
	change.Once, change.Preconditions, change.RevokeTokens = onceOf(a.once, id), conditions, revokesTokens(&before, &after)
	if err := s.store.Keys.Update(ctx, after, change); err != nil {
		return Key{}, writeError(a.action, err)
	}
	after.Version++
	found.Key = after
	return s.keyOf(&found, a.now), nil
}

// askAltered asks the host and the policies about the changed key.
func (s *Service) askAltered(ctx context.Context, actor Actor, a *alteration, found *store.Found, after *store.Key) error {
	if a.gives {
		if err := s.mustBeActive(ctx, a.action, after.Workspace); err != nil {
			return err
		}
	}
	_, err := s.askKeyPolicy(ctx, policy.KeyRequest{
		Action: a.policy, Now: a.now, Actor: actor.ref, Address: actor.Address,
		Workspace: found.Workspace, Instance: s.effective(found.Instance),
	}, &found.Key, after)
	return err
}

// applyChanges makes the caller's changes in k.
func (s *Service) applyChanges(p powers, k *store.Key, c Changes, now time.Time) error {
	var bad InvalidError
	if c.Name != nil {
		checkText(&bad, "name", *c.Name)
		k.Name = *c.Name
	}
	if c.Expiry != nil && (!micro(c.Expiry.At).Equal(k.NotAfter) || c.Expiry.Date != k.NotAfterText) {
		checkExpiry(&bad, *c.Expiry, now)
		k.NotAfter, k.NotAfterText = micro(c.Expiry.At), c.Expiry.Date
	}
	if c.Resources != nil {
		k.Resources = s.checkResources(&bad, *c.Resources)
	}
	if c.Direct != nil {
		k.Direct = *c.Direct
	}
	if c.Permissions != nil && (!c.Permissions.Equal(k.RequestedPermissions) || p.admin() && s.raised(k).Len() > 0) {
		k.Permissions, k.RequestedPermissions = s.expand(&bad, *c.Permissions, p.admin()), *c.Permissions
		k.AdminPermissions = s.grantedAdmin(p, k.Permissions, k.AdminPermissions)
	}
	return bad.orNil()
}

// grantedAdmin returns which of a key's permissions are granted as admin
// permissions: those granted so before, and those that an organization admin grants
// now.
func (s *Service) grantedAdmin(p powers, permissions, before scope.Set) scope.Set {
	if p.admin() {
		before = before.Union(s.cfg.Permissions.Admin())
	}
	return permissions.Intersect(before)
}

// widens reports whether the key may do more, or longer, than before.
func widens(before, after *store.Key) bool {
	return !before.Permissions.ContainsAll(after.Permissions) || !before.AdminPermissions.ContainsAll(after.AdminPermissions) || outlives(after.NotAfter, before.NotAfter) ||
		lacks(before.Resources, after.Resources) || after.Direct && !before.Direct
}

// revokesTokens reports whether the change must raise the key's epoch, because older
// tokens would allow more than the key does now. If one credential is removed, its own
// tokens are revoked without that. If all are removed or have ended, the epoch is raised
// too, for a verifier that checks only epochs.
func revokesTokens(before, after *store.Key) bool {
	stays := func(c store.Credential) bool {
		return !expired(c.NotAfter, after.Updated) && before.Credential(c.ID) != nil
	}
	return after.Disabled && !before.Disabled || len(before.Credentials) > 0 && !slices.ContainsFunc(after.Credentials, stays) ||
		!after.Permissions.ContainsAll(before.Permissions) || outlives(before.NotAfter, after.NotAfter) ||
		lacks(after.Resources, before.Resources)
}
