package apikey

import (
	"context"
	"fmt"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

const maxImportedSecret = 1024

// ImportSpec describes a key that comes from another system with the id and
// secret its programs already hold.
type ImportSpec struct {
	Spec
	// ID is the client id: 1 to 255 printable ASCII characters without space.
	ID string
	// Secret is the plaintext, hashed at once. One of fewer than 128 bits by
	// length and alphabet gets a slow digest.
	Secret string
	// Digest, instead of Secret, is a bcrypt, an argon2id or a PBKDF2 string
	// ($pbkdf2-sha256$i=25000,l=32$salt$hash; sha512 too). Bare fast hashes
	// are refused; what to do about them says package migrate.
	Digest string
	// Generated declares that the secret is random with at least 128 bits:
	// a slow digest is then replaced by a fast one at the first login.
	Generated bool
}

// Import makes a key with a given id and secret. Config.Imported must be set.
// An id that a key holds or held is store.ErrExists; other errors are those
// of Create.
func (s *Service) Import(ctx context.Context, actor Actor, spec ImportSpec) (store.Key, error) {
	var bad InvalidError
	if !s.cfg.Imported {
		bad.add("secret", "Config.Imported is false: an imported secret could not log in.")
	}
	if !validID(spec.ID) {
		bad.add("id", "An id has 1 to 255 printable ASCII characters without spaces.")
	}
	switch {
	case (spec.Secret == "") == (spec.Digest == ""):
		bad.add("secret", "Give either the secret or its digest.")
	case spec.Digest != "":
		if err := checkImported(spec.Digest); err != nil {
			bad.add("digest", strings.TrimPrefix(err.Error(), "apikey: imported digest: "))
		}
	case len(spec.Secret) > maxImportedSecret:
		bad.add("secret", fmt.Sprintf("A secret has at most %d bytes.", maxImportedSecret))
	}
	if err := bad.orNil(); err != nil {
		return store.Key{}, err
	}
	return s.add(ctx, actor, &creation{
		spec: spec.Spec, policy: policy.Import, action: audit.Import, id: spec.ID,
		secret: func(k *store.Key) (store.Secret, error) { return s.bring(ctx, k, spec) },
	})
}

// bring makes the record of an imported secret.
func (s *Service) bring(ctx context.Context, k *store.Key, spec ImportSpec) (store.Secret, error) {
	secret := store.Secret{Digest: spec.Digest, Generated: spec.Generated, Created: k.Created, CreatedBy: k.CreatedBy}
	if parsed, err := ParseSecret(s.cfg.SecretPrefix, spec.Secret); err == nil {
		// One of Latchkey's own, coming home: logins look for its derived id.
		secret.ID, secret.Generated, secret.Prefix = secretID(parsed.Reveal()), true, s.cfg.SecretPrefix
	} else if secret.ID, err = randomID(s.cfg.Random, 9); err != nil {
		return secret, fmt.Errorf("apikey: import: %w", err)
	}
	secret.Hint = secretOf("", spec.Secret).Hint()
	var err error
	switch {
	case secret.Digest != "":
	case entropyBits(spec.Secret) < strongBits:
		if secret.Digest, err = s.slow.hash(ctx, s.cfg.Random, spec.Secret); err != nil {
			return secret, fmt.Errorf("apikey: import: %w", err)
		}
	default:
		secret.Digest = s.hasher.digest(binding{keyID: k.ID, workspace: k.Workspace, secretID: secret.ID, secret: spec.Secret})
	}
	return secret, nil
}
