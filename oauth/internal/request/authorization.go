package request

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// IsJWT reports whether a credential has the form of a JWT (RFC 7519): three parts, of
// which the first is a JOSE header. Such a credential is a token, any other a secret.
func IsJWT(credential string) bool {
	first, rest, _ := strings.Cut(credential, ".")
	if strings.Count(rest, ".") != 1 {
		return false
	}
	header, err := base64.RawURLEncoding.DecodeString(first)
	var jose map[string]any
	return err == nil && json.Unmarshal(header, &jose) == nil && jose["alg"] != nil
}

// Credentials returns the text after the scheme and one or more spaces (RFC 9110,
// section 11.6.2; RFC 7235, appendix C). The scheme is compared without regard to
// case. The text is not empty and does not begin with a space; nothing else is
// checked. Two headers are always malformed, since it is not defined which one
// counts.
func Credentials(header http.Header, scheme string) (string, error) {
	values := header["Authorization"]
	if len(values) > 1 {
		return "", ErrMalformed
	}
	if len(values) == 0 || len(values[0]) < len(scheme) || !strings.EqualFold(values[0][:len(scheme)], scheme) {
		return "", ErrAbsent
	}
	rest := values[0][len(scheme):]
	credentials := strings.TrimLeft(rest, " ")
	if credentials == "" || len(credentials) == len(rest) {
		return "", ErrMalformed
	}
	return credentials, nil
}

// ParseBasic returns the id and the secret in the credentials of the scheme Basic (RFC
// 7617), each percent-encoded as RFC 6749, section 2.3.1, says. ok is false if they are
// malformed.
func ParseBasic(encoded string) (id, secret string, ok bool) {
	plain, err := base64.StdEncoding.Strict().DecodeString(encoded)
	// The decoder ignores line breaks, so they are refused here.
	rawID, rawSecret, found := strings.Cut(string(plain), ":")
	if err != nil || strings.ContainsAny(encoded, "\r\n") || !found {
		return "", "", false
	}
	id, goodID := Unescape(rawID)
	secret, goodSecret := Unescape(rawSecret)
	return id, secret, goodID && goodSecret
}

// Unescape decodes a form's name or value, and reports whether it is valid text.
func Unescape(text string) (string, bool) {
	if strings.IndexByte(text, '%') >= 0 || strings.IndexByte(text, '+') >= 0 {
		var err error
		if text, err = url.QueryUnescape(text); err != nil {
			return "", false
		}
	}
	return text, utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
}
