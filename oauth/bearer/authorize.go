package bearer

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/scope"
)

var errForeignGuard = errors.New("bearer: the guard was not made by this verifier's Require")

// Credential returns the token of a request's Authorization header, for
// Authorize. A header with another scheme is treated as absent. The error wraps
// ErrUnauthenticated.
func Credential(header http.Header) (string, error) {
	token, err := request.Credentials(header, "Bearer")
	switch {
	case errors.Is(err, request.ErrAbsent):
		return "", errMissing
	case err != nil:
		return "", errMalformed
	}
	return token, nil
}

// Carries reports whether a request comes with a token for this verifier, or with a
// secret in one of Config.SecretForms, valid or not. It is for routes that also accept
// the host's own sessions: pass such a request to a guard, whatever the guard decides,
// and all others to the session. Then a request whose token is refused never passes by its session.
//
// Carries reads the headers and verifies nothing. It is true for the header
// SecretForms.Header, for the scheme Basic if SecretForms accepts it, for the scheme
// Bearer, and for a request with several Authorization headers, which every
// guard refuses. The exception is a JWT (RFC 7519) whose iss claim is missing or is
// not Config.Issuer: it may be the session of a host that has JWTs of its own. If the
// host's sessions are bearer tokens of another form, Carries is true for them: check
// for them first. Cookies, and tokens in the query or the body, do not count.
func (v *Verifier) Carries(r *http.Request) bool {
	scheme, token, err := v.config.SecretForms.find(r.Header)
	switch {
	case errors.Is(err, request.ErrAbsent):
		return false
	case err != nil || scheme != "Bearer":
		return true
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	parts := strings.Split(token, ".")
	if len(token) > jose.MaxToken || len(parts) != 3 {
		return true
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || strictjson.Unmarshal(payload, &claims) != nil {
		return true
	}
	// A client can change the issuer of its token. Then the token is no better
	// than none: guards refuse it.
	return claims.Issuer == v.config.Issuer
}

// Authorize decides whether a request to a route of one workspace may pass. It
// decides as the guard's middleware does, and is for servers that do not use
// net/http, such as gRPC, or that write their own answers. credential is the
// token; empty means that the request has none. If guard has OrSecret, a credential
// that is no JWT is a secret, and the client's address is not known. guard must be made
// by v.Require. Give the principal to the handler by WithPrincipal.
//
// The error wraps exactly one of ErrUnauthenticated, ErrForbidden, ErrNotFound,
// ErrThrottled and ErrUnavailable. If guard was not made by v.Require, it wraps none of
// them: answer 500 then. The text of the error contains no part of the credential.
func (v *Verifier) Authorize(ctx context.Context, credential string, guard Guard, workspace string) (*Principal, error) {
	return v.authorize(ctx, credential, guard, func() string { return workspace })
}

// AuthorizeAny is Authorize for a route that belongs to no workspace, or whose
// handler checks Principal.Workspace itself. Its error never wraps ErrNotFound.
func (v *Verifier) AuthorizeAny(ctx context.Context, credential string, guard Guard) (*Principal, error) {
	return v.authorize(ctx, credential, guard, nil)
}

// authorize is Authorize, or AuthorizeAny if workspace is nil.
func (v *Verifier) authorize(ctx context.Context, text string, guard Guard, workspace func() string) (*Principal, error) {
	c := credential{token: text}
	if guard.secrets {
		c.token, c.secret = v.classify(text)
	}
	p, err := v.decide(ctx, &c, guard, workspace)
	return v.observed(ctx, &c, p, err)
}

// decide does the work of authorize. With an error it returns the principal too, if
// the secret or the token's signature was right.
func (v *Verifier) decide(ctx context.Context, c *credential, guard Guard, workspace func() string) (p *Principal, err error) {
	switch {
	case guard.verifier != v:
		return nil, errForeignGuard
	case c.secret != "":
		p, err = v.checkSecret(ctx, c)
	case c.token == "" && guard.secrets:
		return nil, errNoCredential
	case c.token == "":
		return nil, errMissing
	default:
		if p, err = v.verify(ctx, c.token); err != nil && malformed(c.token) {
			return nil, errMalformed
		}
	}
	if err != nil {
		return p, err
	}
	held := func(required scope.Set) bool { return p.Permissions.ContainsAll(required) }
	if !slices.ContainsFunc(guard.alternatives, held) {
		lacks := &refusal{kind: ErrForbidden, answer: answer.Refusal{Kind: answer.Insufficient}, scopes: guard.alternatives[0].String()}
		if p.Direct {
			lacks.answer.Detail = "The API key lacks a permission that this request needs."
		}
		return p, lacks
	}
	if workspace == nil {
		return p, nil
	}
	id := workspace()
	if id == "" {
		guard.logNoWorkspace.Do(func() {
			v.config.Logger.WarnContext(ctx, "a request to a guarded route was refused because no workspace was found in it: with InPath, check that the router sets a path value of that name; with InFunc, check what the function returns; with Check or Authorize, check the workspace that is passed to it",
				"guard", guard.alternatives, "path_value", guard.pathValue)
		})
	}
	// An alternative reaches every workspace only if all its permissions are
	// admin permissions.
	reaches := func(required scope.Set) bool {
		return required.Len() > 0 && v.admin.ContainsAll(required) && held(required)
	}
	// 404 and not 403: the caller must not learn whether another workspace
	// exists.
	if id == "" || id != p.Workspace && !slices.ContainsFunc(guard.alternatives, reaches) {
		return p, errOtherWorkspace
	}
	return p, nil
}
