// Package outcome finds the error response for an error. Only this package knows
// the errors of all the packages that the HTTP packages import.
package outcome

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// IsOutage reports whether err says that a store, a hook or another server is
// unavailable, so that nothing was decided. What else err wraps does not matter.
func IsOutage(err error) bool { return store.IsOutage(err) || errors.Is(err, bearer.ErrUnavailable) }

// OAuth returns the response to an error at an OAuth endpoint. ctx is the request's
// context. An error that no OAuth endpoint expects gets answer.Failed.
func OAuth(ctx context.Context, err error) *answer.Refusal {
	if r := of(ctx, err); r.Row().OAuth.Status != 0 {
		return r
	}
	return &answer.Refusal{Kind: answer.Failed}
}

// Manage is OAuth for the management API and the console.
func Manage(ctx context.Context, err error) *answer.Refusal {
	if r := of(ctx, err); r.Row().Manage.Status != 0 {
		return r
	}
	return &answer.Refusal{Kind: answer.Failed}
}

func of(ctx context.Context, err error) *answer.Refusal {
	var (
		known     *answer.Refusal
		throttled *apikey.ThrottledError
		refused   *apikey.RefusedError
		invalid   *apikey.InvalidError
		forbidden *apikey.ForbiddenError
		malformed *scope.SyntaxError
		unknown   *scope.UnknownError
		denied    *policy.Denied
	)
	switch {
	case IsOutage(err): // comes first: what err wraps besides is no decision
		return &answer.Refusal{Kind: answer.Unavailable}
	case errors.As(err, &known):
		return known
	case errors.Is(err, apikey.ErrInvalidCredentials):
		return &answer.Refusal{Kind: answer.Credentials}
	case errors.As(err, &throttled):
		return &answer.Refusal{Kind: answer.Throttled, RetryAfter: throttled.RetryAfter}
	case errors.As(err, &refused) && refused.Reason == "scope":
		return &answer.Refusal{Kind: answer.Scope, Detail: notHeld(refused.Missing)}
	case errors.As(err, &refused) && refused.Reason == "resource":
		return &answer.Refusal{Kind: answer.Target}
	case errors.As(err, &refused):
		return &answer.Refusal{Kind: answer.Refused, Detail: refused.Description}
	case errors.As(err, &malformed):
		return &answer.Refusal{Kind: answer.Scope, Detail: "The scope is malformed: " + malformed.Error() + "."}
	case errors.As(err, &denied) && denied != nil:
		return ofDenial(denied)
	case errors.As(err, &invalid):
		r := &answer.Refusal{Kind: answer.Invalid}
		for _, p := range invalid.Problems {
			r.Fields = append(r.Fields, answer.Field(p))
		}
		return r
	case errors.As(err, &unknown):
		return &answer.Refusal{Kind: answer.Invalid, Fields: []answer.Field{
			{Field: "permissions", Reason: "These do not exist: " + strings.Join(unknown.Names, ", ") + "."},
		}}
	case errors.As(err, &forbidden):
		return &answer.Refusal{Kind: answer.Forbidden, Detail: forbidden.Reason, Missing: forbidden.Missing.Names()}
	case errors.Is(err, store.ErrNotFound):
		return &answer.Refusal{Kind: answer.NotFound}
	case errors.Is(err, store.ErrCredentialExists):
		return &answer.Refusal{Kind: answer.Invalid, Fields: []answer.Field{{Field: "secret", Reason: "Another key has this secret. Give this key another one."}}}
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists):
		return &answer.Refusal{Kind: answer.Conflict}
	case errors.Is(err, errors.ErrUnsupported):
		return &answer.Refusal{Kind: answer.NotKept}
	case ctx.Err() != nil: // a driver may return its own error for an ended context
		return &answer.Refusal{Kind: answer.Unavailable}
	}
	return &answer.Refusal{Kind: answer.Failed}
}

func ofDenial(denied *policy.Denied) *answer.Refusal {
	r := &answer.Refusal{Kind: answer.Denied, Detail: denied.Reason, RetryAfter: denied.RetryAfter, Rule: denied.Rule}
	switch {
	case denied.RetryAfter > 0:
		r.Kind = answer.DeniedForNow
	case denied.Expired:
		r.Kind = answer.DeniedExpired
	}
	return r
}

// maxNamed bounds the bytes of a scope that a refusal repeats.
const maxNamed = 200

// notHeld returns a text that names the permissions that a key lacks, whether they
// exist or not. Names of permissions contain no character that RFC 6749, section
// 5.2, forbids in an error_description.
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
		return "This API key does not hold every permission that was requested."
	case more > 0:
		return fmt.Sprintf("This API key does not hold: %s, and %d more.", strings.Join(names, ", "), more)
	}
	return "This API key does not hold: " + strings.Join(names, ", ") + "."
}
