package apikey

import (
	"context"
	"fmt"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

const (
	maxImportedSecret = 1024
	minGenerated      = 22 // of base64, for 128 bits
)

// ImportSpec describes a key that comes from another system with the id and
// secret its programs already hold.
type ImportSpec struct {
	Spec
	// ID is the client id: 1 to 255 printable ASCII characters without space.
	ID string
	// Secret is the plaintext, hashed at once: slowly, as a password is, unless
	// Generated.
	Secret string
	// Digest, instead of Secret, is a bcrypt, an argon2id or a PBKDF2 string
	// ($pbkdf2-sha256$i=25000,l=32$salt$hash; sha512 too). Bare fast hashes
	// are refused; what to do about them says package migrate.
	Digest string
	// Generated declares that the secret is random with at least 128 bits, and so
	// 22 characters or more. Its digest is a fast one, at once or from the first
	// login on; that of a shorter secret stays as it is.
	Generated bool
}

// Import makes a key with a given id and secret. Config.Imported must be set.
// An id that a key holds or held is store.ErrExists; other errors are those
// of Create.
func (s *Service) Import(ctx context.Context, actor Actor, spec ImportSpec) (Key, error) {
	var bad InvalidError
	bad.addIf(!s.cfg.Imported, "secret", "Config.Imported is false: an imported secret could not log in.")
	bad.addIf(!validID(spec.ID), "id", idForm)
	switch {
	case (spec.Secret == "") == (spec.Digest == ""):
		bad.add("secret", "Give either the secret or its digest.")
	case spec.Digest != "":
		if _, err := secrets.ParseSlow(spec.Digest); err != nil {
			bad.add("digest", err.Error())
		}
	case len(spec.Secret) > maxImportedSecret:
		bad.add("secret", fmt.Sprintf("A secret has at most %d bytes.", maxImportedSecret))
	case spec.Generated && len(spec.Secret) < minGenerated:
		bad.add("secret", fmt.Sprintf("A random secret of 128 bits has at least %d characters.", minGenerated))
	}
	if err := bad.orNil(); err != nil {
		return Key{}, err
	}
	return s.add(ctx, actor, &creation{
		spec: spec.Spec, policy: policy.ActionImport, action: audit.Import, id: spec.ID,
		secret: func(k *store.Key) (store.Secret, error) { return s.bring(ctx, k, spec) },
	})
}

// bring makes the record of an imported secret.
func (s *Service) bring(ctx context.Context, k *store.Key, spec ImportSpec) (store.Secret, error) {
	secret := store.Secret{Hint: secrets.Of("", spec.Secret).Hint(), Digest: spec.Digest, Generated: spec.Generated, Created: k.Created, CreatedBy: k.CreatedBy}
	var err error
	if prefix, own := secrets.PrefixOf(spec.Secret, s.cfg.SecretPrefixes); own {
		// One of Latchkey's own, coming home: logins look for its derived id.
		secret.ID, secret.Generated, secret.Prefix = secrets.ID(spec.Secret), true, prefix
	} else if secret.ID, err = secrets.RandomID(s.cfg.Random); err != nil {
		return secret, fmt.Errorf("apikey: import: %w", err)
	}
	switch {
	case secret.Digest != "":
	case secret.Generated:
		secret.Digest = s.hasher.Digest(secrets.Binding{KeyID: k.ID, Workspace: k.Workspace, SecretID: secret.ID, Secret: spec.Secret})
	default:
		if secret.Digest, err = s.slow.hash(ctx, s.cfg.Random, spec.Secret); err != nil {
			return secret, fmt.Errorf("apikey: import: %w", err)
		}
	}
	return secret, nil
}
