package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// ProblemType begins the type of every problem document; a code follows. The
// page says what each means and what to do.
const ProblemType = "https://github.com/latchkey-go/latchkey/blob/main/oauth/admin/PROBLEMS.md#"

// Problem is the body of a refusal (RFC 9457).
type Problem struct {
	// Type is ProblemType and one of the codes below.
	Type string `json:"type"`
	// Title is the same for every problem of a type, Detail says more of this
	// one. Both are for people.
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Errors says what is wrong with which field.
	Errors []FieldError `json:"errors,omitempty"`
	// Missing are the permissions that the actor would have to be able to
	// grant.
	Missing []string `json:"missing,omitempty"`
	// Rule is the policy that refused.
	Rule string `json:"rule,omitempty"`
	// Key is the id of the key that an Idempotency-Key was spent on.
	Key string `json:"key,omitempty"`
}

// FieldError is what is wrong with one member of the body, one parameter of
// the query or one header.
type FieldError struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// The codes that end a problem's type.
const (
	CodeMalformed            = "malformed"             // 400
	CodeUnauthorized         = "unauthorized"          // 401
	CodeForbidden            = "forbidden"             // 403
	CodeCrossOrigin          = "cross-origin"          // 403
	CodePolicy               = "policy"                // 403, and 429 with Retry-After
	CodeNotFound             = "not-found"             // 404
	CodeMethodNotAllowed     = "method-not-allowed"    // 405
	CodeConflict             = "conflict"              // 409
	CodeAlreadyDone          = "already-done"          // 409
	CodeChanged              = "changed"               // 412
	CodeTooLarge             = "too-large"             // 413
	CodeMediaType            = "media-type"            // 415
	CodeInvalid              = "invalid"               // 422
	CodeIdempotencyMismatch  = "idempotency-mismatch"  // 422
	CodePreconditionRequired = "precondition-required" // 428
	CodeInternal             = "internal"              // 500
	CodeNotKept              = "not-kept"              // 501
	CodeUnavailable          = "unavailable"           // 503
)

// refusal is an error that is a problem already.
type refusal struct {
	status int
	code   string
	title  string
	detail string
	fields []FieldError
	key    string
}

func (e *refusal) Error() string { return "admin: " + e.title }

// methodError refuses a method that the path does not know.
type methodError struct{ allowed []string }

func (e *methodError) Error() string { return "admin: method not allowed" }

var (
	errNoRoute     = &refusal{status: http.StatusNotFound, code: CodeNotFound, title: notFound, detail: "There is no such route."}
	errCrossOrigin = &refusal{status: http.StatusForbidden, code: CodeCrossOrigin, title: "A page of another origin sent this"}
)

const notFound = "There is no such thing, or you have no part in it"

func malformed(detail string, fields ...FieldError) error {
	return &refusal{status: http.StatusBadRequest, code: CodeMalformed, title: "The request cannot be read", detail: detail, fields: fields}
}

func invalid(fields ...FieldError) error {
	return &refusal{status: http.StatusUnprocessableEntity, code: CodeInvalid, title: titleInvalid, fields: fields}
}

const (
	titleInvalid = "The request asks for something that cannot be"
	titleChanged = "It has changed since you read it"
)

// refuse answers with the problem that err is.
func (c *call) refuse(err error) {
	header := c.w.Header()
	var unauthorized *UnauthorizedError
	var method *methodError
	var denied *policy.Denied
	switch {
	case errors.As(err, &unauthorized):
		challenge := unauthorized.Challenge
		if challenge == "" || strings.ContainsFunc(challenge, func(r rune) bool { return r < ' ' || r > '~' }) {
			challenge = "Bearer"
		}
		header.Set("WWW-Authenticate", challenge) // RFC 9110, section 11.6.1
	case errors.As(err, &method):
		header.Set("Allow", strings.Join(method.allowed, ", "))
	case errors.As(err, &denied) && denied != nil && denied.RetryAfter > 0:
		seconds := int64((denied.RetryAfter + time.Second - 1) / time.Second)
		header.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	problem := c.problemOf(err)
	if problem.Status == http.StatusServiceUnavailable {
		if !errors.Is(c.r.Context().Err(), context.Canceled) { // a caller who hung up is no outage
			c.h.cfg.Logger.ErrorContext(c.r.Context(), "a management request met an outage", "route", c.name(), "error", err)
		}
		header.Set("Retry-After", "1")
	}
	problem.Type = ProblemType + problem.Type
	c.write(problem.Status, "application/problem+json", problem)
}

// problemOf says what err is to the caller. Type is the code alone.
func (c *call) problemOf(err error) Problem {
	var known *refusal
	var unauthorized *UnauthorizedError
	var method *methodError
	var bad *apikey.InvalidError
	var unknown *scope.UnknownError
	var forbidden *apikey.ForbiddenError
	var denied *policy.Denied
	switch {
	case errors.As(err, &known):
		return Problem{Status: known.status, Type: known.code, Title: known.title, Detail: known.detail, Errors: known.fields, Key: known.key}
	case errors.As(err, &unauthorized):
		return Problem{Status: http.StatusUnauthorized, Type: CodeUnauthorized, Title: "Who you are is not known", Detail: unauthorized.Reason}
	case errors.As(err, &method):
		return Problem{Status: http.StatusMethodNotAllowed, Type: CodeMethodNotAllowed, Title: "This path does not know that method"}
	case errors.As(err, &bad):
		p := Problem{Status: http.StatusUnprocessableEntity, Type: CodeInvalid, Title: titleInvalid}
		for _, field := range bad.Problems {
			p.Errors = append(p.Errors, FieldError(field))
		}
		return p
	case errors.As(err, &unknown):
		return Problem{Status: http.StatusUnprocessableEntity, Type: CodeInvalid, Title: titleInvalid, Errors: []FieldError{
			{Field: "permissions", Reason: unknownReason(unknown)},
		}}
	case errors.As(err, &forbidden):
		p := Problem{Status: http.StatusForbidden, Type: CodeForbidden, Title: "You may not do this", Detail: forbidden.Reason}
		if forbidden.Missing.Len() > 0 {
			p.Missing = forbidden.Missing.Names()
		}
		return p
	case errors.As(err, &denied) && denied != nil:
		p := Problem{Status: http.StatusForbidden, Type: CodePolicy, Title: "A rule of this service refuses it", Detail: denied.Reason, Rule: denied.Rule}
		if denied.RetryAfter > 0 {
			p.Status = http.StatusTooManyRequests
		}
		return p
	case errors.Is(err, store.ErrUnavailable), errors.Is(c.r.Context().Err(), context.DeadlineExceeded):
		return Problem{Status: http.StatusServiceUnavailable, Type: CodeUnavailable, Title: "The service cannot decide at the moment", Detail: "Try again shortly."}
	case errors.Is(err, store.ErrNotFound):
		return Problem{Status: http.StatusNotFound, Type: CodeNotFound, Title: notFound}
	case errors.Is(err, store.ErrConflict) && c.conditional:
		return Problem{Status: http.StatusPreconditionFailed, Type: CodeChanged, Title: titleChanged, Detail: "Read it again and decide anew."}
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists):
		return Problem{Status: http.StatusConflict, Type: CodeConflict, Title: "Someone else changed it at the same time", Detail: "Nothing was changed by this request. Send it again."}
	case errors.Is(err, apikey.ErrNotKept):
		return Problem{Status: http.StatusNotImplemented, Type: CodeNotKept, Title: "This service does not keep such records"}
	case c.r.Context().Err() != nil: // the caller hung up
		return Problem{Status: http.StatusServiceUnavailable, Type: CodeUnavailable, Title: "The request was cut off"}
	}
	c.h.cfg.Logger.ErrorContext(c.r.Context(), "a management request failed", "route", c.name(), "error", err)
	return Problem{Status: http.StatusInternalServerError, Type: CodeInternal, Title: "The service failed"}
}

func unknownReason(unknown *scope.UnknownError) string {
	return "Unknown: " + strings.Join(unknown.Names, ", ") + "."
}
