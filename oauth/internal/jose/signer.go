package jose

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// MaxKeyID is the maximum length of a kid, in bytes.
const MaxKeyID = 255

// Signer signs tokens of one type with one key. It is immutable. It is safe for
// concurrent use if its key is.
type Signer struct {
	public  PublicKey
	sign    signFunc
	header  string // base64url, with the dot after it
	sigSize int
	// buffers are reused, each for one token at a time. A buffer holds at most a token
	// and its signature. The host's keys never get a part of a buffer.
	buffers sync.Pool // of *[]byte
}

// NewSigner returns a signer of access tokens. See NewSignerOf.
func NewSigner(alg Algorithm, kid string, key any) (*Signer, error) {
	return NewSignerOf("at+jwt", alg, kid, key)
}

// NewSignerOf returns a signer of tokens with the given typ. It checks the key, which is a
// crypto.Signer (P-256, RSA of 2048 bits or more, Ed25519; it may be in a KMS) or, for
// HS256, a secret of at least 32 bytes, which is copied. If kid is empty, it is the key's
// thumbprint (RFC 7638) or, for a secret, a SHA-256 that does not reveal it. The error
// wraps ErrKey.
func NewSignerOf(typ string, alg Algorithm, kid string, key any) (*Signer, error) {
	s := &Signer{public: PublicKey{ID: kid, Algorithm: alg}}
	switch k := key.(type) {
	case []byte:
		k = append([]byte(nil), k...)
		key, s.public.Key = k, k
	case crypto.Signer:
		public, err := publicOf(k)
		if err != nil {
			return nil, err
		}
		s.public.Key = public
	default:
		return nil, fmt.Errorf("%w: a key of type %T cannot sign", ErrKey, key)
	}
	if err := s.public.Check(); err != nil {
		return nil, err
	}
	var err error
	if kid == "" {
		if s.public.ID, err = thumbprint(s.public.Key); err != nil {
			return nil, err
		}
	}
	if len(s.public.ID) > MaxKeyID || !utf8.ValidString(s.public.ID) {
		return nil, fmt.Errorf("%w: the key id must be at most %d bytes of UTF-8", ErrKey, MaxKeyID)
	}
	if s.sign, err = newSignFunc(alg, key); err != nil {
		return nil, err
	}
	s.sigSize = signatureSize(s.public)
	header, _ := json.Marshal(map[string]string{"alg": string(alg), "kid": s.public.ID, "typ": typ}) //nolint:errcheck // texts always marshal
	s.header = base64.RawURLEncoding.EncodeToString(header) + "."
	return s, nil
}

// Public returns the key that verifies the signatures. For HS256 that is the secret.
func (s *Signer) Public() PublicKey { return s.public }

// Sign returns a token with the encoded claims (see AppendClaims). If the token would
// be longer than MaxToken, it returns an error, because no verifier would accept it.
func (s *Signer) Sign(claims []byte) (string, error) {
	encoding := base64.RawURLEncoding
	size := len(s.header) + encoding.EncodedLen(len(claims)) + 1 + encoding.EncodedLen(s.sigSize)
	if size > MaxToken {
		return "", fmt.Errorf("jose: sign: the token would have %d bytes, and the maximum is %d", size, MaxToken)
	}
	pooled, ok := s.buffers.Get().(*[]byte)
	if !ok {
		pooled = new([]byte)
	}
	// The raw signature is written after the space for the token, in the same buffer.
	buffer := slices.Grow((*pooled)[:0], size+s.sigSize)
	token := encoding.AppendEncode(append(buffer, s.header...), claims)
	signature, err := s.sign(buffer[size:size], token)
	if err == nil && len(signature) != s.sigSize {
		err = fmt.Errorf("the key returned a signature of %d bytes instead of %d", len(signature), s.sigSize)
	}
	if err != nil {
		return "", fmt.Errorf("jose: sign with %s: %w", s.public.Algorithm, err)
	}
	text := string(encoding.AppendEncode(append(token, '.'), signature))
	*pooled = buffer
	s.buffers.Put(pooled)
	return text, nil
}

// signatureSize is the length of each signature of the key, in bytes.
func signatureSize(p PublicKey) int {
	switch k := p.Key.(type) {
	case *rsa.PublicKey:
		return k.Size()
	case []byte:
		return sha256.Size
	}
	return 64
}

func thumbprint(key any) (string, error) {
	if secret, ok := key.([]byte); ok {
		sum := sha256.Sum256(append([]byte("latchkey HS256 key id\x00"), secret...))
		return base64.RawURLEncoding.EncodeToString(sum[:]), nil
	}
	k, err := jwk.FromRaw(key)
	var sum []byte
	if err == nil {
		sum, err = k.Thumbprint(crypto.SHA256)
	}
	if err != nil {
		return "", fmt.Errorf("%w: thumbprint: %w", ErrKey, err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}
