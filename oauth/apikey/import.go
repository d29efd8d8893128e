package apikey

import (
	"context"
	"fmt"
	"slices"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
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
	// password hash, unless Generated is set or it has the form of Latchkey's own secrets
	// with a prefix of Config.SecretPrefixes.
	Secret string
	// Digest may be given instead of Secret: a bcrypt, argon2id or PBKDF2 string
	// ($pbkdf2-sha256$i=25000,l=32$salt$hash; sha512 too).
	Digest string
	// SHA256 may be given instead of Secret, together with Generated: the SHA-256 of
	// the secret, unsalted, in hex or in base64 (standard or url, padded or not). At
	// the first use of the secret it is replaced by a digest like that of a secret of
	// Latchkey's own. Until then it is stored as it is: who reads the store can test
	// guesses with it, which is of no use for 128 random bits. The SHA-256 of a secret
	// that a person chose, and any other fast hash, cannot be imported; package migrate says how
	// to keep such secrets.
	SHA256 string
	// Generated declares that the secret has at least 128 random bits, and so 22
	// characters or more. It then gets a fast digest: at once if Secret is given,
	// and at its first use if Digest or SHA256 is given. The slow digest of a shorter
	// secret stays as it is. A secret that is imported as Secret or SHA256 with
	// Generated is found without the key's id; see FindSecret and Spec.Direct.
	Generated bool
}

// Import creates a key with a given id and secret. Config.Imported must be true. If a
// key has the id, or had it and Prune has not removed its tombstone, the error is
// store.ErrExists. If another key has the secret, it is store.ErrCredentialExists, which
// wraps store.ErrExists; among secrets with slow digests this is not known. The other
// errors are those of Create. A secret in the form of a JWT is refused, since a guard
// could not tell it from a token. If only a digest is given,
// Import cannot check that. Who may import chooses secrets that others may know, so a host
// that offers it to its customers should let organization admins alone do it.
func (s *Service) Import(ctx context.Context, actor Actor, spec ImportSpec) (Key, error) {
	var bad InvalidError
	bad.addIf(!s.cfg.Imported, "secret", "Config.Imported is false, so an imported secret could not log in. Set it to true to import keys.")
	bad.addIf(!validID(spec.ID), "id", idForm)
	bad.addIf(spec.NoSecret, "no_secret", "An imported key has a secret; create the key instead.")
	given := slices.DeleteFunc([]string{spec.Secret, spec.Digest, spec.SHA256}, func(text string) bool { return text == "" })
	switch {
	case len(given) != 1:
		bad.add("secret", "Give one of the secret, its slow digest and its SHA-256.")
	case spec.SHA256 != "":
		if _, _, err := secrets.OfSHA256(spec.SHA256); err != nil {
			bad.add("sha256", err.Error())
		}
		bad.addIf(!spec.Generated, "sha256", "A SHA-256 can be imported only of a secret of at least 128 random bits, since a password is easily guessed from it. Set Generated if the secrets are random.")
	case spec.Digest != "":
		if _, err := secrets.ParseSlow(spec.Digest); err != nil {
			bad.add("digest", err.Error())
		}
	case len(spec.Secret) > maxImportedSecret:
		bad.add("secret", fmt.Sprintf("A secret has at most %d bytes.", maxImportedSecret))
	case request.IsJWT(spec.Secret):
		bad.add("secret", "It has the form of a JWT, so a guard would take it for a token. Give this program a new key.")
	case spec.Generated && len(spec.Secret) < minGenerated:
		bad.add("secret", fmt.Sprintf("A secret of 128 random bits has at least %d characters; import a shorter one without Generated.", minGenerated))
	}
	if err := bad.orNil(); err != nil {
		return Key{}, err
	}
	return s.add(ctx, actor, &creation{
		spec: spec.Spec, policy: policy.ActionImport, action: audit.Import, id: spec.ID,
		secret: func(k *store.Key) (store.Credential, error) { return s.importedSecret(ctx, k, spec) },
	})
}

// importedSecret makes the record of an imported secret.
func (s *Service) importedSecret(ctx context.Context, k *store.Key, spec ImportSpec) (store.Credential, error) {
	prefix, own := secrets.PrefixOf(spec.Secret, s.cfg.SecretPrefixes)
	secret := store.Credential{
		Hint: secrets.Of("", spec.Secret).Hint(), Digest: spec.Digest, Prefix: prefix, Generated: own || spec.Generated, Created: k.Created, CreatedBy: k.CreatedBy,
	}
	var err error
	switch {
	case spec.SHA256 != "":
		secret.Digest, secret.ID, err = secrets.OfSHA256(spec.SHA256)
	case spec.Secret != "" && secret.Generated:
		secret.ID = secrets.ID(spec.Secret)
		secret.Digest = s.hasher.Digest(secrets.Binding{KeyID: k.ID, Workspace: k.Workspace, SecretID: secret.ID, Secret: spec.Secret})
	default:
		secret.ID, err = secrets.RandomID(s.cfg.Random)
		if err == nil && spec.Secret != "" {
			secret.Digest, err = s.slow.hash(ctx, s.cfg.Random, spec.Secret)
		}
	}
	if err != nil {
		return secret, fmt.Errorf("apikey: import: %w", err)
	}
	return secret, nil
}
