package apikey

import (
	"context"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// DirectUse is a request that carries a key's secret in place of a token.
type DirectUse struct {
	KeyID, Workspace, SecretID string
	// Permissions are those that a token of the key would have.
	Permissions scope.Set
	// Expires is when the key or the secret expires. Zero means never.
	Expires time.Time
}

// Direct is Authenticate for a request that carries the secret in place of a token.
// Without an id the key is found by the secret alone, unless its digest is slow. If the
// key does not allow direct use, or an administrator has switched it off, Direct returns
// a *RefusedError with the reason "direct". It asks the policy (policy.UseDirect): a
// refusal is a *policy.Denied. address is called if the client's address is needed;
// c.Address is ignored. Each success counts as a login (store.Count), and as a
// last use. Only refusals are observed: the guard observes the rest.
func (s *Service) Direct(ctx context.Context, c Credentials, address func() netip.Addr) (DirectUse, error) {
	p := Proof{service: s, use: observe.Direct, id: c.ID, method: c.Method, route: c.Route, now: s.now()} // on the stack
	if c.ID != "" {
		p.start = realTime() // otherwise no refusal is delayed
	}
	if s.cfg.Policy != nil || s.cfg.Imported {
		p.address = address()
	}
	if len(c.Secret) <= maxImportedSecret {
		p.seen, p.secretID = s.unwritten.seen.find(c.Secret)
	}
	use, err := s.direct(ctx, c.Secret, &p)
	if err != nil {
		p.address = address()
		return DirectUse{}, s.refuse(ctx, &p, err)
	}
	if !p.seen.use(&p) {
		s.unwritten.login(&p.found.Key, p.secret.ID, p.now)
		p.seen = s.unwritten.seen.add(&p, c.Secret)
	}
	if p.verified != "" {
		p.seen.remember(p.verified)
	}
	return use, nil
}

func (s *Service) direct(ctx context.Context, plain string, p *Proof) (DirectUse, error) {
	if err := s.prove(ctx, plain, p); err != nil {
		return DirectUse{}, err
	}
	if err := s.mustBeLive(ctx, p); err != nil {
		return DirectUse{}, err
	}
	key := &p.found.Key
	if !key.Direct || p.found.Instance.DirectOff {
		return DirectUse{}, errNotDirect
	}
	end := p.standing.Expires
	if end.IsZero() || expired(p.secret.NotAfter, end) {
		end = p.secret.NotAfter
	}
	granted, _, err := s.askTokenPolicy(ctx, p, policy.TokenRequest{Use: policy.UseDirect}, s.held(ctx, key), end)
	return DirectUse{KeyID: key.ID, Workspace: key.Workspace, SecretID: p.secret.ID, Permissions: granted, Expires: end}, err
}

var errNotDirect = &RefusedError{Reason: "direct", Description: "This API key may not be used in place of a token: log in with it, or ask an administrator to allow it."}

// seenSecrets counts direct uses without a lock that all requests take, and spares them
// the keyed digest of a secret that was verified before. It has the secrets that were
// used since the last but one Flush.
type seenSecrets struct {
	bySum sync.Map // *seenSecret by the secret's SHA-256
	size  atomic.Int64
}

// seenSecret is a secret that was accepted as the secret of a key.
type seenSecret struct {
	key, workspace, secret string
	digest                 atomic.Pointer[string] // that was verified; nil before
	last                   atomic.Int64           // in Unix microseconds
	uses                   atomic.Int64           // since the last Flush; negative: out of use
}

// find returns the entry of a secret, or nil, and the secret's id. It allocates only if
// there is no entry.
func (s *seenSecrets) find(plain string) (e *seenSecret, id string) {
	sum := secrets.Sum(plain)
	known, _ := s.bySum.Load(sum)
	if e, ok := known.(*seenSecret); ok {
		return e, e.secret
	}
	return nil, secrets.IDOf(sum)
}

// add makes an entry, unless there are too many, and returns it, or nil.
func (s *seenSecrets) add(p *Proof, plain string) *seenSecret {
	if s.size.Load() >= maxUnwritten || p.secret.ID != p.secretID {
		return nil
	}
	e := &seenSecret{key: p.found.Key.ID, workspace: p.found.Key.Workspace, secret: p.secretID}
	if _, known := s.bySum.LoadOrStore(secrets.Sum(plain), e); known { // it may have uses
		return nil
	}
	s.size.Add(1)
	return e
}

// remember stores the digest that was verified.
func (e *seenSecret) remember(digest string) {
	if e != nil {
		e.digest.Store(&digest)
	}
}

// proves reports whether the digest of the secret was verified for this entry. It covers
// what Binding covers: the same key and workspace, the same secret, whose SHA-256 found
// the entry, and its id.
func (e *seenSecret) proves(stored *store.Secret, k *store.Key) bool {
	if e == nil {
		return false
	}
	digest := e.digest.Load()
	return digest != nil && *digest == stored.Digest && e.key == k.ID && e.workspace == k.Workspace
}

// use counts a use, and reports whether that was possible.
func (e *seenSecret) use(p *Proof) bool {
	if e == nil || e.key != p.found.Key.ID || e.workspace != p.found.Key.Workspace {
		return false
	}
	e.last.Store(p.now.UnixMicro())
	return e.uses.Add(1) > 0
}

// flush moves the counts into u, and removes what was not used since the last call. The
// caller holds the lock of u.
func (s *seenSecrets) flush(u *unwritten) {
	for sum, v := range s.bySum.Range {
		e, _ := v.(*seenSecret)
		if n := e.uses.Swap(0); n > 0 {
			at := time.UnixMicro(e.last.Load()).UTC()
			u.use(store.Use{Key: e.key, Secret: e.secret, At: at})
			u.count(store.Count{Workspace: e.workspace, Key: e.key, Day: at, Logins: n})
		} else if e.uses.CompareAndSwap(0, math.MinInt64) && s.bySum.CompareAndDelete(sum, v) {
			s.size.Add(-1)
		}
	}
}
