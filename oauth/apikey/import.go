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
	minGenerated      = 22 // characters of base64, for 128 bits
)

// ImportSpec describes a key from another system, whose clients keep the id and
// secret that they have.
type ImportSpec struct {
	Spec
	// ID is the client id: 1 to 255 printable ASCII characters without space.
	ID string
	// Secret is the plaintext, which is hashed before it is stored: with a slow
	// password hash, unless Generated.
	Secret string
	// Digest may be given instead of Secret: a bcrypt, argon2id or PBKDF2 string
	// ($pbkdf2-sha256$i=25000,l=32$salt$hash; sha512 too). Plain fast hashes are
	// refused; package migrate shows how to migrate them.
	Digest string
	// Generated declares that the secret has at least 128 random bits, and so 22
	// characters or more. It then gets a fast digest: at once if Secret is given,
	// and at the first login if Digest is given. The digest of a shorter secret
	// stays as it is.
	Generated bool
}

// Import creates a key with a given id and secret. Config.Imported must be true. If a
// key has the id, or had it and Prune has not removed its tombstone, the error is
// store.ErrExists. The other errors are those
// of Create.
func (s *Service) Import(ctx context.Context, actor Actor, spec ImportSpec) (Key, error) {
	var bad InvalidError
	bad.addIf(!s.cfg.Imported, "secret", "Config.Imported is false, so an imported secret could not log in. Set it to true to import keys.")
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
		bad.add("secret", fmt.Sprintf("A secret of 128 random bits has at least %d characters; import a shorter one without Generated.", minGenerated))
	}
	if err := bad.orNil(); err != nil {
		return Key{}, err
	}
	return s.add(ctx, actor, &creation{
		spec: spec.Spec, policy: policy.ActionImport, action: audit.Import, id: spec.ID,
		secret: func(k *store.Key) (store.Secret, error) { return s.importedSecret(ctx, k, spec) },
	})
}

// importedSecret makes the record of an imported secret.
func (s *Service) importedSecret(ctx context.Context, k *store.Key, spec ImportSpec) (store.Secret, error) {
	secret := store.Secret{Hint: secrets.Of("", spec.Secret).Hint(), Digest: spec.Digest, Generated: spec.Generated, Created: k.Created, CreatedBy: k.CreatedBy}
	var err error
	if prefix, own := secrets.PrefixOf(spec.Secret, s.cfg.SecretPrefixes); own {
		// It has Latchkey's own format: logins find it by the id derived from it.
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
