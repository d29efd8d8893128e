package apikey

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

const (
	maxAssertionLife     = 5 * time.Minute
	maxLongAssertionLife = time.Hour
	ownAssertion         = "assertion " // begins the space of one-time ids, before the id of the key
	trustedToken         = "identity "  // the same, before the issuer
)

// ownTypes are the types of assertions that a client signs itself. Clients of today send
// "JWT" or none; RFC 10070 gives them a type of their own.
var ownTypes = []string{"", "JWT", "client-authentication+jwt"}

// assertionError refuses an assertion. The client does not learn the reason; the log and
// the audit event have it. The reason contains nothing of the assertion.
type assertionError struct{ reason string }

func (e *assertionError) Error() string { return "apikey: assertion: " + e.reason }

// Unwrap makes it an ErrInvalidCredentials to callers.
func (e *assertionError) Unwrap() error { return ErrInvalidCredentials }

// errIssuerOutage is wrapped if the keys of a trusted issuer cannot be fetched. Anybody can
// cause it with any kid while the issuer is down, so it is counted and delayed like a
// refusal.
var errIssuerOutage = errors.New("a trusted issuer")

// proveAssertion is prove for a client that sends a JWT instead of a secret (RFC 7523,
// section 2.2). If its issuer is the key itself, one of the key's public keys must verify
// it. Otherwise one of the key's trusts must accept it.
func (s *Service) proveAssertion(ctx context.Context, text string, p *Proof) error {
	unverified, err := jose.ParseAssertion(text)
	if err != nil || s.cfg.Issuer == "" {
		return errMalformed
	}
	issuer, subject := unverified.UnverifiedParties()
	if p.id == "" && issuer == subject { // RFC 7521, section 4.2: client_id is optional
		p.id = subject
	}
	if !validID(p.id) {
		return errMalformed
	}
	p.found, err = lookup(ctx, s.reads, p.id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return ErrInvalidCredentials
	case err != nil:
		return fmt.Errorf("apikey: find key: %w", outage(err))
	case issuer == p.id:
		return s.proveOwn(ctx, unverified, p)
	}
	return s.proveTrusted(ctx, unverified, p)
}

// proveOwn verifies an assertion with the public keys of the key. The one-time id is spent
// last, so that nobody without the private key can spend it.
func (s *Service) proveOwn(ctx context.Context, unverified *jose.Unverified, p *Proof) error {
	if !unverified.HasType(ownTypes...) {
		return &assertionError{"its typ is not one of a client's assertion"}
	}
	reason := "no public key of the key that has not ended has its alg and kid"
	for i := range p.found.Key.Credentials {
		stored := &p.found.Key.Credentials[i]
		if stored.PublicKey == nil || expired(stored.NotAfter, p.now) {
			continue
		}
		public, err := s.publicKeys.parse(stored.PublicKey.JWK)
		if err != nil {
			return cannotVerify(p, err)
		}
		if unverified.Algorithm != public.Algorithm || unverified.KeyID != "" && unverified.KeyID != public.ID {
			continue
		}
		reason = "its signature does not match the public key"
		claims, err := unverified.VerifyAssertion(public)
		if err != nil {
			continue
		}
		once, err := s.checkOwn(stored.PublicKey, &claims, p)
		if err != nil {
			return err
		}
		if err := s.spend(ctx, once, p.now); err != nil {
			return err
		}
		p.credential = *stored
		return nil
	}
	return &assertionError{reason}
}

// checkOwn checks the claims of an assertion that was verified with key (RFC 7523, section
// 3), and returns the one-time id to spend.
func (s *Service) checkOwn(key *store.PublicKey, c *jose.Assertion, p *Proof) (store.OnceID, error) {
	life := maxAssertionLife
	if key.LongAssertions && s.cfg.LongAssertions {
		life = maxLongAssertionLife
	}
	audience := c.Audience[0] == s.cfg.Issuer || key.EndpointAudience && c.Audience[0] == s.cfg.TokenURL
	expires := time.Unix(c.Expires, 0)
	reason := ""
	switch {
	case c.Issuer != p.id || c.Subject != p.id:
		reason = "iss and sub must be the id of the key"
	case c.AudienceIsArray || !audience:
		reason = "aud must be the issuer identifier of this server, as a string"
	case !p.now.Before(expires):
		reason = "it has expired"
	case expires.Sub(p.now) > life+jose.ClockSkew, c.IssuedAt != 0 && expires.Sub(time.Unix(c.IssuedAt, 0)) > life:
		reason = fmt.Sprintf("it is valid for longer than %.0f minutes", life.Minutes())
	case time.Unix(max(c.NotBefore, c.IssuedAt), 0).After(p.now.Add(jose.ClockSkew)):
		reason = "nbf or iat is in the future"
	case c.TokenID == "" || len(c.TokenID) > jose.MaxTokenID:
		reason = fmt.Sprintf("jti must have 1 to %d bytes", jose.MaxTokenID)
	}
	if reason != "" {
		return store.OnceID{}, &assertionError{reason}
	}
	return store.OnceID{Space: ownAssertion + p.id, ID: c.TokenID, Expires: expires.Add(jose.ClockSkew)}, nil
}

// proveTrusted lets the trusts of the key decide about the identity.
func (s *Service) proveTrusted(ctx context.Context, unverified *jose.Unverified, p *Proof) error {
	var trusts []store.Trust
	var from []*store.Credential
	for i := range p.found.Key.Credentials {
		stored := &p.found.Key.Credentials[i]
		if stored.Trust != nil && !expired(stored.NotAfter, p.now) {
			trusts, from = append(trusts, *stored.Trust), append(from, stored)
		}
	}
	at, identity, err := s.cfg.TrustedIssuers.Find(ctx, unverified, trusts)
	if err != nil {
		if !errors.Is(err, trust.ErrRefused) {
			return fmt.Errorf("apikey: key %s: %w: %w", p.found.Key.ID, errIssuerOutage, outage(err))
		}
		reason := strings.TrimPrefix(err.Error(), trust.ErrRefused.Error()+": ")
		if at >= 0 {
			reason += " (trust " + from[at].ID + ")"
		}
		return &assertionError{reason}
	}
	if identity.OnceID != "" {
		once := store.OnceID{Space: trustedToken + identity.Issuer, ID: identity.OnceID, Expires: identity.Expires.Add(jose.ClockSkew)}
		if err := s.spend(ctx, once, p.now); err != nil {
			return err
		}
	}
	p.credential = *from[at]
	p.identity = &identity
	return nil
}

// spend spends the one-time id of an assertion. If that cannot be recorded, the assertion
// is not accepted.
func (s *Service) spend(ctx context.Context, id store.OnceID, now time.Time) error {
	err := s.store.OnceIDs.Spend(ctx, id, now)
	switch {
	case errors.Is(err, store.ErrExists):
		return &assertionError{"its jti was used before"}
	case err != nil:
		return fmt.Errorf("apikey: spend the jti of an assertion: %w", outage(err))
	}
	return nil
}

// publicKeys remembers parsed public keys by their JWK. When it is full, it is emptied.
type publicKeys struct {
	parsed sync.Map // string to jose.PublicKey
	size   atomic.Int64
}

// maxPublicKeysParsed bounds publicKeys.
const maxPublicKeysParsed = 16_384

func (c *publicKeys) parse(jwk string) (jose.PublicKey, error) {
	if key, ok := c.parsed.Load(jwk); ok {
		return key.(jose.PublicKey), nil //nolint:forcetypeassert // see parsed
	}
	key, _, err := jose.ParsePublicKey([]byte(jwk))
	if err == nil {
		if c.size.Add(1) > maxPublicKeysParsed {
			c.parsed.Clear()
			c.size.Store(1)
		}
		c.parsed.Store(jwk, key)
	}
	return key, err
}
