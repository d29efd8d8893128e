package bearer

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

var (
	// errMissing: the request has no bearer token.
	errMissing = &refusal{kind: ErrUnauthenticated, answer: answer.Refusal{
		Kind: answer.Unauthorized, Detail: "This request needs a bearer token in the Authorization header.",
	}}
	// errMalformed: the Authorization header does not have the form of RFC
	// 6750, section 2.1.
	errMalformed = &refusal{kind: ErrInvalid, answer: answer.Refusal{
		Kind: answer.Malformed, Detail: "The request needs one Authorization header: Bearer, a space, the token.",
	}}
	// errNoCredential and errOneCredential are errMissing and errMalformed of a guard
	// with OrSecret. SecretForms.missing has the text of the first.
	errNoCredential  = fmt.Errorf("%w: no credential", ErrUnauthenticated)
	errOneCredential = &refusal{kind: ErrInvalid, answer: answer.Refusal{
		Kind: answer.Malformed, Detail: "The request needs one well-formed credential, in one header: a token, or the secret of an API key.",
	}}
	errCrossSite = &refusal{kind: ErrForbidden, answer: answer.Refusal{
		Kind: answer.CrossOrigin, Detail: "A page of another origin sent this request, and Basic credentials are not accepted from there. Send a token.",
	}}
	errOtherWorkspace = &refusal{kind: ErrNotFound, answer: answer.Refusal{Kind: answer.OtherWorkspace}}
)

// malformed reports whether a refused token is not a b64token (RFC 6750,
// section 2.1): then the header is malformed. It accepts '=' at any place,
// which makes no difference here. A token longer than MaxToken was refused for
// its length.
func malformed(token string) bool {
	const b64token = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="
	return len(token) <= jose.MaxToken && strings.ContainsFunc(token, func(r rune) bool { return !strings.ContainsRune(b64token, r) })
}

// challenge returns a WWW-Authenticate header. It leaves out empty parameters.
// A request without a token gets no error code (RFC 6750, section 3.1).
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

// quote returns a quoted-string (RFC 9110, section 5.6.4). Characters that are
// not printable ASCII, such as line breaks, are escaped.
func quote(text string) string { return strconv.QuoteToASCII(text) }

// refuse answers a request that Authorize refused. ErrUnavailable takes
// precedence over anything else that err wraps.
func (g Guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	v := g.verifier
	var refused *refusal
	if !errors.As(err, &refused) || errors.Is(err, ErrUnavailable) {
		outage := &answer.Refusal{Kind: answer.Unavailable}
		outage.Log(r.Context(), v.config.Logger, "the check of a credential", err)
		outage.WriteOAuth(w)
		return
	}
	response := &refused.answer
	switch response.Kind {
	case answer.OtherWorkspace, answer.CrossOrigin, answer.DeniedDirect, answer.Throttled: // no other token would help
	case answer.Unauthorized:
		w.Header().Set("WWW-Authenticate", v.challenge("", "", ""))
	default:
		w.Header().Set("WWW-Authenticate", v.challenge(response.Row().OAuth.Code, response.Description(), refused.scopes))
	}
	if g.secrets && v.config.SecretForms.ChallengeBasic && response.Row().OAuth.Status == http.StatusUnauthorized {
		w.Header().Add("WWW-Authenticate", "Basic realm="+quote(cmp.Or(v.config.Realm, v.config.Issuer))+`, charset="UTF-8"`)
	}
	response.WriteOAuth(w)
}
