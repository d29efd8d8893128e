// Package jose signs and verifies Latchkey's access tokens, and reads and writes
// key sets. It is the only package that imports jwx. Its exported names use no jwx
// type, so that the library can be replaced.
//
// The set of algorithms is fixed. The algorithm comes from the key, never from the
// token. The size of all input is checked before it is decoded.
package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// Algorithm is the JWS name of a signature algorithm (RFC 7518, section 3.1; RFC
// 8037).
type Algorithm string

// The algorithms. There is no "none".
const (
	ES256 Algorithm = "ES256" // ECDSA over P-256 and SHA-256; the default
	RS256 Algorithm = "RS256" // RSASSA-PKCS1-v1_5 and SHA-256
	PS256 Algorithm = "PS256" // RSASSA-PSS and SHA-256
	EdDSA Algorithm = "EdDSA" // Ed25519
	HS256 Algorithm = "HS256" // HMAC and SHA-256: the key that verifies can also sign
)

// named returns the algorithm with a name. Ed25519 is the name that RFC 9864 gives to EdDSA
// with such a key, and that clients send.
func named(name string) Algorithm {
	if name == "Ed25519" {
		return EdDSA
	}
	return Algorithm(name)
}

// Sizes of keys, in bits and bytes.
const (
	minRSABits = 2048
	// maxRSABits bounds the time of a verification.
	maxRSABits = 8192
	minHMACKey = 32
)

// ErrKey is wrapped by every error about a key that cannot be used. Then the
// configuration or the key set is wrong, and not the token.
var ErrKey = errors.New("jose: unusable key")

// PublicKey is a key that verifies signatures.
type PublicKey struct {
	ID        string // the kid
	Algorithm Algorithm
	// Key is a *ecdsa.PublicKey, *rsa.PublicKey or ed25519.PublicKey; for
	// HS256, where there is no public half, the secret as []byte.
	Key any
}

// Known reports whether a is one of the algorithms above, byte for byte.
func (a Algorithm) Known() bool {
	return slices.Contains([]Algorithm{ES256, RS256, PS256, EdDSA, HS256}, a)
}

// DefaultAlgorithm returns the algorithm for a private or public key, or for a
// secret of type []byte. For RSA it is RS256, which every verifier supports.
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

// Same reports whether both have the same id, algorithm and key.
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

// checkKey checks that the key fits the algorithm. Without this check an RSA public
// key could be used as an HMAC secret.
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
		if alg == EdDSA && len(k) == ed25519.PublicKeySize && !hasSmallOrder(k) {
			return nil
		}
	case []byte:
		if alg == HS256 && len(k) >= minHMACKey {
			return nil
		}
	}
	return fmt.Errorf("%w: %.20s does not take this key: its type, %T, or its length is wrong (a secret needs at least %d bytes)",
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

// hasSmallOrder reports whether a key is one of the points of small order, for which anybody can
// make signatures. The coordinates y of all of them are 0, 1, -1 and those of the four points of
// order 8, and 0 and 1 also have encodings that are not canonical (RFC 8032, section 5.1.3).
func hasSmallOrder(k ed25519.PublicKey) bool {
	y := slices.Clone(k)
	y[31] &= 0x7f // the sign of x
	switch hex.EncodeToString(y) {
	case "0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a":
		return true
	}
	return false
}

func checkRSA(k *rsa.PublicKey) error {
	if k == nil || k.N == nil {
		return fmt.Errorf("%w: the RSA key has no modulus", ErrKey)
	}
	if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return fmt.Errorf("%w: the RSA key must have %d to %d bits, not %d", ErrKey, minRSABits, maxRSABits, bits)
	}
	if k.N.Bit(0) == 0 || k.E < 3 || k.E%2 == 0 || k.E > 1<<31-1 {
		return fmt.Errorf("%w: the RSA modulus or exponent is not valid", ErrKey)
	}
	return nil
}

// publicOf returns the public key of a signer. It refuses a nil pointer in the
// interface, because Public would panic.
func publicOf(signer crypto.Signer) (crypto.PublicKey, error) {
	complete := true
	switch k := signer.(type) {
	case *ecdsa.PrivateKey:
		complete = k != nil
	case *rsa.PrivateKey:
		complete = k != nil
	case ed25519.PrivateKey:
		complete = len(k) == ed25519.PrivateKeySize
	}
	if !complete {
		return nil, fmt.Errorf("%w: the private key is nil or incomplete", ErrKey)
	}
	return signer.Public(), nil
}
