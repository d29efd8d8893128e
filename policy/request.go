package policy

import (
	"net/netip"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Action is what is about to happen to a key.
type Action string

// The actions that CheckKey sees.
const (
	ActionCreate Action = "create"
	ActionImport Action = "import"
	ActionUpdate Action = "update"
	ActionRotate Action = "rotate"
	ActionEnable Action = "enable"
)

// KeyRequest is a key about to be stored. Its fields are facts, for reading;
// what a policy may change, it changes through the methods. It belongs to one
// request and is not safe for concurrent use.
type KeyRequest struct {
	Action Action
	// Now is the time of the request.
	Now time.Time
	// Actor is who asks.
	Actor store.ActorRef
	// Address is the client's, if the host names it; else invalid.
	Address netip.Addr
	// Workspace and Instance are the settings the key stands under.
	// Workspace.Keys is the number of keys at the time of reading.
	Workspace store.Workspace
	Instance  store.Instance
	// Before is the key as it is; nil at Create and Import.
	Before *store.Key
	// After is the key as it would be stored. Digests are blanked.
	After *store.Key

	// asked is the key as the caller proposed it, out of the policies' reach.
	asked   *store.Key
	limited bool
	limit   int
}

// NewKeyRequest returns a request whose Before and After are copies, for a
// caller that runs policies: afterwards it stores Result. After must not be
// nil.
func NewKeyRequest(facts KeyRequest) *KeyRequest {
	asked, after := *facts.After, facts.After.Clone()
	facts.asked, facts.After = &asked, &after
	if facts.Before != nil {
		before := facts.Before.Clone()
		facts.Before = &before
	}
	return &facts
}

// Result returns the key to store: the After that NewKeyRequest was given,
// with no more than its permissions and an expiry no later than its own,
// whatever a policy wrote into r.After. Everything else is as it was given.
func (r *KeyRequest) Result() store.Key {
	if r.asked == nil {
		return r.After.Clone()
	}
	key := r.asked.Clone()
	key.Permissions = key.Permissions.Intersect(r.After.Permissions)
	if earlier(r.After.NotAfter, key.NotAfter) {
		key.NotAfter, key.NotAfterText = r.After.NotAfter, ""
	}
	return key
}

// LimitKeys lowers the number of keys that the workspace may hold; n below 0
// counts as 0. It matters at Create and Import. The store enforces the limit
// in the step that adds the key.
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

// Drop takes permissions away from the key.
func (r *KeyRequest) Drop(s scope.Set) {
	r.After.Permissions = r.After.Permissions.Minus(s)
}

// Prolongs reports whether the request lets the key live anew or longer: it
// is made, gets a secret, is enabled, or expires later than before.
func (r *KeyRequest) Prolongs() bool {
	if r.Before == nil || r.Action == ActionRotate || r.Action == ActionEnable {
		return true
	}
	return earlier(r.Before.NotAfter, r.After.NotAfter)
}

// NewestSecret returns when the newest secret of k was made; without secrets,
// when the key was.
func NewestSecret(k *store.Key) time.Time {
	newest := k.Created
	for i, s := range k.Secrets {
		if i == 0 || s.Created.After(newest) {
			newest = s.Created
		}
	}
	return newest
}

// Use is what a key is about to be used for.
type Use uint8

// The uses that CheckToken sees.
const (
	// UseLogin is a token about to be issued. It is the zero value.
	UseLogin Use = iota
	// UseIntrospect is a key about to ask about other tokens (RFC 7662). Nothing is
	// issued: Granted is what the key holds, and a permission that is dropped,
	// such as the one that opens other workspaces' tokens, does not count for
	// the answer.
	UseIntrospect
)

// TokenRequest is the use of a live key that has proved its secret: a token
// about to be issued, unless Use says otherwise. Its fields are facts, for
// reading; what a policy may change, it changes through the methods. It belongs
// to one request and is not safe for concurrent use.
type TokenRequest struct {
	// Use is what the key is about to be used for.
	Use Use
	// Now is the time of the request.
	Now time.Time
	// Address is the client's, if the host names it; else invalid.
	Address netip.Addr
	// Workspace and Instance are the settings the key stands under.
	Workspace store.Workspace
	Instance  store.Instance
	// Key is the key and Secret the one of its secrets that was presented,
	// with blank digests.
	Key    *store.Key
	Secret store.Secret
	// Requested is the scope the client asked for; empty if it named none.
	Requested scope.Set
	// Resource is the further resource server that the token is for (RFC
	// 8707); empty for the server's own audience.
	Resource string

	granted  scope.Set
	notAfter time.Time
}

// NewTokenRequest completes facts with what the token would be granted and
// when it would expire. It is for callers that run policies themselves.
func NewTokenRequest(facts TokenRequest, granted scope.Set, notAfter time.Time) *TokenRequest {
	facts.granted, facts.notAfter = granted, notAfter
	return &facts
}

// Granted returns what the token would open.
func (r *TokenRequest) Granted() scope.Set { return r.granted }

// NotAfter returns when the token would expire.
func (r *TokenRequest) NotAfter() time.Time { return r.notAfter }

// ShortenTo moves the token's expiry to t if that is earlier. The zero time
// changes nothing, so that the expiry of a key that has none may be given.
func (r *TokenRequest) ShortenTo(t time.Time) {
	if !t.IsZero() && t.Before(r.notAfter) {
		r.notAfter = t
	}
}

// Drop takes permissions away from the token. What is then left may be
// nothing; a token that was asked for by name and lost a permission is still
// issued, with the scope that is left in the answer.
func (r *TokenRequest) Drop(s scope.Set) {
	r.granted = r.granted.Minus(s)
}
