package request

import (
	"errors"
	"net/http"
	"strings"
)

var (
	// ErrAbsent says that there is no Authorization header, that it is empty, or that
	// it has another scheme.
	ErrAbsent = errors.New("no credentials of this scheme")
	// ErrMalformed says that no space and credentials follow the scheme, or that there
	// are two Authorization headers.
	ErrMalformed = errors.New("malformed Authorization header")
)

// Credentials returns the text after the scheme and one or more spaces (RFC 9110,
// section 11.6.2; RFC 7235, appendix C). The scheme matches in any case. The text
// is not empty and does not begin with a space; otherwise it is not checked. Two
// headers are malformed whatever they hold, since nothing says which one counts.
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
