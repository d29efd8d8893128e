package apikey

import (
	"slices"

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
