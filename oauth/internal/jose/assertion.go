package jose

import (
	"cmp"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// Rules for all assertions, whoever signs them.
const (
	// ClockSkew is how far the signer's clock may be ahead.
	ClockSkew = 30 * time.Second
	// MaxTokenID is the maximum length of a jti that is spent, in bytes.
	MaxTokenID = 255
)

// Assertion holds the claims of a JWT with which a client authenticates (RFC 7523,
// section 3). Times are Unix seconds.
type Assertion struct {
	Issuer   string
	Subject  string
	Audience []string
	// AudienceIsArray says that aud was a JSON array and not a string.
	AudienceIsArray bool
	Expires         int64
	IssuedAt        int64  // 0 if there is no such claim
	NotBefore       int64  // 0 if there is no such claim
	TokenID         string // the jti; empty if there is no such claim
	// All are all claims, those above too, and Raw is their JSON.
	All strictjson.Object
	Raw []byte
}

var assertionNames = []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti"}

// ParseAssertion is Parse for a JWT with which a client authenticates. It refuses access
// tokens, and claims that ReadAssertion refuses. The caller must check that HasType is true
// for the types that it accepts.
func ParseAssertion(token string) (*Unverified, error) {
	u, err := parse(token)
	if err != nil {
		return nil, err
	}
	if u.HasType("at+jwt") {
		return nil, fmt.Errorf("%w: it is an access token", ErrToken)
	}
	data, err := decode(u.claims)
	if err != nil {
		return nil, fmt.Errorf("%w: claims: %w", ErrToken, err)
	}
	u.assertion, err = ReadAssertion(data)
	return u, err
}

// UnverifiedParties returns the issuer and the subject that an assertion claims, to find
// the keys that can verify it. Nothing else may be decided by them.
func (u *Unverified) UnverifiedParties() (issuer, subject string) {
	return u.assertion.Issuer, u.assertion.Subject
}

// VerifyAssertion is Verify for what ParseAssertion returned. It returns the claims, which
// ParseAssertion has read.
func (u *Unverified) VerifyAssertion(public PublicKey) (Assertion, error) {
	if _, err := u.Verify(public); err != nil {
		return Assertion{}, err
	}
	return u.assertion, nil
}

// ReadAssertion reads the claims that Verify returned. Like ParseClaims it is strict.
// iss, sub, aud and exp are required. The error contains no part of the claims.
func ReadAssertion(claims []byte) (Assertion, error) {
	members, err := strictjson.Members(claims, assertionNames)
	if err != nil {
		return Assertion{}, fmt.Errorf("%w: claims: %w", ErrToken, withoutName(err))
	}
	a := Assertion{All: members, Raw: claims}
	for _, m := range members {
		switch m.Name {
		case "iss":
			a.Issuer, err = strictjson.String(m.Value)
		case "sub":
			a.Subject, err = strictjson.String(m.Value)
		case "aud":
			a.AudienceIsArray = m.Value[0] == '['
			a.Audience, err = parseAudience(m.Value)
		case "exp":
			a.Expires, err = parseDate(m.Value, math.Floor)
		case "iat":
			a.IssuedAt, err = parseDate(m.Value, math.Ceil)
			a.IssuedAt = max(a.IssuedAt, 1) // 0 means that there is none
		case "nbf":
			a.NotBefore, err = parseDate(m.Value, math.Ceil)
		case "jti":
			a.TokenID, err = strictjson.String(m.Value)
		}
		if err != nil {
			return Assertion{}, fmt.Errorf("%w: claim %q: %w", ErrToken, m.Name, err)
		}
	}
	if a.Issuer == "" || a.Subject == "" || len(a.Audience) == 0 || a.Audience[0] == "" || a.Expires == 0 {
		return Assertion{}, fmt.Errorf("%w: claims: iss, sub, aud and exp are required", ErrToken)
	}
	return a, nil
}

// Bounds of the RSA keys of ParsePublicKey, which bound the time of a verification.
const (
	maxClientRSABits     = 4096
	maxClientRSAExponent = 65537
)

// ParsePublicKey reads one public key in the form of a JWK, for ES256, RS256, PS256 or
// EdDSA. It returns the key and its JWK with the public members, kid, alg and use only.
// Without alg an RSA key is for RS256. Without kid the key gets its thumbprint (RFC 7638).
// The error contains no part of the key.
func ParsePublicKey(data []byte) (PublicKey, []byte, error) {
	var published publishedKey
	if err := strictjson.Unmarshal(data, &published); err != nil {
		return PublicKey{}, nil, fmt.Errorf("%w: it is not one well-formed JSON object", ErrKey)
	}
	given := published.ID
	published.ID = cmp.Or(given, "thumbprint")
	key, err := published.read()
	public, isRSA := key.Key.(*rsa.PublicKey)
	switch {
	case err != nil:
		return PublicKey{}, nil, err
	case key.Key == nil:
		return PublicKey{}, nil, fmt.Errorf("%w: it must be for ES256, RS256, PS256 or EdDSA, and for signatures", ErrKey)
	case isRSA && public.N.BitLen() > maxClientRSABits:
		return PublicKey{}, nil, fmt.Errorf("%w: the RSA key has more than %d bits", ErrKey, maxClientRSABits)
	case isRSA && public.E > maxClientRSAExponent:
		return PublicKey{}, nil, fmt.Errorf("%w: the RSA exponent is larger than %d", ErrKey, maxClientRSAExponent)
	}
	if given == "" {
		if key.ID, err = thumbprint(key.Key); err != nil {
			return PublicKey{}, nil, err
		}
	}
	k, err := encode(key)
	if err != nil {
		return PublicKey{}, nil, err
	}
	text, err := json.Marshal(k)
	return key, text, err
}
