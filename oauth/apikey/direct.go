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

// DirectUse says whose secret a request carries in place of a token, and what it may do.
type DirectUse struct {
	KeyID, Workspace, SecretID string
	// Permissions are what a token of the key could have, less what the policy dropped.
	Permissions scope.Set
	// Expires is when the key or the secret expires. Zero means never.
	Expires time.Time
}

// Direct is Authenticate for a request that carries the secret in place of a token.
// Without an id the key is found by the secret alone. A secret that was imported with a
// slow digest is not found so, even after a login has replaced that digest. If the key does not allow direct use, or an administrator has switched it off, Direct returns
// a *RefusedError with the reason "direct". It asks the policy (policy.UseDirect): a
// refusal is a *policy.Denied. address is called if the client's address is needed;
// c.Address is ignored. Each success counts as a login (store.Count), and as a
// last use. Only refusals are observed: the guard observes the rest.
func (s *Service) Direct(ctx context.Context, c Credentials, address func() netip.Addr) (DirectUse, error) {
	p := Proof{service: s, use: observe.Direct, id: c.ID, method: c.Method, route: c.Route, now: s.now()} // on the stack
	if c.ID != "" {
		p.start = realTime() // without an id there is none whose existence the time could show
	}
	if s.cfg.Policy != nil || s.cfg.Imported {
		p.address = address()
	}
	use, err := s.direct(ctx, c.Secret, &p)
	if err != nil {
		p.address = address()
		return DirectUse{}, s.refuse(ctx, &p, err)
	}
	if p.seen == nil || !p.seen.use(p.now) {
		s.unwritten.login(&p.found.Key, p.credential.ID, p.now)
		s.unwritten.seen.add(&p, c.Secret)
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
	end := p.ends()
	granted, _, err := s.askTokenPolicy(ctx, p, policy.TokenRequest{Use: policy.UseDirect}, s.held(ctx, key), end)
	return DirectUse{KeyID: key.ID, Workspace: key.Workspace, SecretID: p.credential.ID, Permissions: granted, Expires: end}, err
}

var errNotDirect = &RefusedError{Reason: "direct", Description: "This API key may not be used in place of a token: log in with it, or ask an administrator to allow it."}

// seenSecrets remembers secrets that were used directly, so that a request with one takes
// no lock that others take, and computes no keyed digest. The use that makes an entry is
// counted by unwritten.login, and not in the entry. An entry without a further use between two flushes is removed by the second.
type seenSecrets struct {
	bySum sync.Map // *seenSecret by the secret's SHA-256
	size  atomic.Int64
}

// seenSecret is a secret that was accepted as the secret of a key.
type seenSecret struct {
	key, workspace, secret string
	digest                 string       // that was verified
	last                   atomic.Int64 // in Unix microseconds
	uses                   atomic.Int64 // since the last Flush; negative: out of use
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

// add makes an entry for a secret whose digest was verified, unless there are too many. An
// entry that the secret has for another key or digest stays: it is not used any more, so
// Flush removes it soon.
func (s *seenSecrets) add(p *Proof, plain string) {
	if p.verified == "" || s.size.Load() >= maxUnwritten {
		return
	}
	e := &seenSecret{key: p.found.Key.ID, workspace: p.found.Key.Workspace, secret: p.secretID, digest: p.verified}
	e.last.Store(p.now.UnixMicro())
	if _, known := s.bySum.LoadOrStore(secrets.Sum(plain), e); !known {
		s.size.Add(1)
	}
}

// proves reports whether the digest of the secret was verified for this entry. It covers
// what Binding covers: the same key and workspace, the same secret, whose SHA-256 found
// the entry, and its id.
func (e *seenSecret) proves(stored *store.Credential, k *store.Key) bool {
	return e != nil && e.digest == stored.Digest && e.key == k.ID && e.workspace == k.Workspace
}

// use counts a use, and reports whether that was possible. All uses of an entry between
// two flushes are of one day, by UTC.
func (e *seenSecret) use(now time.Time) bool {
	const day = 24 * 60 * 60 * 1_000_000
	at := now.UnixMicro()
	if e.last.Load()/day != at/day {
		return false
	}
	e.last.Store(at)
	return e.uses.Add(1) > 0
}

// flush moves the counts into u, and removes the entries without one since the last call.
// The caller holds the lock of u.
func (s *seenSecrets) flush(u *unwritten) {
	for sum, v := range s.bySum.Range {
		e, _ := v.(*seenSecret)
		if n := e.uses.Swap(0); n > 0 {
			at := time.UnixMicro(e.last.Load()).UTC()
			u.use(store.Use{Key: e.key, Credential: e.secret, At: at})
			u.count(store.Count{Workspace: e.workspace, Key: e.key, Day: at, Logins: n})
		} else if e.uses.CompareAndSwap(0, math.MinInt64) && s.bySum.CompareAndDelete(sum, v) {
			s.size.Add(-1)
		}
	}
}
