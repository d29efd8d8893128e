package apikey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// Credentials are what a client logs in with: an id and a secret, or an assertion.
type Credentials struct {
	// ID is the id of the key. It may be empty for an Assertion that the client signed
	// itself, which names the key as its subject.
	ID     string
	Secret string
	// Assertion, unless empty, is a JWT that comes in place of the secret (RFC 7523,
	// section 2.2): signed with the private half of one of the key's public keys, or by
	// an issuer that the key trusts.
	Assertion string
	// Address is the client's IP address, for budgets and policies. The zero Addr
	// means unknown.
	Address netip.Addr
	// Method and Route are those of the request in Direct, for the Observer.
	Method, Route string
}

// Proof shows that a caller holds a credential of a live key. Authenticate makes it and
// Issue uses it.
type Proof struct {
	service  *Service
	use      observe.Use
	id       string // as the client sent it
	address  netip.Addr
	method   string
	route    string
	now      time.Time
	start    time.Time // by the real clock, see delayRefusal; zero: no refusal is delayed
	found    store.Found
	secretID string      // derived from the secret that the client sent
	seen     *seenSecret // found by the secret; checkFast sets it to nil unless it proves the secret
	verified string      // the digest that checkFast verified, for seenSecrets.add; empty if it is outdated
	// credential is the credential that was verified. Its ID is empty until then.
	credential store.Credential
	// identity is that of a trusted issuer, or nil.
	identity *trust.Identity
	standing policy.Standing
}

// Format writes the id of the key only, whatever the verb, since a Proof holds digests.
func (p *Proof) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "apikey.Proof of key "+p.found.Key.ID) //nolint:errcheck // f reports its own errors
}

// Key returns the key that logged in.
func (p *Proof) Key() Key { return p.service.keyOf(&p.found, p.now) }

// Authenticate checks that the caller holds a credential of a live key. A secret costs
// one read and at most one digest; with Config.Imported it may cost several digests. If the
// stored digest is to be replaced (see Config.Peppers), it costs one more, and a write. An
// assertion costs one read and a verification, and a write to spend it if it may be used
// only once: each that a program signed itself, and identities as trust.Issuer.Once says.
//
// For an unknown id, a wrong secret or an assertion that no credential of the key accepts
// it returns ErrInvalidCredentials, whatever the key's state, and not before
// Config.RefuseAfter has passed; if one of them is malformed it returns it at once. After
// too many of these it returns a *ThrottledError; a correct assertion, or a correct secret
// that Latchkey generated, is never throttled. If the credential is right and the key is
// not live, it returns a *RefusedError. If the store is unavailable, or the keys of a
// trusted issuer are, the error wraps store.ErrUnavailable. The second is counted and
// delayed like a wrong secret.
//
// It does not ask the policy. Issue and MayIntrospect do.
func (s *Service) Authenticate(ctx context.Context, c Credentials) (*Proof, error) {
	return s.authenticate(ctx, c, observe.Login)
}

// MayIntrospect is Authenticate for a key that introspects other tokens (RFC 7662).
// It also asks the policy: a refusal is a *policy.Denied. The Permissions of the
// returned key are those that the policy leaves for the introspection.
func (s *Service) MayIntrospect(ctx context.Context, c Credentials) (Key, error) {
	p, err := s.authenticate(ctx, c, observe.Introspection)
	if err != nil {
		return Key{}, err
	}
	key := p.Key()
	key.Permissions, _, err = s.askTokenPolicy(ctx, p, policy.TokenRequest{Use: policy.UseIntrospect}, s.held(ctx, &p.found.Key), p.now.Add(s.cfg.TokenLifetime))
	if err != nil {
		return Key{}, s.refuse(ctx, p, err)
	}
	s.observe(ctx, p, "")
	return key, nil
}

// MayRevoke is Authenticate for a key that revokes its own tokens (RFC 7009). It
// does not ask the policy, and it ignores the administrator's expiry rules: a key that
// has expired only under these rules is accepted.
func (s *Service) MayRevoke(ctx context.Context, c Credentials) (Key, error) {
	p, err := s.authenticate(ctx, c, observe.Revocation)
	if err != nil {
		return Key{}, err
	}
	s.observe(ctx, p, "")
	return p.Key(), nil
}

// authenticate does the work of Authenticate.
func (s *Service) authenticate(ctx context.Context, c Credentials, use observe.Use) (*Proof, error) {
	p := s.newProof(c, use)
	var err error
	if c.Assertion != "" {
		err = s.proveAssertion(ctx, c.Assertion, p)
	} else {
		err = s.prove(ctx, c.Secret, p)
	}
	if err == nil {
		err = s.mustBeLive(ctx, p)
	}
	if err != nil {
		return nil, s.refuse(ctx, p, err)
	}
	return p, nil
}

func (s *Service) newProof(c Credentials, use observe.Use) *Proof {
	return &Proof{service: s, use: use, id: c.ID, address: c.Address, now: s.now(), start: realTime()}
}

// now returns the time by Config.Now, in UTC and rounded down to the microsecond,
// which every store can keep.
func (s *Service) now() time.Time { return micro(s.cfg.Now()) }

// micro returns a time in the form that stores keep.
func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// realTime returns the real time, not that of Config.Now: a client can measure only
// real time.
func realTime() time.Time { return time.Now() } //nolint:forbidigo // see above

// prove finds the key and verifies the secret. It checks nothing else. Without an id,
// it finds the key by the secret, for the uses that allow it.
func (s *Service) prove(ctx context.Context, plain string, p *Proof) error {
	bySecret := p.id == "" && plain != "" && slices.Contains([]observe.Use{observe.Direct, observe.SecretRevocation, observe.LeakReport}, p.use)
	if !bySecret && !validID(p.id) || len(plain) > maxImportedSecret {
		return errMalformed // no key can have this id, or no secret this length, so the store is not read
	}
	p.seen, p.secretID = s.unwritten.seen.find(plain)
	if p.seen == nil { // otherwise its form was checked before
		_, listed := secrets.PrefixOf(plain, s.cfg.SecretPrefixes)
		_, withdrawn := secrets.PrefixOf(plain, s.withdrawnPrefixes)
		if !listed && !withdrawn && !s.cfg.Imported || withdrawn && p.use != observe.LeakReport {
			return errMalformed
		}
	}
	var err error
	if bySecret {
		p.found, err = s.reads.LookupSecret(ctx, p.secretID)
	} else {
		p.found, err = lookup(ctx, s.reads, p.id)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("apikey: find key: %w", outage(err))
	}
	proved, outdated, err := s.checkFast(p, plain)
	if !proved && err == nil && s.cfg.Imported && !bySecret { // without an id nobody can guess at slow digests
		proved, outdated, err = s.checkImportedSecret(ctx, p, plain)
	}
	switch {
	case err != nil:
		return err
	case !proved:
		return ErrInvalidCredentials
	}
	if outdated {
		s.rehash(ctx, p, plain)
	}
	p.credential.Digest = "" // it is not needed any more
	return nil
}

// lookup reads a key by an id that comes from a client and is not trusted.
func lookup(ctx context.Context, from interface {
	Lookup(context.Context, string) (store.Found, error)
}, id string) (store.Found, error) {
	if !validID(id) {
		return store.Found{}, store.ErrNotFound
	}
	found, err := from.Lookup(ctx, id)
	if err == nil && found.Key.ID != id {
		err = store.ErrNotFound // a database may compare without case
	}
	if err != nil {
		return store.Found{}, err
	}
	return found, nil
}

// validID reports whether a key may have this id: 1 to 255 printable ASCII
// characters without space.
func validID(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

// checkFast verifies a secret whose id is derived from it. It computes exactly one digest,
// whether the key exists and has that secret or not, and none for a secret that it knows
// from a direct use.
func (s *Service) checkFast(p *Proof, plain string) (proved, outdated bool, err error) {
	b := secrets.Binding{KeyID: p.found.Key.ID, Workspace: p.found.Key.Workspace, SecretID: p.secretID, Secret: plain}
	seen := p.seen
	p.seen = nil
	stored := p.found.Key.Credential(p.secretID)
	anyTime := p.use == observe.LeakReport || p.use == observe.SecretRevocation
	switch {
	case stored == nil || !stored.IsSecret() || secrets.IsSlow(stored.Digest) || expired(stored.NotAfter, p.now) && !anyTime:
		s.hasher.Dummy(b)
		return false, false, nil
	case seen.proves(stored, &p.found.Key):
		p.credential, p.seen = *stored, seen
		return true, false, nil
	}
	if proved, outdated, err = s.hasher.Verify(stored.Digest, b); err != nil {
		return false, false, cannotVerify(p, err)
	}
	if proved {
		p.credential = *stored
	}
	if proved && !outdated {
		p.verified = stored.Digest
	}
	return proved, outdated, nil
}

// checkImportedSecret verifies an imported secret against each digest that it may
// match; there are few. A slow digest is verified by the slowGate, and only while the
// budget s.guesses lasts, which failed guesses at slow digests spend. A guess that the
// gate turns away counts as well, since the gate has compared it with the secrets that
// it remembers.
func (s *Service) checkImportedSecret(ctx context.Context, p *Proof, plain string) (proved, outdated bool, err error) {
	guessed := false
	defer func() {
		if guessed && !proved {
			s.guesses.fail(ctx, p.address, p.id, p.now)
		}
	}()
	for _, stored := range p.found.Key.Credentials {
		if expired(stored.NotAfter, p.now) || !stored.IsSecret() || stored.ID == p.secretID { // the last is for checkFast
			continue
		}
		if secrets.IsSlow(stored.Digest) {
			if wait, over := s.guesses.over(ctx, p.address, p.id, p.now); over {
				return false, false, &ThrottledError{RetryAfter: wait}
			}
			guessed = true
			proved, err = s.slow.verify(ctx, p.found.Key.ID, stored.Digest, plain)
			outdated = stored.Generated && len(plain) >= minGenerated // a shorter one cannot hold 128 random bits
		} else {
			proved, outdated, err = s.hasher.Verify(stored.Digest, p.binding(&stored, plain))
		}
		if err != nil {
			return false, false, cannotVerify(p, err)
		}
		if proved {
			p.credential = stored
			return true, outdated, nil
		}
	}
	return false, false, nil
}

// binding returns the values that the digest of a secret of the key covers.
func (p *Proof) binding(stored *store.Credential, plain string) secrets.Binding {
	return secrets.Binding{KeyID: p.found.Key.ID, Workspace: p.found.Key.Workspace, SecretID: stored.ID, Secret: plain}
}

// cannotVerify wraps err, which kept a digest from being verified, with
// store.ErrUnavailable: whether the secret is right is not known.
func cannotVerify(p *Proof, err error) error {
	return fmt.Errorf("apikey: key %s: %w: %w", p.found.Key.ID, store.ErrUnavailable, err)
}

// rehash replaces the digest that was verified with one under the first pepper. The
// old one is under a pepper with a lower version, or is the slow digest or the SHA-256
// of a secret that was imported as Generated. If rehash fails, the use of the secret
// goes on. It tries once an hour for each digest, since each use of a secret comes here
// while the store cannot be written to.
func (s *Service) rehash(ctx context.Context, p *Proof, plain string) {
	if !s.rehashed.first(p.credential.Digest, p.now) {
		return
	}
	fresh := p.credential
	fresh.Digest = s.hasher.Digest(p.binding(&p.credential, plain))
	err := s.record(ctx, entriesOf(fresh)...)
	if err == nil {
		err = s.store.Upkeep.Rehash(ctx, p.found.Key.ID, p.credential.ID, p.credential.Digest, fresh.Digest)
	}
	if err != nil && !errors.Is(err, store.ErrConflict) {
		s.cfg.Logger.WarnContext(ctx, "the digest of a secret could not be rewritten; the first use of the secret after this clock hour tries again", "key", p.found.Key.ID, "error", err)
	}
}

// mustBeLive refuses a key that is not live. A revocation ignores the administrator's
// rules.
func (s *Service) mustBeLive(ctx context.Context, p *Proof) error {
	p.found.Instance = s.effective(p.found.Instance)
	if p.use == observe.Revocation {
		p.found.Instance.Rules, p.found.Workspace.Rules = store.Rules{}, store.Rules{}
	}
	var err error
	if p.standing, err = s.standingOf(ctx, &p.found, p.now); err != nil || p.standing.Live() {
		return err
	}
	return &RefusedError{Reason: string(p.standing.State), Description: p.standing.Text}
}

// effective returns the stored settings, or the defaults of Options if settings
// were never saved.
func (s *Service) effective(stored store.Instance) store.Instance {
	if stored.Version == 0 {
		stored.KeysOff, stored.Rules = s.cfg.DefaultKeysOff, s.cfg.DefaultRules
	}
	return stored
}

// standingOf decides whether a key is live under its workspace's and the instance's
// settings, to which the caller has applied effective. If the key is live,
// standingOf asks the host about its workspace.
func (s *Service) standingOf(ctx context.Context, f *store.Found, now time.Time) (policy.Standing, error) {
	standing := policy.StandingOf(&f.Key, f.Workspace, f.Instance, now)
	if !standing.Live() {
		return standing, nil
	}
	suspended, err := s.askHost(ctx, f.Key.Workspace)
	if suspended {
		f.Workspace.Suspended = true
		standing = policy.StandingOf(&f.Key, f.Workspace, f.Instance, now)
	}
	return standing, err
}

// askHost asks Config.Workspaces, if it is set, whether the workspace is suspended.
func (s *Service) askHost(ctx context.Context, workspace string) (suspended bool, err error) {
	if s.cfg.Workspaces == nil {
		return false, nil
	}
	active, err := s.cfg.Workspaces(ctx, workspace)
	if err != nil {
		return false, hostOutage("Config.Workspaces failed", err)
	}
	return !active, nil
}

// hostOutage turns err, which the host's code returned, into an error that wraps
// store.ErrUnavailable. It keeps only the text of err: if err wraps a denial or
// store.ErrNotFound, callers would take that for a decision.
func hostOutage(what string, err error) error {
	return fmt.Errorf("apikey: %s: %w: %s", what, store.ErrUnavailable, err.Error())
}

// outage makes an error of a store wrap store.ErrUnavailable, which a driver may
// have failed to do.
func outage(err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// expired reports whether the instant notAfter has come. Zero is never.
func expired(notAfter, now time.Time) bool { return !notAfter.IsZero() && !now.Before(notAfter) }

// forPolicies returns a copy of k without digests, and without its epoch, which the
// store sets on a write. All policies get it, and keyOf makes the Key of callers from it.
func forPolicies(k store.Key) store.Key {
	k = k.Clone()
	k.Epoch = 0
	for i := range k.Credentials {
		k.Credentials[i].Digest = ""
	}
	return k
}
