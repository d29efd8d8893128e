package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Actor is who manages keys: an organization admin, an owner of workspaces, or
// a key. The host decides who it is, and makes the Actor anew for every
// request. The zero Actor may do nothing.
type Actor struct {
	ref        store.ActorRef
	workspaces []string
	limited    bool
	limit      scope.Set
	secret     string
}

// Kinds of actors, in records.
const (
	kindAdmin = "admin"
	kindOwner = "owner"
	kindKey   = "key"
)

// OrganizationAdmin is a person, or the host's own code, that manages every
// workspace and may grant every permission. id is the host's, for the record.
func OrganizationAdmin(id string) Actor {
	return Actor{ref: store.ActorRef{Kind: kindAdmin, ID: id}}
}

// Owner is a person who manages the keys of the given workspaces and may grant
// every permission that is not of the admin level. It is for whoever has these
// rights in the host: where a workspace has owners and managers, both are an
// Owner here. Without workspaces it may do nothing. id is the host's.
func Owner(id string, workspaces ...string) Actor {
	return Actor{ref: store.ActorRef{Kind: kindOwner, ID: id}, workspaces: slices.Clone(workspaces)}
}

// ByKey is a key that manages keys, as far as Config.Management lets it. What
// it may do is read from its record at the time of each call, and never more
// than granted, which is the scope of the token it came with. It may hand on
// what it holds, but for permissions of the admin level.
func ByKey(id string, granted scope.Set) Actor {
	return Actor{ref: store.ActorRef{Kind: kindKey, ID: id}, limited: true, limit: granted}
}

// Granting returns the actor, who may then grant permissions of s only.
func (a Actor) Granting(s scope.Set) Actor {
	if a.limited {
		s = s.Intersect(a.limit)
	}
	a.limited, a.limit = true, s
	return a
}

// WithSecret returns the actor, a key, limited to acting while the key has the
// secret with this id, which is the one that its token came from. A request that
// was let in before the secret ended then changes nothing after it. An empty id is
// no limit.
func (a Actor) WithSecret(id string) Actor {
	a.secret = id
	return a
}

// Ref returns the actor's name for the record.
func (a Actor) Ref() store.ActorRef { return a.ref }

// powers is what an actor may do at one moment.
type powers struct {
	actor Actor
	// everywhere is what the actor may do in every workspace, and own what it may do
	// in those of workspaces besides.
	everywhere, own rights
	workspaces      []string
	// grants is what the actor may hand on.
	grants scope.Set
	// admin says that the actor is an organization admin: settings are open to it, and
	// its wildcards reach admin permissions.
	admin bool
	// key is the acting key's record, nil for a person. around is that record with
	// the settings that were read with it. end is the instant from which the key is
	// expired, under the administrator's rules too; zero is never.
	key    *store.Key
	around *store.Found
	end    time.Time
}

type rights struct {
	list, save, remove bool
}

// powersOf reads what the actor may do now. An acting key that is not live
// may do nothing.
func (s *Service) powersOf(ctx context.Context, a Actor) (powers, error) {
	all := rights{true, true, true}
	catalog := s.cfg.Permissions
	p := powers{actor: a}
	switch a.ref.Kind {
	case kindAdmin:
		p.everywhere, p.grants, p.admin = all, catalog.All(), true
	case kindOwner:
		p.own, p.workspaces = all, a.workspaces
		p.grants = catalog.All().Minus(catalog.Admin())
	case kindKey:
		found, err := s.lookup(ctx, a.ref.ID)
		if errors.Is(err, store.ErrNotFound) {
			return p, &ForbiddenError{Action: "act", Reason: "The acting key does not exist any more."}
		}
		if err != nil {
			return p, fmt.Errorf("apikey: read the acting key: %w", err)
		}
		now := s.now()
		found.Instance = s.effective(found.Instance)
		standing, err := s.standingOf(ctx, &found, now)
		if err != nil {
			return p, err
		}
		if !standing.Live() {
			return p, &ForbiddenError{Action: "act", Reason: standing.Text}
		}
		if a.secret != "" && !slices.ContainsFunc(found.Key.Secrets, func(s store.Secret) bool { return s.ID == a.secret && !ended(s.NotAfter, now) }) {
			return p, &ForbiddenError{Action: "act", Reason: "The secret that the acting key logged in with has ended."}
		}
		p.key, p.around, p.end = &found.Key, &found, standing.Ends
		p.workspaces = []string{found.Key.Workspace}
		held := s.issuable(&found.Key).Intersect(a.limit)
		m := s.cfg.Management
		p.own = rights{holds(held, m.List), holds(held, m.Save), holds(held, m.Delete)}
		p.everywhere = rights{holds(held, m.AdminList), holds(held, m.AdminSave), holds(held, m.AdminDelete)}
		// What reaches every workspace only an organization admin hands on.
		p.grants = held.Minus(catalog.Admin())
	}
	if a.limited {
		p.grants = p.grants.Intersect(a.limit)
	}
	return p, nil
}

func holds(held scope.Set, name string) bool { return name != "" && held.Has(name) }

// in returns the actor's rights in one workspace.
func (p powers) in(workspace string) rights {
	r := p.everywhere
	if slices.Contains(p.workspaces, workspace) {
		r.list = r.list || p.own.list
		r.save = r.save || p.own.save
		r.remove = r.remove || p.own.remove
	}
	return r
}

// maxDepth is how deep keys may make keys at most, so that a walk over all that
// one of them made is short.
const maxDepth = 3

// mayDescend refuses an acting key that is too deep to make another: keys of at most
// the given depth may be made.
func (p powers) mayDescend(action string, most int) error {
	if p.key == nil || p.key.Depth < most {
		return nil
	}
	reason := fmt.Sprintf("Keys made by keys may be at most %d deep, and the acting key is as deep already.", most)
	return &ForbiddenError{Action: action, Reason: reason}
}

// depth is that of a key which the actor makes.
func (p powers) depth() int {
	if p.key == nil {
		return 0
	}
	return p.key.Depth + 1
}

// any reports whether there is at least one right.
func (r rights) any() bool { return r.list || r.save || r.remove }

// self reports whether the acting key is the given one.
func (p powers) self(id string) bool { return p.key != nil && p.key.ID == id }

// mayYield checks an act that gives a key a secret or a new name, or that enables,
// prolongs or widens it: the actor must be able to grant all that the key then holds.
// gives is false for a new name alone. An acting key gives no resource that it lacks and
// no life longer than its own.
//
// raised are the permissions that the key held before they became admin permissions. They
// stay out of its tokens, so a person need not be able to grant them.
func (p powers) mayYield(action string, after *store.Key, raised scope.Set, gives bool) error {
	grants := p.grants
	switch {
	case p.self(after.ID):
		grants = p.key.Permissions.Intersect(p.actor.limit)
	case p.admin && !p.actor.limited:
		// All, also what has left the catalog since: nobody else could ever
		// rotate or enable such a key again.
		grants = after.Permissions
	}
	missing := after.Permissions.Minus(grants)
	if p.key == nil {
		missing = missing.Minus(raised)
	}
	if missing.Len() > 0 {
		return &ForbiddenError{Action: action, Reason: "The key would hold permissions that you may not grant.", Missing: missing}
	}
	if gives && p.key != nil && !p.self(after.ID) && lacks(p.key.Resources, after.Resources) {
		return &ForbiddenError{Action: action, Reason: "The key would be allowed resources that the acting key is not allowed."}
	}
	if gives && p.key != nil && !p.self(after.ID) && outlives(after.NotAfter, p.end) {
		return &ForbiddenError{Action: action, Reason: "The key would outlive the acting key; give it an earlier expiry."}
	}
	return nil
}

// outlives compares two expiries; zero is never.
func outlives(a, b time.Time) bool {
	return !b.IsZero() && (a.IsZero() || a.After(b))
}
