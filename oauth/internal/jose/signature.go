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
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// signFunc appends the signature of payload to dst.
type signFunc func(dst, payload []byte) ([]byte, error)

// newSignFunc returns the function that signs with a key. The key must fit the
// algorithm. It uses jws, except for two algorithms where jws is slow:
//
//   - ES256: jws passes a copy of the private key to crypto/ecdsa, so that the
//     standard library repeats for each signature what it could prepare once per
//     key. jws would also panic on bad integers from a key outside the process.
//   - HS256: jws makes a new HMAC for each signature, which doubles the time.
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
			// The host's own Ed25519 key gets the payload and may keep it. So it gets a
			// copy, and not a buffer that is reused for other tokens.
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

// signECDSA derives the nonce of a signature from key and payload (RFC 8725, section
// 3.2; RFC 6979), so that no two signatures share one. This also takes a quarter less
// time. A key outside the process chooses the nonce itself.
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

// appendRaw converts an ECDSA signature over P-256 from ASN.1 (RFC 3279, section
// 2.2.3) to two numbers of 32 bytes (RFC 7518, section 3.4).
func appendRaw(dst, der []byte) ([]byte, error) {
	input := cryptobyte.String(der)
	var numbers cryptobyte.String
	var r, s []byte // without leading zeros
	if !input.ReadASN1(&numbers, asn1.SEQUENCE) || !input.Empty() ||
		!numbers.ReadASN1Integer(&r) || !numbers.ReadASN1Integer(&s) || !numbers.Empty() {
		return nil, errors.New("the key did not return an ASN.1 signature")
	}
	if len(r) > 32 || r[0] == 0 || len(s) > 32 || s[0] == 0 {
		return nil, errors.New("the key returned a signature out of range")
	}
	var raw [64]byte
	copy(raw[32-len(r):], r)
	copy(raw[64-len(s):], s)
	return append(dst, raw[:]...), nil
}
