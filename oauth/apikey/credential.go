package apikey

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

const maxJWK = 4096 // bytes

// CredentialSpec describes a public key or a trust to be added to a key. One of
// PublicKey and Trust must be set.
type CredentialSpec struct {
	// Name is for people: 1 to 255 printable characters.
	Name string
	// PublicKey lets a program log in with the private half. Its JWK is for ES256, RS256,
	// PS256 or EdDSA, and an RSA key has 2048 to 4096 bits. Without alg, an RSA key is for
	// RS256; without kid, the kid is the thumbprint (RFC 7638). The JWK has at most 4096
	// bytes. A private member is refused, and members other than those of the public key, kid,
	// alg and use are dropped. A kid has 1 to 255 printable characters. An RSA exponent is
	// at most 65537. It is an error if the API key has the same public key, or one with the
	// same kid, that has not ended.
	PublicKey *store.PublicKey
	// Trust lets programs log in with an identity of Config.TrustedIssuers. It is an error
	// if the API key has a trust with the same issuer and claims that has not ended, unless
	// it is the one in Replaces. The claims are stored by name.
	Trust *store.Trust
	// NotAfter is the instant from which the credential is refused, if the key has not
	// expired before. Zero: it is valid as long as the key.
	NotAfter time.Time
	// Replaces, unless empty, is the id of a credential of the same kind that has not ended.
	// It then ends after Grace (0 to 366 days), or at its own NotAfter if that is earlier.
	// With a Grace of 0 it is removed, and every token issued for it is revoked.
	Replaces string
	Grace    time.Duration
	// Version is as in Changes, and Once as in Spec.
	Version int64
	Once    *store.OnceID
}

// AddCredential adds a public key or a trust to a key, which holds at most 8 public keys
// and 16 trusts. It removes those of the same kind that have ended. The actor needs the
// rights to rotate the key. On itself, a key may only replace the public key that it logged
// in with, by one that ends no later and accepts no more. The errors are those of Update.
func (s *Service) AddCredential(ctx context.Context, actor Actor, id string, spec CredentialSpec) (Key, error) {
	action := audit.AddCredential
	if spec.Replaces != "" && spec.PublicKey != nil {
		action = audit.Rotate
	}
	return s.alter(ctx, actor, id, alteration{
		action: action, policy: policy.ActionAdd, version: spec.Version, once: spec.Once, gives: true,
		apply: func(p powers, k *store.Key, now time.Time) error {
			added, err := s.newCredential(&spec, p.actor.ref, now)
			if err != nil {
				return err
			}
			if spec.Replaces != "" {
				if err := p.replace(k, &added, &spec, now); err != nil {
					return err
				}
			}
			return addCredential(k, added, spec.Replaces, now)
		},
	})
}

// TrustedIssuers returns the issuers that trusts can name.
func (s *Service) TrustedIssuers() []trust.Issuer { return s.cfg.TrustedIssuers.Issuers() }

// newCredential checks spec and makes the record.
func (s *Service) newCredential(spec *CredentialSpec, creator store.ActorRef, now time.Time) (store.Credential, error) {
	var bad InvalidError
	checkText(&bad, "name", spec.Name)
	checkOnce(&bad, spec.Once, now)
	checkExpiry(&bad, Expiry{At: spec.NotAfter}, now)
	bad.addIf(spec.Grace < 0 || spec.Grace > maxGrace, "grace", "It must be from 0 to 366 days.")
	c := store.Credential{Name: spec.Name, CreatedBy: creator, Created: now, NotAfter: micro(spec.NotAfter)}
	switch {
	case (spec.PublicKey == nil) == (spec.Trust == nil):
		bad.add("public_key", "Give either a public key or a trust.")
	case spec.PublicKey != nil:
		bad.addIf(spec.PublicKey.LongAssertions && !s.cfg.LongAssertions, "long_assertions", "This service does not accept assertions that are valid for longer than 5 minutes.")
		c.PublicKey = &store.PublicKey{EndpointAudience: spec.PublicKey.EndpointAudience, LongAssertions: spec.PublicKey.LongAssertions}
		c.PublicKey.JWK = checkJWK(&bad, "public_key", spec.PublicKey.JWK)
	default:
		field := "claims"
		if !s.cfg.TrustedIssuers.Names(spec.Trust.Issuer + ".") { // no entry has this name
			field = "issuer"
		}
		for _, problem := range s.cfg.TrustedIssuers.Check(*spec.Trust) {
			bad.add(field, problem)
		}
		c.Trust = &store.Trust{Issuer: spec.Trust.Issuer, Claims: sortedClaims(spec.Trust.Claims)}
	}
	if err := bad.orNil(); err != nil {
		return c, err
	}
	var err error
	if c.ID, err = secrets.RandomID(s.cfg.Random); err != nil {
		return c, fmt.Errorf("apikey: add credential: %w", err)
	}
	if c.Trust != nil {
		c.ID = c.Trust.Issuer + "." + c.ID // see trust.List.Names
	}
	return c, nil
}

// checkJWK checks a public key, and returns it in the form that stores keep. What it adds
// to bad contains no part of it.
func checkJWK(bad *InvalidError, field, text string) string {
	if len(text) > maxJWK {
		bad.add(field, fmt.Sprintf("The JWK may have at most %d bytes.", maxJWK))
		return ""
	}
	key, jwk, err := jose.ParsePublicKey([]byte(text))
	if err != nil {
		bad.add(field, "It is not a JWK that can be used: "+err.Error()+".")
		return ""
	}
	checkText(bad, field, key.ID)
	return string(jwk)
}

func sortedClaims(claims []store.Claim) []store.Claim {
	return slices.SortedFunc(slices.Values(claims), func(a, b store.Claim) int { return strings.Compare(a.Name, b.Name) })
}

// replace ends the credential that added replaces.
func (p powers) replace(k *store.Key, added *store.Credential, spec *CredentialSpec, now time.Time) error {
	old := k.Credential(spec.Replaces)
	if old == nil || kindOf(old) != kindOf(added) || expired(old.NotAfter, now) {
		return invalid("replaces", "The key has no credential of this kind with this id.")
	}
	if p.self(k.ID) && (added.PublicKey == nil || old.ID != p.actor.credential || outlives(added.NotAfter, old.NotAfter) || added.PublicKey.EndpointAudience && !old.PublicKey.EndpointAudience || added.PublicKey.LongAssertions && !old.PublicKey.LongAssertions) {
		return &ForbiddenError{Action: audit.Rotate, Reason: "A key may replace only the public key that it logged in with, by one that ends no later and accepts no more."}
	}
	old.NotAfter = earlier(now.Add(spec.Grace), old.NotAfter)
	return nil
}

// addCredential adds a credential, and drops those of its kind that have ended. replaced is
// the id of the one that it replaces, if any.
func addCredential(k *store.Key, added store.Credential, replaced string, now time.Time) error {
	kind := kindOf(&added)
	field := map[string]string{secretKind: "grace", publicKeyKind: "public_key", trustKind: "claims"}[kind]
	same := func(old store.Credential) bool { return duplicates(&old, &added, replaced, now) }
	if slices.ContainsFunc(k.Credentials, same) {
		return invalid(field, "The key has it already: a public key with the same kid or value, or a trust with the same issuer and claims.")
	}
	k.Credentials = slices.DeleteFunc(k.Credentials, func(old store.Credential) bool { return kindOf(&old) == kind && expired(old.NotAfter, now) })
	if held := len(ofKind(k, kind)); held >= maxOfKind(kind) {
		return invalid(field, fmt.Sprintf("The key holds %d %s already; retire one first.", held, strings.ReplaceAll(kind, "_", " ")))
	}
	k.Credentials = append(k.Credentials, added)
	return nil
}

// duplicates reports whether added is the same trust as old, or the same public key, or a
// public key with the same kid. A trust may be renewed by the same one, but a public key may
// not.
func duplicates(old, added *store.Credential, replaced string, now time.Time) bool {
	ended := expired(old.NotAfter, now)
	switch {
	case old.Trust != nil && added.Trust != nil:
		return !ended && old.ID != replaced && old.Trust.Issuer == added.Trust.Issuer && slices.Equal(old.Trust.Claims, added.Trust.Claims)
	case old.PublicKey != nil && added.PublicKey != nil && (!ended || old.ID == replaced):
		a, _, errA := jose.ParsePublicKey([]byte(old.PublicKey.JWK))
		b, _, errB := jose.ParsePublicKey([]byte(added.PublicKey.JWK))
		sameID := a.ID == b.ID
		a.ID, a.Algorithm = b.ID, b.Algorithm
		return errA == nil && errB == nil && (sameID || a.Same(b))
	}
	return false
}

// The kinds of credentials, which are also fields of events.
const (
	secretKind    = "secrets"
	publicKeyKind = "public_keys"
	trustKind     = "trusts"
)

func kindOf(c *store.Credential) string {
	switch {
	case c.PublicKey != nil:
		return publicKeyKind
	case c.Trust != nil:
		return trustKind
	}
	return secretKind
}

// maxOfKind is how many credentials of a kind a key can hold at once.
func maxOfKind(kind string) int {
	return map[string]int{secretKind: maxSecrets, publicKeyKind: 8, trustKind: 16}[kind]
}

// ofKind returns the credentials of one kind.
func ofKind(k *store.Key, kind string) []store.Credential {
	return slices.DeleteFunc(slices.Clone(k.Credentials), func(c store.Credential) bool { return kindOf(&c) != kind })
}
