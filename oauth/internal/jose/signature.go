package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// signFunc appends the signature of payload to dst.
type signFunc func(dst, payload []byte) ([]byte, error)

// newSignFunc takes a key that fits its algorithm. jws signs, but for two
// algorithms that it makes slow:
//
// ES256, since it hands crypto/ecdsa a copy of the private key, and what the
// standard library prepares once a key it then prepares for every signature.
// It would also panic on integers that a faulty key outside the process
// returns.
//
// HS256, since it makes an HMAC, which costs as much as using one.
func newSignFunc(alg Algorithm, key any) (signFunc, error) {
	switch k := key.(type) {
	case []byte:
		return signHMAC(k), nil
	case crypto.Signer:
		if alg == ES256 {
			return signECDSA(k), nil
		}
	}
	signer, err := jws.NewSigner(jwa.SignatureAlgorithm(alg))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	_, local := key.(ed25519.PrivateKey)
	return func(dst, payload []byte) ([]byte, error) {
		if !local {
			// An Ed25519 key of the host's gets the payload itself and may keep it,
			// so it gets a copy and not a buffer that other tokens reuse.
			payload = bytes.Clone(payload)
		}
		signature, err := signer.Sign(payload, key)
		return append(dst, signature...), err
	}, nil
}

func signHMAC(secret []byte) signFunc {
	states := &sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}
	return func(dst, payload []byte) ([]byte, error) {
		state, ok := states.Get().(hash.Hash)
		if !ok {
			return nil, errors.New("no HMAC")
		}
		state.Reset()
		state.Write(payload)
		dst = state.Sum(dst)
		states.Put(state)
		return dst, nil
	}
}

// signECDSA derives the number that a signature must never share with another
// from key and payload (RFC 8725, section 3.2; RFC 6979). That also takes a
// quarter less time. A key outside the process does as it is made to.
func signECDSA(key crypto.Signer) signFunc {
	random := rand.Reader
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		random = nil
	}
	return func(dst, payload []byte) ([]byte, error) {
		digest := sha256.Sum256(payload)
		der, err := key.Sign(random, digest[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		return appendRaw(dst, der)
	}
}

// The tags of ASN.1.
const (
	asn1Integer  = 0x02
	asn1Sequence = 0x30
)

// appendRaw turns the ASN.1 of an ECDSA signature over P-256 (RFC 3279,
// section 2.2.3) into two numbers of 32 bytes (RFC 7518, section 3.4).
func appendRaw(dst, der []byte) ([]byte, error) {
	numbers, rest, ok := cutASN1(der, asn1Sequence)
	if !ok || len(rest) > 0 {
		return nil, errNoASN1
	}
	for range 2 {
		var number []byte
		if number, numbers, ok = cutASN1(numbers, asn1Integer); !ok || len(number) == 0 {
			return nil, errNoASN1
		}
		switch {
		case number[0] >= 0x80: // negative
			return nil, errRange
		case number[0] == 0 && len(number) > 1 && number[1] < 0x80:
			return nil, errNoASN1 // DER has one spelling for a number
		case number[0] == 0: // keeps a high bit from being the sign
			number = number[1:]
		}
		if len(number) > 32 || allZero(number) {
			return nil, errRange
		}
		var padded [32]byte
		copy(padded[len(padded)-len(number):], number)
		dst = append(dst, padded[:]...)
	}
	if len(numbers) > 0 {
		return nil, errNoASN1
	}
	return dst, nil
}

var (
	errNoASN1 = errors.New("the key returned no ASN.1 signature")
	errRange  = errors.New("the key returned a signature out of range")
)

// cutASN1 takes one value off DER. A length of more than one byte is of no
// signature over P-256.
func cutASN1(der []byte, tag byte) (value, rest []byte, ok bool) {
	if len(der) < 2 || der[0] != tag || der[1] >= 0x80 || int(der[1]) > len(der)-2 {
		return nil, nil, false
	}
	end := 2 + int(der[1])
	return der[2:end], der[end:], true
}
