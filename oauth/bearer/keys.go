package bearer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// ErrUnknownKey is returned by a KeySet for a kid that it does not have.
var ErrUnknownKey = errors.New("bearer: unknown signing key")

// KeySet finds the key that verifies a signature. It must be safe for
// concurrent use. It is called for every request, so it should answer from
// memory. When a key leaves the set, its tokens are refused at once, even if
// the Verifier has cached them.
type KeySet interface {
	// Key returns the key whose id is kid. If the error is ErrUnknownKey, the token
	// is refused; any other error is an outage, answered with 503. kid comes from the
	// token: 1 to 255 arbitrary bytes.
	Key(ctx context.Context, kid string) (PublicKey, error)
}

// PublicKey is a key of the issuer that verifies signatures.
type PublicKey struct {
	// ID is the kid.
	ID string
	// Algorithm is "ES256", "RS256", "PS256", "EdDSA" or "HS256". The key, and
	// not the token, decides the algorithm.
	Algorithm string
	// Key is a *ecdsa.PublicKey on P-256, a *rsa.PublicKey of 2048 to 8192
	// bits, an ed25519.PublicKey, or for HS256 the secret as []byte. It must
	// not be changed.
	Key any
}

// Format implements fmt.Formatter. It writes id and algorithm only, because an
// HS256 key is a secret.
func (k PublicKey) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, k.Algorithm+" key "+k.ID) //nolint:errcheck // f reports it to Printf
}

// MarshalText implements encoding.TextMarshaler; see Format.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.Algorithm + " key " + k.ID), nil }

// KeySetFunc is a function that implements KeySet.
type KeySetFunc func(ctx context.Context, kid string) (PublicKey, error)

// Key calls f.
func (f KeySetFunc) Key(ctx context.Context, kid string) (PublicKey, error) { return f(ctx, kid) }

// StaticKeys parses a JWK Set (RFC 7517) of at most 64 KiB and 100 keys into a KeySet
// that never changes. Keys of a type that is not supported, and keys that are not for
// signatures, are skipped. A set with a private or weak key, with two keys of the
// same kid, or without a usable key is an error.
func StaticKeys(jwks []byte) (KeySet, error) {
	keys, err := parseKeys(jwks, jose.ParseKeySet)
	if err == nil && len(keys) == 0 {
		err = errNoUsable
	}
	if err != nil {
		return nil, fmt.Errorf("bearer: static keys: %w", err)
	}
	return keys, nil
}

var errNoUsable = errors.New("the set holds no usable key")

func parseKeys(jwks []byte, parse func([]byte) ([]jose.PublicKey, error)) (staticKeys, error) {
	parsed, err := parse(jwks)
	if err != nil {
		return nil, err
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
