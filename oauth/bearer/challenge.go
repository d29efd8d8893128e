package bearer

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

var (
	// errMissing: the request brings no bearer token.
	errMissing = &refusal{kind: ErrUnauthenticated, said: answer.Refusal{
		Kind: answer.Unauthorized, Detail: "This request needs a bearer token in the Authorization header.",
	}}
	// errMalformed: the Authorization header is not one of RFC 6750, section
	// 2.1.
	errMalformed = &refusal{kind: ErrInvalid, said: answer.Refusal{
		Kind: answer.Malformed, Detail: "The request needs one Authorization header: Bearer, a space, the token.",
	}}
	errElsewhere = &refusal{kind: ErrNotFound, said: answer.Refusal{Kind: answer.OtherWorkspace}}
)

// malformed reports whether a token that was refused is no b64token at all:
// the header was at fault then. '=' may stand anywhere, which is not what
// decides here. A token that is too long was refused for its length.
func malformed(token string) bool {
	const b64token = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="
	return len(token) <= jose.MaxToken && strings.ContainsFunc(token, func(r rune) bool { return !strings.ContainsRune(b64token, r) })
}

// challenge is a WWW-Authenticate that names an error; an empty code gives the bare
// challenge of a request without token (RFC 6750, section 3.1: no error information
// then).
func (v *Verifier) challenge(code, description, scopes string) string {
	text := "Bearer realm=" + quote(cmp.Or(v.config.Realm, v.config.Issuer))
	for _, parameter := range [][2]string{
		{"error", code}, {"error_description", description}, {"scope", scopes}, {"resource_metadata", v.config.ResourceMetadata},
	} {
		if parameter[1] != "" {
			text += ", " + parameter[0] + "=" + quote(parameter[1])
		}
	}
	return text
}

// quote writes a quoted-string (RFC 9110, section 5.6.4) of printable ASCII. What is
// not, a line break above all, does not get into the header.
func quote(text string) string { return strconv.QuoteToASCII(text) }

// refuse answers a request that Authorize refused. What an outage also wraps
// decides nothing.
func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var refused *refusal
	if !errors.As(err, &refused) || errors.Is(err, ErrUnavailable) {
		outage := &answer.Refusal{Kind: answer.Unavailable}
		outage.Log(r.Context(), v.config.Logger, "the check of a token", err)
		outage.WriteOAuth(w)
		return
	}
	said := &refused.said
	switch said.Kind {
	case answer.OtherWorkspace: // no token would help
	case answer.Unauthorized:
		w.Header().Set("WWW-Authenticate", v.challenge("", "", ""))
	default:
		w.Header().Set("WWW-Authenticate", v.challenge(said.Row().OAuth.Code, said.Description(), refused.scopes))
	}
	said.WriteOAuth(w)
}
