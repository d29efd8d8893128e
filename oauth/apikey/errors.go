package apikey

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/scope"
)

// Callers can distinguish ErrInvalidCredentials, the types below, and the errors of
// packages store (ErrNotFound, ErrExists, ErrConflict, ErrUnavailable) and policy
// (*policy.Denied). Use errors.Is and errors.As.

// ErrInvalidCredentials says that the id is unknown, or that the secret or the assertion
// is wrong. It does not say which.
var ErrInvalidCredentials = errors.New("apikey: the client id, the secret or the assertion is wrong")

// errMalformed refuses credentials without a read of the store. The client gets the
// same response as for a wrong secret or assertion.
var errMalformed = fmt.Errorf("%w: one of them is malformed", ErrInvalidCredentials)

// ForbiddenError says that the actor may not do something with a key or workspace
// that it may know of, and why.
type ForbiddenError struct {
	Action string // such as "key.rotate"
	Reason string // one plain sentence
	// Missing are the permissions that the actor would have to be able to grant.
	Missing scope.Set
}

// Error implements error.
func (e *ForbiddenError) Error() string {
	text := "apikey: " + e.Action + ": " + e.Reason
	if e.Missing.Len() > 0 {
		text += " (" + e.Missing.String() + ")"
	}
	return text
}

// FieldProblem says what is wrong with one field of a request.
type FieldProblem struct {
	Field  string // as in JSON: "name", "permissions", "expires_at", "trusts[0].claims"
	Reason string
}

// InvalidError lists all problems of a request.
type InvalidError struct {
	Problems []FieldProblem
}

// Error implements error.
func (e *InvalidError) Error() string {
	texts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		texts[i] = p.Field + ": " + p.Reason
	}
	return "apikey: " + strings.Join(texts, "; ")
}

func (e *InvalidError) add(field, reason string) {
	e.Problems = append(e.Problems, FieldProblem{field, reason})
}

func (e *InvalidError) addIf(wrong bool, field, reason string) {
	if wrong {
		e.add(field, reason)
	}
}

func (e *InvalidError) orNil() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

func invalid(field, reason string) error {
	return &InvalidError{[]FieldProblem{{field, reason}}}
}

// RefusedError refuses a login with a correct secret or assertion, and says why.
type RefusedError struct {
	// Reason is "disabled", "expired", "suspended" or "keys_off"; "direct" for a
	// secret in place of a token that the key or the settings do not allow; "scope" for
	// permissions that the key does not hold, that are withheld (see Key.Withheld), or
	// that the requested resource excludes (see Resource.Permissions); or "resource"
	// for one that is unknown or that the key may not request (RFC 8707, section 2).
	Reason string
	// Description is one plain sentence for the client.
	Description string
	// Missing are the permissions that the reason "scope" is about. A name that looks
	// like a secret is left out, so it may be empty.
	Missing scope.Set
}

// Error implements error.
func (e *RefusedError) Error() string {
	text := "apikey: login refused: " + e.Reason
	if e.Missing.Len() > 0 {
		text += " (" + e.Missing.String() + ")"
	}
	return text
}

// ThrottledError refuses a login after too many failures; see Budgets.
type ThrottledError struct {
	RetryAfter time.Duration
}

// Error implements error.
func (e *ThrottledError) Error() string {
	return "apikey: too many failed logins; wait " + e.RetryAfter.String()
}
