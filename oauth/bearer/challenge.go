package bearer

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/scope"
)

var (
	// errMissing: the request brings no bearer token.
	errMissing = errors.New("bearer: no token")
	// errMalformed: the Authorization header is not one of RFC 6750, section
	// 2.1.
	errMalformed = errors.New("bearer: malformed Authorization header")
)

// credential returns the possible token of the Authorization header. A header of
// another scheme counts as none.
func credential(header http.Header) (string, error) {
	token, err := request.Credentials(header, "Bearer")
	switch {
	case errors.Is(err, request.ErrAbsent):
		return "", errMissing
	case err != nil:
		return "", errMalformed
	}
	return token, nil
}

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

// refuse answers a request whose token was not taken.
func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var refused *refusal
	switch {
	case errors.Is(err, errMissing):
		challenge(w, v.challenges.with("", "", ""))
		answer(w, http.StatusUnauthorized, "unauthorized", "This request needs a bearer token in the Authorization header.")
	case errors.Is(err, errMalformed):
		const description = "The request needs one Authorization header: Bearer, a space, the token."
		challenge(w, v.challenges.with("invalid_request", description, ""))
		answer(w, http.StatusBadRequest, "invalid_request", description)
	case errors.As(err, &refused):
		challenge(w, v.challenges.with("invalid_token", refused.reason, ""))
		answer(w, http.StatusUnauthorized, "invalid_token", refused.reason)
	default:
		// A caller who hung up is no outage.
		if r.Context().Err() == nil {
			v.log.ErrorContext(r.Context(), "a token could not be checked", "error", err)
		}
		w.Header().Set("Retry-After", "5")
		answer(w, http.StatusServiceUnavailable, "temporarily_unavailable", "The token cannot be checked now. Try again soon.")
	}
}

// forbid answers a token that lacks permissions (RFC 6750, section 3.1).
func (v *Verifier) forbid(w http.ResponseWriter, need scope.Requirement) {
	const description = "The token lacks a permission that this request needs."
	challenge(w, v.challenges.with("insufficient_scope", description, need.Hint().String()))
	answer(w, http.StatusForbidden, "insufficient_scope", description)
}

func challenge(w http.ResponseWriter, text string) { w.Header().Set("WWW-Authenticate", text) }

// answer writes a refusal. Nothing of it may be stored by a cache.
func answer(w http.ResponseWriter, status int, code, description string) {
	body, err := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, description})
	if err != nil {
		body = []byte(`{"error":"server_error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) //nolint:errcheck // the client is gone; nobody to tell
}
