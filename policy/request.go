package policy

import (
	"net/netip"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Action is the kind of change to a key.
type Action string

// The actions that CheckKey sees.
const (
	ActionCreate Action = "create"
	ActionImport Action = "import"
	ActionUpdate Action = "update"
	ActionRotate Action = "rotate"
	ActionEnable Action = "enable"
	// ActionAdd adds a public key or a trust to a key.
	ActionAdd Action = "add_credential"
)

// KeyRequest is a key that is about to be stored. A policy reads the fields, and
// narrows the key through the methods. A KeyRequest belongs to one request and is not
// safe for concurrent use.
type KeyRequest struct {
	Action Action
	// Now is the time of the request.
	Now time.Time
	// Actor is the person or key that makes the request.
	Actor store.ActorRef
	// Address is the client's, or invalid if the host does not supply it.
	Address netip.Addr
	// Workspace and Instance are the settings that apply to the key.
	// Workspace.Keys is the number of keys at the time of reading.
	Workspace store.Workspace
	Instance  store.Instance
	// Before is the stored key; nil for ActionCreate and ActionImport.
	Before *store.Key
	// After is the key that would be stored. The digests are empty.
	After *store.Key

	// proposed is the key that the caller proposed. Policies cannot change it.
	proposed *store.Key
	limited  bool
	limit    int
}

// NewKeyRequest returns a request with copies of Before and After. It is for code
// that runs policies and then stores Result. After must not be nil.
func NewKeyRequest(facts KeyRequest) *KeyRequest {
	proposed, after := *facts.After, facts.After.Clone()
	facts.proposed, facts.After = &proposed, &after
	if facts.Before != nil {
		before := facts.Before.Clone()
		facts.Before = &before
	}
	return &facts
}

// Result returns the key to store. It is the After that was passed to
// NewKeyRequest, with only those of its permissions that r.After has too, and with
// the expiry of r.After if that is earlier. Whatever else a policy wrote into
// r.After is ignored.
func (r *KeyRequest) Result() store.Key {
	if r.proposed == nil {
		return r.After.Clone()
	}
	key := r.proposed.Clone()
	key.Permissions = key.Permissions.Intersect(r.After.Permissions)
	if earlier(r.After.NotAfter, key.NotAfter) {
		key.NotAfter, key.NotAfterText = r.After.NotAfter, ""
	}
	return key
}

// LimitKeys lowers the number of keys that the workspace may hold. n below 0 counts as
// 0. It has an effect for ActionCreate and ActionImport only. The store enforces the
// limit in the step that adds the key.
func (r *KeyRequest) LimitKeys(n int) {
	if n = max(n, 0); !r.limited || n < r.limit {
		r.limited, r.limit = true, n
	}
}

// Limit returns the lowest limit so far, or store.NoLimit.
func (r *KeyRequest) Limit() int {
	if !r.limited {
		return store.NoLimit
	}
	return r.limit
}

// ShortenTo moves the key's expiry to t if that is earlier, or if the key had
// none. The zero time changes nothing.
func (r *KeyRequest) ShortenTo(t time.Time) {
	if earlier(t, r.After.NotAfter) {
		r.After.NotAfter, r.After.NotAfterText = t, ""
	}
}

// Drop removes permissions from the key.
func (r *KeyRequest) Drop(s scope.Set) {
	r.After.Permissions = r.After.Permissions.Minus(s)
}

// ExtendsLife reports whether the request makes the key usable again or for longer:
// the key is created or imported, gets a new credential, is enabled, or expires later
// than before.
func (r *KeyRequest) ExtendsLife() bool {
	if r.Before == nil || r.Action == ActionRotate || r.Action == ActionAdd || r.Action == ActionEnable {
		return true
	}
	return earlier(r.Before.NotAfter, r.After.NotAfter)
}

// LifetimeStart returns the instant from which a maximum lifetime of d counts for k: when
// its newest credential was created, or k itself if it has none. If an older credential
// does not end by itself within d from then, it is when the oldest such one was created: a
// credential that is added does not prolong the life of those that the key has.
func LifetimeStart(k *store.Key, d time.Duration) time.Time {
	newest := k.Created
	for i, c := range k.Credentials {
		if i == 0 || c.Created.After(newest) {
			newest = c.Created
		}
	}
	start := newest
	for _, c := range k.Credentials {
		if (c.NotAfter.IsZero() || c.NotAfter.After(newest.Add(d))) && c.Created.Before(start) {
			start = c.Created
		}
	}
	return start
}

// Use is what a key is used for.
type Use uint8

// The uses that CheckToken sees.
const (
	// UseLogin is a login, which issues a token. It is the zero value.
	UseLogin Use = iota
	// UseIntrospect is a request about another token (RFC 7662). No token is issued.
	// Granted is what the key holds. The answer is made as if the key did not hold
	// the permissions that a policy drops, such as the one to introspect the tokens
	// of other workspaces.
	UseIntrospect
	// UseDirect is a request that carries the key's secret in place of a token. No
	// token is issued. Granted is what the key holds, and the request is decided as if
	// it did not hold the permissions that a policy drops. NotAfter is when the key or
	// its secret expires, zero for never, and a policy that shortens it changes nothing.
	UseDirect
)

// TokenRequest is the use of a live key of which a credential was verified: a login,
// unless Use says otherwise. A policy reads the fields, and narrows the token through the
// methods. A TokenRequest belongs to one request and is not safe for concurrent use.
type TokenRequest struct {
	// Use is what the key is used for.
	Use Use
	// Now is the time of the request.
	Now time.Time
	// Address is the client's, or invalid if the host does not supply it.
	Address netip.Addr
	// Workspace and Instance are the settings that apply to the key.
	Workspace store.Workspace
	Instance  store.Instance
	// Key is the key, and Credential is the one that the program proved. The digests
	// are empty.
	Key        *store.Key
	Credential store.Credential
	// Identity is what a trusted issuer says about the program; nil if the program proved
	// a secret or a private key of its own.
	Identity *Identity
	// Requested is the scope the client asked for; empty if it named none.
	Requested scope.Set
	// Resource is the resource indicator of the resource server that the token is
	// for (RFC 8707); empty for the server's own audience.
	Resource string

	granted  scope.Set
	notAfter time.Time
}

// Identity is what a trusted issuer says about a program that logs in; see package trust.
type Identity struct {
	Issuer  string // the iss claim
	Subject string // the sub claim
	// Claims are all claims, as encoding/json decodes them with UseNumber: numbers are json.Number.
	Claims  map[string]any
	Expires time.Time // the token ends no later
}

// NewTokenRequest returns a request with the given facts, the permissions that the
// token would have, and its expiry. It is for code that runs policies.
func NewTokenRequest(facts TokenRequest, granted scope.Set, notAfter time.Time) *TokenRequest {
	facts.granted, facts.notAfter = granted, notAfter
	return &facts
}

// Granted returns the permissions that the token would have.
func (r *TokenRequest) Granted() scope.Set { return r.granted }

// NotAfter returns when the token would expire.
func (r *TokenRequest) NotAfter() time.Time { return r.notAfter }

// ShortenTo moves the token's expiry to t if that is earlier. The zero time changes
// nothing, so the expiry of a key that never expires can be passed.
func (r *TokenRequest) ShortenTo(t time.Time) {
	if !t.IsZero() && t.Before(r.notAfter) {
		r.notAfter = t
	}
}

// Drop removes permissions from the token, possibly all of them. The token is still
// issued, even if the client asked for a dropped permission; the answer names the
// scope that is left.
func (r *TokenRequest) Drop(s scope.Set) {
	r.granted = r.granted.Minus(s)
}
