// Package jose signs and verifies Latchkey's access tokens and reads and
// writes key sets. It is the only package that imports jwx, and no jwx type
// appears in an exported name, so that another library can take its place.
//
// The set of algorithms is closed, the algorithm comes from the key and never
// from the token, and everything read is bounded before it is decoded.
package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
)

// Algorithm is a signature algorithm by its JWS name (RFC 7518, section 3.1;
// RFC 8037).
type Algorithm string

// The algorithms. There is no "none".
const (
	ES256 Algorithm = "ES256" // ECDSA over P-256 and SHA-256; the default
	RS256 Algorithm = "RS256" // RSASSA-PKCS1-v1_5 and SHA-256
	PS256 Algorithm = "PS256" // RSASSA-PSS and SHA-256
	EdDSA Algorithm = "EdDSA" // Ed25519
	HS256 Algorithm = "HS256" // HMAC and SHA-256: who can verify can also sign
)

// Sizes of keys, in bits and bytes.
const (
	minRSABits = 2048
	// maxRSABits bounds the work that a published key can make of a
	// verification.
	maxRSABits = 8192
	minHMACKey = 32
)

// ErrKey is wrapped by every error about a key that cannot be used. It is a
// fault of the key's provider, not of a token.
var ErrKey = errors.New("jose: unusable key")

// PublicKey is what verifies a signature.
type PublicKey struct {
	ID        string // the kid
	Algorithm Algorithm
	// Key is a *ecdsa.PublicKey, *rsa.PublicKey or ed25519.PublicKey; for
	// HS256, where there is no public half, the secret as []byte.
	Key any
}

// Known reports whether a is one of the algorithms above, byte for byte.
func (a Algorithm) Known() bool {
	switch a {
	case ES256, RS256, PS256, EdDSA, HS256:
		return true
	}
	return false
}

// DefaultAlgorithm picks the algorithm for a private or public key, or for a
// secret of type []byte. For RSA that is RS256, which every consumer knows.
func DefaultAlgorithm(key any) (Algorithm, error) {
	public := key
	if signer, ok := key.(crypto.Signer); ok {
		var err error
		if public, err = publicOf(signer); err != nil {
			return "", err
		}
	}
	var alg Algorithm
	switch public.(type) {
	case *ecdsa.PublicKey:
		alg = ES256
	case *rsa.PublicKey:
		alg = RS256
	case ed25519.PublicKey:
		alg = EdDSA
	case []byte:
		alg = HS256
	}
	return alg, checkKey(alg, public)
}

// Check reports whether the key fits its algorithm and is strong enough. The
// error wraps ErrKey.
func (p PublicKey) Check() error { return checkKey(p.Algorithm, p.Key) }

// Same reports whether both are one key under one id and algorithm.
func (p PublicKey) Same(other PublicKey) bool {
	if p.ID != other.ID || p.Algorithm != other.Algorithm {
		return false
	}
	switch k := p.Key.(type) {
	case *ecdsa.PublicKey:
		o, ok := other.Key.(*ecdsa.PublicKey)
		return ok && (k == o || k != nil && o != nil && k.Equal(o))
	case *rsa.PublicKey:
		o, ok := other.Key.(*rsa.PublicKey)
		return ok && (k == o || k != nil && o != nil && k.Equal(o))
	case ed25519.PublicKey:
		o, ok := other.Key.(ed25519.PublicKey)
		return ok && bytes.Equal(k, o)
	case []byte:
		o, ok := other.Key.([]byte)
		return ok && bytes.Equal(k, o)
	}
	return false
}

// checkKey is the one place that says which key an algorithm takes. Without
// it, an RSA public key could serve as an HMAC secret.
func checkKey(alg Algorithm, key any) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if alg == ES256 {
			return checkECDSA(k)
		}
	case *rsa.PublicKey:
		if alg == RS256 || alg == PS256 {
			return checkRSA(k)
		}
	case ed25519.PublicKey:
		if alg == EdDSA && len(k) == ed25519.PublicKeySize {
			return nil
		}
	case []byte:
		if alg == HS256 && len(k) >= minHMACKey {
			return nil
		}
	}
	return fmt.Errorf("%w: %.20s does not take a key of type %T, or needs one of another length (at least %d bytes, a secret)",
		ErrKey, string(alg), key, minHMACKey)
}

func checkECDSA(k *ecdsa.PublicKey) error {
	if k == nil || k.Curve != elliptic.P256() || k.X == nil || k.Y == nil { //nolint:staticcheck // Bytes panics on a nil coordinate
		return fmt.Errorf("%w: ES256 needs the curve P-256", ErrKey)
	}
	if _, err := k.Bytes(); err != nil {
		return fmt.Errorf("%w: the point is not on the curve", ErrKey)
	}
	return nil
}

func checkRSA(k *rsa.PublicKey) error {
	if k == nil || k.N == nil {
		return fmt.Errorf("%w: an RSA key without modulus", ErrKey)
	}
	if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return fmt.Errorf("%w: an RSA key needs %d to %d bits, not %d", ErrKey, minRSABits, maxRSABits, bits)
	}
	if k.N.Bit(0) == 0 || k.E < 3 || k.E%2 == 0 || k.E > 1<<31-1 {
		return fmt.Errorf("%w: the RSA modulus or exponent is not valid", ErrKey)
	}
	return nil
}

// publicOf asks a signer for its public half. A nil pointer inside the
// interface would panic.
func publicOf(signer crypto.Signer) (crypto.PublicKey, error) {
	there := true
	switch k := signer.(type) {
	case *ecdsa.PrivateKey:
		there = k != nil
	case *rsa.PrivateKey:
		there = k != nil
	case ed25519.PrivateKey:
		there = len(k) == ed25519.PrivateKeySize
	}
	if !there {
		return nil, fmt.Errorf("%w: the private key is nil or not whole", ErrKey)
	}
	return signer.Public(), nil
}
