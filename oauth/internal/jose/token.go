package jose

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// MaxToken is the longest token that is looked at, in bytes.
const MaxToken = 8 << 10

// maxHeader bounds the decoded header; ours has under 350 bytes.
const maxHeader = 1 << 10

var (
	// ErrToken is wrapped by the errors of Parse: the text is no access token
	// of the form that Latchkey issues.
	ErrToken = errors.New("jose: not an access token")
	// ErrSignature is wrapped by the errors of Verify about the token.
	ErrSignature = errors.New("jose: the signature does not match")
)

// Unverified is a token of the right form whose signature nobody has checked.
// It is immutable and safe for concurrent use.
type Unverified struct {
	KeyID     string
	Algorithm Algorithm // one that is Known

	signed    string // header and claims, as they were signed
	claims    string // base64url
	signature string // base64url
}

// headerNames are the header parameters with a meaning (RFC 7515, section
// 4.1; RFC 7797; RFC 7516).
var headerNames = []string{
	"alg", "kid", "typ", "cty", "crit", "b64", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "zip", "enc",
}

// Parse takes a token apart. It bounds length and form before it decodes
// anything, and it decodes the header only: claims that nobody signed have no
// way out of this type. The error wraps ErrToken and repeats no part of the
// token.
func Parse(token string) (*Unverified, error) {
	if len(token) > MaxToken {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrToken, MaxToken)
	}
	// base64.Decoder skips line breaks, so the alphabet is checked here. The
	// third dot ends the scan: five parts are an encrypted token (JWE).
	var dots [2]int
	found := 0
	for i := range len(token) {
		c := token[i]
		if c == '.' {
			if found == 2 {
				return nil, fmt.Errorf("%w: it has more than three parts", ErrToken)
			}
			dots[found] = i
			found++
			continue
		}
		if !base64URLByte(c) {
			return nil, fmt.Errorf("%w: it holds a character outside base64url", ErrToken)
		}
	}
	if found != 2 {
		return nil, fmt.Errorf("%w: it has fewer than three parts", ErrToken)
	}
	u := &Unverified{
		signed:    token[:dots[1]],
		claims:    token[dots[0]+1 : dots[1]],
		signature: token[dots[1]+1:],
	}
	header, err := decode(token[:dots[0]])
	if err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrToken, err)
	}
	if len(header) > maxHeader {
		return nil, fmt.Errorf("%w: the header is longer than %d bytes", ErrToken, maxHeader)
	}
	if err := u.readHeader(header); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrToken, err)
	}
	return u, nil
}

func (u *Unverified) readHeader(header []byte) error {
	members, err := strictjson.Members(header, headerNames)
	if err != nil {
		return err
	}
	var typ string
	for _, m := range members {
		switch m.Name {
		case "alg":
			var name string
			name, err = strictjson.String(m.Value)
			u.Algorithm = Algorithm(name)
		case "kid":
			u.KeyID, err = strictjson.String(m.Value)
		case "typ":
			typ, err = strictjson.String(m.Value)
		case "jku", "jwk", "x5u", "x5c":
			// RFC 8725, section 3.10: a token does not bring its own key.
			err = errors.New("a token may not name its own key")
		case "crit", "b64":
			// RFC 7515, section 4.1.11: no extension is understood here.
			err = errors.New("no extension is supported")
		case "zip", "enc":
			err = errors.New("encrypted tokens are not supported")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	// RFC 9068, section 4: other types of JWT from the same issuer are no
	// access tokens.
	if !strings.EqualFold(typ, "at+jwt") && !strings.EqualFold(typ, "application/at+jwt") {
		return errors.New("typ is not at+jwt")
	}
	if !u.Algorithm.Known() {
		return errors.New("alg is not one of the supported algorithms")
	}
	if u.KeyID == "" || len(u.KeyID) > MaxKeyID {
		return fmt.Errorf("kid needs 1 to %d bytes", MaxKeyID)
	}
	return nil
}

// Verify checks the signature and then returns the encoded claims (see
// ParseClaims). The algorithm is the key's; a header that names another is
// refused (RFC 8725, section 3.1), and so is a kid that is not the key's. The
// error wraps ErrKey if the key is at fault, else ErrSignature.
func (u *Unverified) Verify(public PublicKey) (claims []byte, err error) {
	if err := public.Check(); err != nil {
		return nil, err
	}
	if u.Algorithm != public.Algorithm {
		return nil, fmt.Errorf("%w: the key is for another algorithm", ErrSignature)
	}
	if u.KeyID != public.ID {
		return nil, fmt.Errorf("%w: the key has another id", ErrSignature)
	}
	size := signatureSize(public)
	if len(u.signature) != base64.RawURLEncoding.EncodedLen(size) {
		return nil, fmt.Errorf("%w: its length is wrong", ErrSignature)
	}
	signature, err := decode(u.signature)
	if err != nil || len(signature) != size {
		return nil, fmt.Errorf("%w: it is not base64url", ErrSignature)
	}
	// The CVE-2022-21449 class: zeros satisfy the equation of a naive
	// verifier. crypto/ecdsa refuses them too.
	if public.Algorithm == ES256 && (allZero(signature[:32]) || allZero(signature[32:])) {
		return nil, fmt.Errorf("%w: it is out of range", ErrSignature)
	}
	verifier, err := jws.NewVerifier(jwa.SignatureAlgorithm(public.Algorithm))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if err := verifier.Verify([]byte(u.signed), signature, public.Key); err != nil {
		return nil, fmt.Errorf("%w", ErrSignature)
	}
	if claims, err = decode(u.claims); err != nil {
		return nil, fmt.Errorf("%w: claims: %w", ErrSignature, err)
	}
	return claims, nil
}

// decode takes base64url whose alphabet has been checked. Strict refuses
// trailing bits, with which one token would have several spellings.
func decode(text string) ([]byte, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("not canonical base64url")
	}
	return data, nil
}

func base64URLByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func allZero(data []byte) bool {
	var or byte
	for _, b := range data {
		or |= b
	}
	return or == 0
}
