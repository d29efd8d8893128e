package admin

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/store"
)

// UnauthorizedError refuses a request whose actor is not known.
// Config.Authorize returns it.
type UnauthorizedError struct {
	// Reason is one sentence for the caller. Empty: a general sentence.
	Reason string
	// Challenge is the WWW-Authenticate header of the answer. Empty: "Bearer".
	Challenge string
}

// Error implements error.
func (e *UnauthorizedError) Error() string { return "admin: unauthorized: " + e.Reason }

// Bearer returns a Config.Authorize that accepts access tokens: the actor is
// the key that the token was issued to, limited to the token's scope; see
// apikey.ByKey. apikey.Options.Management names the permissions with which a key may
// manage keys and settings. If the host also has sessions, its own Authorize calls the
// returned function only for requests for which v.Carries reports true.
func Bearer(v *bearer.Verifier) func(*http.Request) (apikey.Actor, error) {
	return func(r *http.Request) (apikey.Actor, error) {
		if v == nil {
			return apikey.Actor{}, errors.New("admin: Bearer was called with a nil Verifier")
		}
		principal, err := v.VerifyRequest(r)
		var refusal *answer.Refusal
		switch {
		case err == nil:
			return apikey.ByKey(principal.KeyID, principal.Permissions, principal.CredentialID), nil
		case outcome.IsOutage(err) || !errors.As(err, &refusal):
			return apikey.Actor{}, err
		}
		refused := &UnauthorizedError{Reason: refusal.Description()}
		if refusal.Kind == answer.InvalidToken { // RFC 6750, section 3.1: no error code without a token
			refused.Challenge = `Bearer error="invalid_token"`
		}
		return apikey.Actor{}, refused
	}
}

// authorize sets the actor of the call, or refuses it as Config.Authorize documents.
func (c *call) authorize() error {
	if c.route.public {
		return nil
	}
	actor, err := c.h.cfg.Authorize(c.r)
	var refused *UnauthorizedError
	switch {
	case outcome.IsOutage(err), err != nil && c.r.Context().Err() != nil:
		return fmt.Errorf("%w: authorize: %w", store.ErrUnavailable, err)
	case err == nil && actor.Ref().ID != "":
		actor.Address = c.h.host.Addr(c.r)
		c.actor = actor
		return nil
	case err == nil:
		refused = &UnauthorizedError{Reason: "The request does not identify its sender."}
	case !errors.As(err, &refused) || refused == nil:
		c.h.cfg.Logger.DebugContext(c.r.Context(), "a request was not authorized", "error", err)
		refused = &UnauthorizedError{}
	}
	challenge := refused.Challenge
	if challenge == "" || !request.IsPrintable(challenge) {
		challenge = "Bearer"
	}
	c.w.Header().Set("WWW-Authenticate", challenge) // RFC 9110, section 11.6.1
	return &refusal{Kind: answer.Unauthorized, Detail: refused.Reason}
}
