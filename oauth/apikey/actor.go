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
//
// secret is the id of the secret that the token came from: the actor may act while
// the key has it, so that a request that was let in before the secret ended changes
// nothing after it. Empty is no such limit.
func ByKey(id string, granted scope.Set, secret string) Actor {
	return Actor{ref: store.ActorRef{Kind: kindKey, ID: id}, limited: true, limit: granted, secret: secret}
}

// Granting returns the actor, who may then grant permissions of s only.
func (a Actor) Granting(s scope.Set) Actor {
	if a.limited {
		s = s.Intersect(a.limit)
	}
	a.limited, a.limit = true, s
	return a
}

// Ref returns the actor's name for the record.
func (a Actor) Ref() store.ActorRef { return a.ref }
