package apikey

import (
	"net/netip"
	"slices"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Actor is the person or key that calls a management method: an organization admin,
// an owner of workspaces, or a key. The host authenticates it and makes a new Actor
// for each request. The zero Actor may do nothing.
type Actor struct {
	ref        store.ActorRef
	workspaces []string
	limited    bool
	limit      scope.Set
	credential string
	// Name is for people. Audit events show it beside the id: characters that cannot be
	// printed are replaced there, and it is cut after 1024 bytes. An acting key has the name
	// in its record instead.
	Name string
	// Address is the IP address that the request came from, for policies and audit events.
	// The zero Addr means unknown.
	Address netip.Addr
}

// Kinds of actors, in records. The event of RevokeSecret has the kind "holder", and that
// of ReportLeak "scanner", which no Actor of a caller has.
const (
	kindAdmin = "admin"
	kindOwner = "owner"
	kindKey   = "key"
)

// OrganizationAdmin returns an actor that manages every workspace and may grant
// every permission: a person, or the host's own code. id is the host's identifier
// for it; records and audit events show it.
func OrganizationAdmin(id string) Actor {
	return Actor{ref: store.ActorRef{Kind: kindAdmin, ID: id}}
}

// Owner returns an actor for a person who manages the keys of the given workspaces
// and may grant every permission but admin permissions. Use it for every
// person with these rights in the host: if a workspace has owners and managers,
// both are an Owner here. Without workspaces it may do nothing. id is as in
// OrganizationAdmin.
func Owner(id string, workspaces ...string) Actor {
	return Actor{ref: store.ActorRef{Kind: kindOwner, ID: id}, workspaces: slices.Clone(workspaces)}
}

// ByKey returns an actor for a key that manages keys, as far as Config.Management
// allows. Its rights are read from the key's record at each call, and limited to
// granted, the scope of the token that the request carried. It may grant the
// permissions that it holds, except admin permissions.
//
// credential is the id of the credential that the token was issued for. Once the key no
// longer has that credential, the actor may do nothing, even in a request whose token was
// checked before that. Empty: the credential is not checked, and the key may not rotate
// itself.
func ByKey(id string, granted scope.Set, credential string) Actor {
	return Actor{ref: store.ActorRef{Kind: kindKey, ID: id}, limited: true, limit: granted, credential: credential}
}

// Granting returns a copy of the actor that may grant only permissions of s. If the actor
// is a key, it also loses the rights of the permissions in Config.Management that are not
// in s.
func (a Actor) Granting(s scope.Set) Actor {
	if a.limited {
		s = s.Intersect(a.limit)
	}
	a.limited, a.limit = true, s
	return a
}

// Ref returns the actor's kind and id as records and audit events store them.
func (a Actor) Ref() store.ActorRef { return a.ref }
