package request

import (
	"errors"
	"net/http"
	"strings"
)

var (
	// ErrAbsent says that there is no Authorization header, or an empty one, or one of
	// another scheme.
	ErrAbsent = errors.New("no credentials of this scheme")
	// ErrMalformed says that the scheme stands alone or is followed by something other
	// than a space, or there are two Authorization headers.
	ErrMalformed = errors.New("malformed Authorization header")
)

// Credentials returns what stands behind a scheme, which any case spells, and
// one space or more (RFC 9110, section 11.6.2; RFC 7235, appendix C). It may
// hold anything but a space at its beginning. Two headers are malformed
// whatever they hold: which of them counts would be anybody's guess.
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
