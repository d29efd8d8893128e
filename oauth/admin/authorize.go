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

// UnauthorizedError refuses a request whose sender is not known. It is for
// Config.Authorize to return.
type UnauthorizedError struct {
	// Reason is one plain sentence for the caller. Empty: a general one.
	Reason string
	// Challenge is the WWW-Authenticate header of the answer, such as
	// "Bearer". Empty: "Bearer".
	Challenge string
}

// Error implements error.
func (e *UnauthorizedError) Error() string { return "admin: unauthorized: " + e.Reason }

// Bearer returns a Config.Authorize that takes access tokens: the actor is the
// key that the token was issued to, with no more than the token's scope; see
// apikey.ByKey. Which permissions let a key manage keys says
// apikey.Options.Management. A host that has sessions too calls it for requests
// that carry an Authorization header.
func Bearer(v *bearer.Verifier) func(*http.Request) (apikey.Actor, error) {
	return func(r *http.Request) (apikey.Actor, error) {
		if v == nil {
			return apikey.Actor{}, errors.New("admin: Bearer was given no verifier")
		}
		var principal *bearer.Principal
		token, err := bearer.Credential(r.Header)
		if err == nil {
			principal, err = v.Verify(r.Context(), token)
		}
		var refusal *answer.Refusal
		switch {
		case err == nil:
			return apikey.ByKey(principal.KeyID, principal.Permissions, principal.SecretID), nil
		case outcome.IsOutage(err) || !errors.As(err, &refusal):
			return apikey.Actor{}, err
		}
		refused := &UnauthorizedError{Reason: refusal.Description()}
		if token != "" { // RFC 6750, section 3.1: no error code without a token
			refused.Challenge = `Bearer error="invalid_token"`
		}
		return apikey.Actor{}, refused
	}
}

// authorize asks the host who the actor is. An outage is none of the caller's
// fault, and a foreign error's text not for him.
func (c *call) authorize() error {
	if c.route.public {
		return nil
	}
	actor, err := c.h.cfg.Authorize(c.r)
	var refused *UnauthorizedError
	switch {
	case outcome.IsOutage(err), err != nil && c.r.Context().Err() != nil:
		return fmt.Errorf("%w: who the actor is: %w", store.ErrUnavailable, err)
	case err == nil && actor.Ref().ID != "":
		c.actor = actor
		return nil
	case err == nil:
		refused = &UnauthorizedError{Reason: "The request names nobody."}
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
