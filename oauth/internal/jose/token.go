package jose

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// MaxToken is the maximum length of a token, in bytes.
const MaxToken = 8 << 10

// maxHeader bounds the decoded header, in bytes. Latchkey's header has less than
// 350. Those of GitHub, GitLab, Kubernetes and Azure have alg, typ, kid and x5t, less
// than 200.
const maxHeader = 1 << 10

var (
	// ErrToken is wrapped by the errors of Parse and ParseAssertion: the text is not a
	// JWT of the form and type that they accept.
	ErrToken = errors.New("jose: not a token of this kind")
	// ErrSignature is wrapped by the errors of Verify about the token.
	ErrSignature = errors.New("jose: the signature does not match")
)

// Unverified is a parsed token whose signature has not been checked. It is immutable
// and safe for concurrent use.
type Unverified struct {
	KeyID     string
	Algorithm Algorithm // Known reports true for it
	Type      string    // the typ; empty if there is none

	signed    string // the encoded header and claims, which were signed
	claims    string // base64url
	signature string // base64url

	assertion Assertion // the claims, if ParseAssertion read them
}

// headerNames are the standard header parameters (RFC 7515, section 4.1; RFC 7797;
// RFC 7516).
var headerNames = []string{
	"alg", "kid", "typ", "cty", "crit", "b64", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "zip", "enc",
}

// Parse parses an access token (RFC 9068). It checks length and form before it decodes anything. It
// decodes only the header, so that claims cannot be read before Verify has checked
// the signature. The error wraps ErrToken and contains no part of the token.
func Parse(token string) (*Unverified, error) {
	u, err := parse(token)
	switch {
	case err != nil:
		return nil, err
	// RFC 9068, section 4: other types of JWT from the same issuer are not access
	// tokens.
	case !u.HasType("at+jwt"):
		return nil, fmt.Errorf("%w: typ is not at+jwt", ErrToken)
	case u.KeyID == "":
		return nil, fmt.Errorf("%w: it has no kid", ErrToken)
	}
	return u, nil
}

// HasType reports whether the typ is one of types, where "" means that there is none.
// Case does not count, nor does the prefix application/ (RFC 7515, section 4.1.9).
func (u *Unverified) HasType(types ...string) bool {
	typ := u.Type
	if len(typ) > len("application/") && strings.EqualFold(typ[:len("application/")], "application/") {
		typ = typ[len("application/"):]
	}
	return slices.ContainsFunc(types, func(allowed string) bool { return strings.EqualFold(typ, allowed) })
}

// parse parses a token of any type.
func parse(token string) (*Unverified, error) {
	if len(token) > MaxToken {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrToken, MaxToken)
	}
	if strings.Count(token, ".") != 2 { // five parts are an encrypted token (JWE)
		return nil, fmt.Errorf("%w: it does not have three parts", ErrToken)
	}
	head, rest, _ := strings.Cut(token, ".")
	claims, signature, _ := strings.Cut(rest, ".")
	u := &Unverified{signed: token[:len(head)+1+len(claims)], claims: claims, signature: signature}
	header, err := decode(head)
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
		return withoutName(err)
	}
	for _, m := range members {
		switch m.Name {
		case "alg":
			var name string
			name, err = strictjson.String(m.Value)
			u.Algorithm = named(name)
		case "kid":
			u.KeyID, err = strictjson.String(m.Value)
		case "typ":
			u.Type, err = strictjson.String(m.Value)
		case "jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc":
			// A token must not name its own key (RFC 8725, section 3.10). Extensions
			// (RFC 7515, section 4.1.11) and encryption are not supported.
			err = errors.New("a token must not have this parameter")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	if !u.Algorithm.Known() {
		return errors.New("alg is not one of the supported algorithms")
	}
	if len(u.KeyID) > MaxKeyID {
		return fmt.Errorf("kid has more than %d bytes", MaxKeyID)
	}
	return nil
}

// Verify checks the signature and returns the encoded claims (see ParseClaims). It
// uses the algorithm of the key. It refuses a header with another algorithm (RFC
// 8725, section 3.1) or another kid; only an assertion may have no kid. The error wraps
// ErrKey if the key cannot be used, and otherwise ErrSignature.
func (u *Unverified) Verify(public PublicKey) (claims []byte, err error) {
	if err := public.Check(); err != nil {
		return nil, err
	}
	if u.Algorithm != public.Algorithm || u.KeyID != "" && u.KeyID != public.ID {
		return nil, fmt.Errorf("%w: the key has another id or algorithm", ErrSignature)
	}
	signature, err := decode(u.signature)
	if err != nil || len(signature) != signatureSize(public) {
		return nil, fmt.Errorf("%w: it is malformed", ErrSignature)
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

// withoutName returns an error of strictjson without the name that it may quote.
func withoutName(err error) error {
	if fault, ok := errors.AsType[*strictjson.Error](err); ok {
		return errors.New(fault.Reason)
	}
	return err
}

// decode decodes canonical base64url only. Strict refuses trailing bits. Line breaks
// are refused here, because the decoder would skip them.
func decode(text string) ([]byte, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("not canonical base64url")
	}
	return data, nil
}
