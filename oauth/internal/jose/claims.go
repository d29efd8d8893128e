package jose

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// maxNumericDate is 9999-12-31T23:59:59Z. Later times are refused.
const maxNumericDate = 253402300799

// Claims are the claims of an access token (RFC 9068, section 2.2) and Latchkey's own
// claims. Times are Unix seconds. Empty strings and lists, and a NotBefore of 0, are
// left out of the token.
type Claims struct {
	Issuer   string
	Subject  string
	Audience []string // a single one is written as a string
	ClientID string
	Scope    string
	// AdminScope is the part of Scope that was granted as admin permissions.
	AdminScope string
	TokenID    string // the jti
	Expires    int64
	IssuedAt   int64
	// NotBefore is 0 if there is no such claim.
	NotBefore int64

	Workspace    string
	CredentialID string // the secret that was exchanged for the token
	// KeyExpires is when the key that the token was issued to, its credential or the
	// identity that it logged in with ends. Verifiers apply
	// no leeway to it. It is 0 if there is no such claim.
	KeyExpires int64
	// Epochs are the epochs of the instance, the workspace and the key when the token
	// was issued. Without the claim they are 0, which is the oldest epoch.
	Epochs [3]int64

	// Extra are the host's own claims, see EncodeExtra.
	Extra []strictjson.Member
}

// claimNames are the claims that Latchkey writes.
var claimNames = []string{
	"iss", "sub", "aud", "client_id", "scope", "admin_scope", "exp", "iat", "nbf", "jti", "workspace", "credential_id", "key_exp", "epochs", "cnf",
}

// reservedNames are the names that a host's hook must not set: Latchkey's claims, and
// claims that other systems interpret (RFC 7519, 7662, 7800, 8693, 9068, 9396).
var reservedNames = append(slices.Clone(claimNames), //nolint:gochecknoglobals // a table that nothing changes
	"act", "may_act", "azp", "authorization_details", "token_type", "active", "username",
	"nonce", "auth_time", "acr", "amr", "sid", "events", "typ", "alg", "kid")

// EncodeExtra converts a host's claims to members for Claims.Extra, sorted by name. It
// returns an error for a name that is reserved (in any case), empty or longer than 64
// bytes, and for a value that cannot be JSON. The error names the claim.
func EncodeExtra(values map[string]any) ([]strictjson.Member, error) {
	if len(values) == 0 {
		return nil, nil
	}
	members := make([]strictjson.Member, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		err := checkExtraName(name)
		var value []byte
		if err == nil {
			value, err = json.Marshal(values[name])
		}
		if err == nil {
			// A MarshalJSON method may write JSON that Verify would refuse.
			_, err = strictjson.Elements(slices.Concat([]byte("["), value, []byte("]")))
		}
		if err != nil {
			return nil, fmt.Errorf("jose: extra claims: claim %.64q: %w", name, err)
		}
		members = append(members, strictjson.Member{Name: name, Value: value})
	}
	return members, nil
}

func checkExtraName(name string) error {
	if name == "" || len(name) > 64 || !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0 {
		return errors.New("the name must be 1 to 64 bytes of UTF-8 without NUL")
	}
	for _, reserved := range reservedNames {
		if strings.EqualFold(name, reserved) {
			return fmt.Errorf("the name %q is reserved", reserved)
		}
	}
	return nil
}

// AppendClaims appends the claims as one JSON object. Invalid UTF-8 is replaced by
// U+FFFD.
func AppendClaims(dst []byte, c *Claims) []byte {
	dst = append(dst, '{')
	dst = appendText(dst, `"iss":`, c.Issuer)
	dst = appendText(dst, `"sub":`, c.Subject)
	switch len(c.Audience) {
	case 0:
	case 1:
		dst = appendString(append(dst, `"aud":`...), c.Audience[0])
		dst = append(dst, ',')
	default:
		dst = append(dst, `"aud":`...)
		for i, audience := range c.Audience {
			dst = appendString(append(dst, "[,"[min(i, 1)]), audience)
		}
		dst = append(dst, "],"...)
	}
	dst = appendText(dst, `"client_id":`, c.ClientID)
	dst = appendText(dst, `"scope":`, c.Scope)
	dst = appendText(dst, `"admin_scope":`, c.AdminScope)
	dst = strconv.AppendInt(append(dst, `"exp":`...), c.Expires, 10)
	dst = strconv.AppendInt(append(dst, `,"iat":`...), c.IssuedAt, 10)
	dst = append(dst, ',')
	if c.NotBefore != 0 {
		dst = strconv.AppendInt(append(dst, `"nbf":`...), c.NotBefore, 10)
		dst = append(dst, ',')
	}
	dst = appendText(dst, `"jti":`, c.TokenID)
	dst = appendText(dst, `"workspace":`, c.Workspace)
	dst = appendText(dst, `"credential_id":`, c.CredentialID)
	if c.KeyExpires != 0 {
		dst = strconv.AppendInt(append(dst, `"key_exp":`...), c.KeyExpires, 10)
		dst = append(dst, ',')
	}
	dst = append(dst, `"epochs":`...)
	for i, epoch := range c.Epochs {
		dst = strconv.AppendInt(append(dst, "[,,"[i]), epoch, 10)
	}
	dst = append(dst, ']')
	for _, m := range c.Extra {
		dst = appendString(append(dst, ','), m.Name)
		dst = append(append(dst, ':'), m.Value...)
	}
	return append(dst, '}')
}

// ParseClaims reads what AppendClaims writes. It is strict: it returns an error for a
// claim that appears twice, a known claim in another case or of the wrong type, and a
// time that is not a number. exp and iat are required. Fractions of seconds are
// rounded so that the token's lifetime gets shorter. "cnf" is refused, because a token
// that is bound to a key must not be used as a bearer token (RFC 9449, section 7.2).
func ParseClaims(data []byte) (Claims, error) {
	members, err := strictjson.Members(data, claimNames)
	if err != nil {
		return Claims{}, fmt.Errorf("jose: claims: %w", err)
	}
	var c Claims
	var hasExpires, hasIssued bool
	for _, m := range members {
		switch m.Name {
		case "iss":
			c.Issuer, err = strictjson.String(m.Value)
		case "sub":
			c.Subject, err = strictjson.String(m.Value)
		case "aud":
			c.Audience, err = parseAudience(m.Value)
		case "client_id":
			c.ClientID, err = strictjson.String(m.Value)
		case "scope":
			c.Scope, err = strictjson.String(m.Value)
		case "admin_scope":
			c.AdminScope, err = strictjson.String(m.Value)
		case "exp":
			hasExpires = true
			c.Expires, err = parseDate(m.Value, math.Floor)
		case "iat":
			hasIssued = true
			c.IssuedAt, err = parseDate(m.Value, math.Ceil)
		case "nbf":
			c.NotBefore, err = parseDate(m.Value, math.Ceil)
		case "jti":
			c.TokenID, err = strictjson.String(m.Value)
		case "workspace":
			c.Workspace, err = strictjson.String(m.Value)
		case "credential_id":
			c.CredentialID, err = strictjson.String(m.Value)
		case "key_exp":
			c.KeyExpires, err = parseDate(m.Value, math.Floor)
		case "epochs":
			c.Epochs, err = parseEpochs(m.Value)
		case "cnf":
			err = errors.New("a token bound to a key is not a bearer token")
		default:
			c.Extra = append(c.Extra, m)
		}
		if err != nil {
			return Claims{}, fmt.Errorf("jose: claim %q: %w", m.Name, err)
		}
	}
	if !hasExpires || !hasIssued {
		return Claims{}, errors.New("jose: claims: exp and iat are required")
	}
	return c, nil
}

func parseAudience(value json.RawMessage) ([]string, error) {
	if value[0] == '"' {
		audience, err := strictjson.String(value)
		return []string{audience}, err
	}
	elements, err := strictjson.Elements(value)
	if err != nil || len(elements) == 0 {
		return nil, errors.New("a string or an array of strings was expected")
	}
	audiences := make([]string, len(elements))
	for i, element := range elements {
		if audiences[i], err = strictjson.String(element); err != nil {
			return nil, err
		}
	}
	return audiences, nil
}

// parseDate reads a NumericDate (RFC 7519, section 2). It refuses strings such as
// "2000", and 1e400.
func parseDate(value json.RawMessage, round func(float64) float64) (int64, error) {
	seconds, err := strconv.ParseFloat(string(value), 64)
	if err != nil || seconds < 0 || seconds > maxNumericDate {
		return 0, errors.New("a number of seconds was expected")
	}
	return int64(round(seconds)), nil
}

func parseEpochs(value json.RawMessage) (epochs [3]int64, err error) {
	elements, err := strictjson.Elements(value)
	if err != nil || len(elements) != len(epochs) {
		return epochs, errors.New("an array of three integers was expected")
	}
	for i, element := range elements {
		n, err := strconv.ParseInt(string(element), 10, 64)
		if err != nil || n < 0 {
			return epochs, errors.New("an array of three integers was expected")
		}
		epochs[i] = n
	}
	return epochs, nil
}

// appendText appends a member and a comma, or nothing for an empty value.
func appendText(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return append(appendString(append(dst, name...), value), ',')
}

// appendString appends a JSON string.
func appendString(dst []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			// Clone, because the argument of Marshal escapes to the heap.
			quoted, _ := json.Marshal(strings.Clone(text)) //nolint:errcheck // a string always marshals
			return append(dst, quoted...)
		}
	}
	return append(append(append(dst, '"'), text...), '"')
}
