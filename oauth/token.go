package oauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-oauth2/oauth2/v4"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/granted"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Token returns the login: the token endpoint of RFC 6749, section 3.2, for
// the client_credentials grant (section 4.4). It takes a form or a JSON
// object; see Config for its path.
func (s *Server) Token() http.Handler { return http.HandlerFunc(s.login) }

// login is the whole of a login, read downwards.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	held := holdBody(w, r)
	if bad := s.admit(w, r); bad != nil {
		s.answer(w, bad)
		return
	}
	// For the body, then for the answer. Each request has its own, since the
	// body and writer that a middleware sets get parts of it and may keep them.
	var room bytes.Buffer
	defer empty(&room)
	var request tokenRequest
	if bad := s.readTokenRequest(w, r, &room, &request); bad != nil {
		s.answer(w, bad)
		return
	}
	held.release()
	if bad := request.checkGrant(); bad != nil {
		s.answer(w, bad)
		return
	}
	// Nobody waits for a store that hangs, and a login that nobody could
	// decide on is an outage.
	ctx := withTimeout(r.Context(), s.cfg.LoginTimeout)
	defer ctx.stop()
	grant, err := s.grant(ctx, apikey.Credentials{
		ID:      request.clientID,
		Secret:  request.clientSecret,
		Address: s.clients.Addr(r),
	}, apikey.Request{Scope: request.scope, Resources: request.resources})
	if err != nil {
		s.answer(w, s.refusalOf(ctx, err))
		return
	}
	token, err := s.generate(ctx, grant)
	if err != nil {
		s.answer(w, s.refusalOf(ctx, err))
		return
	}
	writeToken(w, &room, token, grant)
}

// generate lets go-oauth2's manager build the grant through the adapters of
// package gooauth2, which find the decision in the context.
func (s *Server) generate(ctx context.Context, g *apikey.Grant) (string, error) {
	info, err := s.manager.GenerateAccessToken(granted.With(ctx, g), oauth2.ClientCredentials, &oauth2.TokenGenerateRequest{
		ClientID: g.Key.ID, Scope: g.Permissions.String(), AccessTokenExp: g.Expires.Sub(g.IssuedAt),
	})
	if err != nil {
		return "", fmt.Errorf("oauth: %w", err)
	}
	return info.GetAccess(), nil
}

// writeToken answers as RFC 6749, section 5.1 says. A JWT and a scope hold
// nothing that JSON would escape but '<', '>' and '&', which need not be.
func writeToken(w http.ResponseWriter, body *bytes.Buffer, token string, g *apikey.Grant) {
	body.WriteString(`{"access_token":"`)
	body.WriteString(token)
	body.WriteString(`","token_type":"Bearer","expires_in":`)
	body.Write(strconv.AppendInt(body.AvailableBuffer(), int64(g.Expires.Sub(g.IssuedAt)/time.Second), 10))
	body.WriteString(`,"scope":"`)
	body.WriteString(g.Permissions.String())
	body.WriteString("\"}\n")
	writeJSON(w, http.StatusOK, body.Bytes())
}

// refusalOf turns an error into an answer: one switch, so that it can be read
// against RFC 6749, section 5.2. What it does not know is the server's fault
// and tells nothing.
func (s *Server) refusalOf(ctx context.Context, err error) *refusal {
	var (
		throttled *apikey.ThrottledError
		refused   *apikey.RefusedError
		malformed *scope.SyntaxError
		missing   *apikey.ScopeError
		denied    *policy.Denied
	)
	switch {
	case errors.Is(err, apikey.ErrInvalidCredentials):
		return &refusal{status: http.StatusUnauthorized, code: invalidClient, description: "The client id or the secret is wrong."}
	case errors.As(err, &throttled):
		return &refusal{
			status: http.StatusTooManyRequests, code: temporarilyUnavailable, retryAfter: throttled.RetryAfter,
			description: "Too many failed logins. Wait, then try again with the right secret.",
		}
	case errors.As(err, &refused):
		return &refusal{status: http.StatusUnauthorized, code: invalidClient, description: refused.Description}
	case errors.As(err, &malformed):
		return &refusal{status: http.StatusBadRequest, code: invalidScope, description: "The scope is malformed: " + malformed.Error() + "."}
	case errors.Is(err, apikey.ErrManyTargets):
		return &refusal{status: http.StatusBadRequest, code: invalidTarget, description: "A token is for one resource; ask for one at a time."}
	case errors.Is(err, apikey.ErrTarget):
		return &refusal{status: http.StatusBadRequest, code: invalidTarget, description: "This API key may not ask for tokens for this resource."}
	case errors.As(err, &missing):
		return &refusal{status: http.StatusBadRequest, code: invalidScope, description: notHeld(missing.Missing)}
	case errors.As(err, &denied):
		s.cfg.Logger.InfoContext(ctx, "a policy refused a token", "rule", denied.Rule, "error", denied)
		return refusalOfPolicy(denied)
	case isOutage(err):
		// A client that hung up is no outage.
		if !errors.Is(context.Cause(ctx), context.Canceled) {
			s.cfg.Logger.ErrorContext(ctx, "a login could not be decided", "error", err)
		}
		return unavailable()
	}
	s.cfg.Logger.ErrorContext(ctx, "a login failed", "error", err)
	return &refusal{status: http.StatusInternalServerError, code: serverError, description: "The server failed. Its log tells why."}
}

func isOutage(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, bearer.ErrUnavailable) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// maxNamed bounds the bytes of a scope that a refusal repeats.
const maxNamed = 200

// notHeld names the permissions that a key lacks, whether or not they exist. A permission has no character that RFC 6749, section 5.2, forbids in
// an error_description.
func notHeld(missing scope.Set) string {
	var names []string
	rest := maxNamed
	for name := range missing.All() {
		if rest -= len(name); rest < 0 {
			break
		}
		names = append(names, name)
	}
	switch more := missing.Len() - len(names); {
	case len(names) == 0:
		return "This API key does not hold every permission that was asked for."
	case more > 0:
		return fmt.Sprintf("This API key does not hold: %s, and %d more.", strings.Join(names, ", "), more)
	}
	return "This API key does not hold: " + strings.Join(names, ", ") + "."
}

func refusalOfPolicy(denied *policy.Denied) *refusal {
	description := denied.Reason
	if description == "" {
		description = "A policy of this service refused the request."
	}
	switch {
	case denied.RetryAfter > 0:
		return &refusal{status: http.StatusTooManyRequests, code: temporarilyUnavailable, description: description, retryAfter: denied.RetryAfter}
	case denied.Expired:
		return &refusal{status: http.StatusUnauthorized, code: invalidClient, description: description}
	}
	return &refusal{status: http.StatusBadRequest, code: unauthorizedClient, description: description}
}
