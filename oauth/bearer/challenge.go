package bearer

import (
	"errors"
	"net/http"
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
	if len(token) > jose.MaxToken {
		return false
	}
	for i := range len(token) {
		c := token[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~+/=", c) >= 0) {
			return true
		}
	}
	return false
}

// challenges holds the parts of WWW-Authenticate that never change.
type challenges struct {
	realm    string // Bearer realm="..."
	metadata string // , resource_metadata="...", or empty
}

func newChallenges(realm, metadata string) challenges {
	c := challenges{realm: "Bearer realm=" + quote(realm)}
	if metadata != "" {
		c.metadata = ", resource_metadata=" + quote(metadata)
	}
	return c
}

// with names an error; an empty code gives the bare challenge of a request
// without token (RFC 6750, section 3.1: no error information then).
func (c challenges) with(code, description, scopes string) string {
	text := c.realm
	if code != "" {
		text += ", error=" + quote(code) + ", error_description=" + quote(description)
	}
	if scopes != "" {
		text += ", scope=" + quote(scopes)
	}
	return text + c.metadata
}

// quote writes a quoted-string (RFC 9110, section 5.6.4). What is not
// printable ASCII, a line break above all, cannot get into the header.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c > 0x7E:
			b.WriteByte('?')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// refuse answers a request that Authorize refused. What an outage also wraps
// decides nothing.
func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var refused *refusal
	if !errors.As(err, &refused) || errors.Is(err, ErrUnavailable) {
		outage := &answer.Refusal{Kind: answer.Unavailable}
		outage.Log(r.Context(), v.log, "the check of a token", err)
		outage.WriteOAuth(w)
		return
	}
	said := &refused.said
	switch said.Kind {
	case answer.OtherWorkspace: // no token would help
	case answer.Unauthorized:
		w.Header().Set("WWW-Authenticate", v.challenges.with("", "", ""))
	default:
		w.Header().Set("WWW-Authenticate", v.challenges.with(said.Row().OAuth.Code, said.Description(), refused.scopes))
	}
	said.WriteOAuth(w)
}
