package bearer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// ErrUnknownKey is what a KeySet returns for a kid it does not have.
var ErrUnknownKey = errors.New("bearer: unknown signing key")

// KeySet finds the key that verifies a signature. It must be safe for
// concurrent use, and it is asked at every request, so it should answer from
// memory: a key that leaves the set takes its tokens with it at once, those in
// the Verifier's cache too.
type KeySet interface {
	// Key returns the key whose id is kid. ErrUnknownKey refuses the token;
	// any other error is an outage, answered with 503. kid is what the token
	// says, 1 to 255 bytes of any kind.
	Key(ctx context.Context, kid string) (PublicKey, error)
}

// PublicKey is one key of the issuer, which verifies signatures.
type PublicKey struct {
	// ID is the kid.
	ID string
	// Algorithm is "ES256", "RS256", "PS256", "EdDSA" or "HS256". A token is
	// verified with the algorithm of its key, whatever it says itself.
	Algorithm string
	// Key is a *ecdsa.PublicKey on P-256, a *rsa.PublicKey of 2048 to 8192
	// bits, an ed25519.PublicKey, or for HS256 the secret as []byte. It must
	// not change.
	Key any
}

// Format implements fmt.Formatter: id and algorithm only, since an HS256 key
// is a secret.
func (k PublicKey) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, k.Algorithm+" key "+k.ID) //nolint:errcheck // Printf is told by f
}

// MarshalText implements encoding.TextMarshaler; see Format.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.Algorithm + " key " + k.ID), nil }

// KeySetFunc is a KeySet made of a function.
type KeySetFunc func(ctx context.Context, kid string) (PublicKey, error)

// Key calls f.
func (f KeySetFunc) Key(ctx context.Context, kid string) (PublicKey, error) { return f(ctx, kid) }

// StaticKeys reads a JWK Set (RFC 7517) of at most 64 KiB and 100 keys, whose
// contents never change. Keys of another kind or use are skipped; a set with a
// private or weak key, two keys of one kid, or no usable key is an error.
func StaticKeys(jwks []byte) (KeySet, error) {
	keys, err := parseKeys(jwks)
	if err != nil {
		return nil, fmt.Errorf("bearer: static keys: %w", err)
	}
	return keys, nil
}

func parseKeys(jwks []byte) (staticKeys, error) {
	parsed, err := jose.ParseKeySet(jwks)
	if err != nil {
		return nil, err
	}
	if len(parsed) == 0 {
		return nil, errors.New("the set holds no usable key")
	}
	keys := make(staticKeys, len(parsed))
	for _, key := range parsed {
		keys[key.ID] = PublicKey{ID: key.ID, Algorithm: string(key.Algorithm), Key: key.Key}
	}
	return keys, nil
}

type staticKeys map[string]PublicKey

func (s staticKeys) Key(_ context.Context, kid string) (PublicKey, error) {
	key, ok := s[kid]
	if !ok {
		return PublicKey{}, ErrUnknownKey
	}
	return key, nil
}
