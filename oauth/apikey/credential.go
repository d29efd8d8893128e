package apikey

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

const (
	maxPublicKeys = 8
	maxTrusts     = 16
)

// CredentialSpec describes a public key or a trust to be added to a key. One of
// PublicKey and Trust must be set.
type CredentialSpec struct {
	// Name is for people: 1 to 255 printable characters.
	Name string
	// PublicKey lets a program log in with the private half. Its JWK is for ES256, RS256,
	// PS256 or EdDSA, and an RSA key has 2048 to 4096 bits. Members other than those of the public
	// key, kid and alg are dropped; a private one is refused.
	PublicKey *store.PublicKey
	// Trust lets programs log in with an identity of Config.TrustedIssuers.
	Trust *store.Trust
	// NotAfter is the instant from which the credential is refused. Zero: it is valid as
	// long as the key.
	NotAfter time.Time
	// Replaces, unless empty, is the id of a credential of the same kind that ends after
	// Grace, from 0 to 366 days, unless it ends earlier. With 0 it is removed.
	Replaces string
	Grace    time.Duration
	// Version is as in Changes, and Once as in Spec.
	Version int64
	Once    *store.OnceID
}

// AddCredential adds a public key or a trust to a key, which holds at most 8 public keys
// and 16 trusts. The actor must be able to rotate the key's secret. An acting key may do it
// for itself only to replace a public key. The errors are those of Update.
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
			if err := replace(k, &spec, now); err != nil {
				return err
			}
			return addCredential(k, added, now)
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
	bad.addIf(expired(spec.NotAfter, now), "expires_at", "It is in the past.")
	bad.addIf(spec.NotAfter.Year() > maxYear, "expires_at", "It may not be after the year 9999.")
	bad.addIf(spec.Grace < 0 || spec.Grace > maxGrace, "grace", "It must be from 0 to 366 days.")
	bad.addIf((spec.PublicKey == nil) == (spec.Trust == nil), "public_key", "Give either a public key or a trust.")
	if err := bad.orNil(); err != nil {
		return store.Credential{}, err
	}
	c := store.Credential{Name: spec.Name, CreatedBy: creator, Created: now, NotAfter: micro(spec.NotAfter)}
	var err error
	if c.ID, err = secrets.RandomID(s.cfg.Random); err != nil {
		return c, fmt.Errorf("apikey: add credential: %w", err)
	}
	if spec.Trust != nil {
		for _, problem := range s.cfg.TrustedIssuers.Check(*spec.Trust) {
			bad.add("trust", problem)
		}
		c.Trust = &store.Trust{Issuer: spec.Trust.Issuer, Claims: slices.Clone(spec.Trust.Claims)}
		c.ID = c.Trust.Issuer + "." + c.ID // see trust.List.Names
		return c, bad.orNil()
	}
	bad.addIf(spec.PublicKey.LongAssertions && !s.cfg.LongAssertions, "long_assertions", "This service does not accept assertions that are valid for longer than 5 minutes.")
	_, jwk, err := jose.ParsePublicKey([]byte(spec.PublicKey.JWK))
	if err != nil {
		bad.add("public_key", "It is not a JWK that can be used: "+err.Error()+".")
	}
	c.PublicKey = &store.PublicKey{JWK: string(jwk), EndpointAudience: spec.PublicKey.EndpointAudience, LongAssertions: spec.PublicKey.LongAssertions}
	return c, bad.orNil()
}

// replace ends the credential that spec replaces.
func replace(k *store.Key, spec *CredentialSpec, now time.Time) error {
	if spec.Replaces == "" {
		return nil
	}
	i := slices.IndexFunc(k.Credentials, func(c store.Credential) bool {
		return c.ID == spec.Replaces && (c.PublicKey != nil) == (spec.PublicKey != nil) && !c.IsSecret()
	})
	if i < 0 {
		return invalid("replaces", "The key has no credential of this kind with this id.")
	}
	k.Credentials[i].NotAfter = earlier(now.Add(spec.Grace), k.Credentials[i].NotAfter)
	return nil
}

// addCredential adds a credential and drops those that have ended.
func addCredential(k *store.Key, added store.Credential, now time.Time) error {
	k.Credentials = slices.DeleteFunc(k.Credentials, func(c store.Credential) bool { return expired(c.NotAfter, now) })
	same := 0
	for i := range k.Credentials {
		if old := &k.Credentials[i]; (old.PublicKey != nil) == (added.PublicKey != nil) && !old.IsSecret() {
			same++
		}
	}
	limit := maxTrusts
	if added.PublicKey != nil {
		limit = maxPublicKeys
	}
	if same >= limit {
		return invalid("name", fmt.Sprintf("The key holds %d of these already; retire one first.", limit))
	}
	k.Credentials = append(k.Credentials, added)
	return nil
}
