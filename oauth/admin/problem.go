package admin

import (
	"cmp"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
)

// ProblemType is the beginning of the type of every problem document; a code
// follows. The page explains each code and says what to do.
const ProblemType = "https://github.com/latchkey-go/latchkey/blob/main/oauth/admin/PROBLEMS.md#"

// Problem is the body of a refusal (RFC 9457).
type Problem struct {
	// Type is ProblemType and a code.
	Type string `json:"type"`
	// Title is the same for every problem of a type. Detail describes this
	// problem. Both are for people.
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Errors says what is wrong, field by field.
	Errors []FieldError `json:"errors,omitempty"`
	// Missing names the permissions that the actor would have to be able to grant to
	// make this request.
	Missing []string `json:"missing,omitempty"`
	// Rule is the name of the policy that refused the request.
	Rule string `json:"rule,omitempty"`
	// Key is the id of the key that the first request with the same
	// Idempotency-Key created or changed.
	Key string `json:"key,omitempty"`
}

// FieldError is what is wrong with one member of the body, one parameter of
// the query or one header.
type FieldError struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

// Short names of the shared types of refusals.
type (
	refusal = answer.Refusal
	field   = answer.Field
)

func malformed(detail string, fields ...field) error {
	return &refusal{Kind: answer.Malformed, Detail: detail, Fields: fields}
}

func invalid(fields ...field) error { return &refusal{Kind: answer.Invalid, Fields: fields} }

// refuse answers with the problem document of err.
func (c *call) refuse(err error) {
	refused := c.refusalOf(err)
	refused.SetRetryAfter(c.w.Header())
	problem := problemOf(refused)
	c.write(problem.Status, "application/problem+json", problem)
}

// refusalOf turns err into the refusal for the caller, and logs it.
func (c *call) refusalOf(err error) *refusal {
	refused := outcome.Manage(c.r.Context(), err)
	if refused.Kind == answer.Conflict && c.hasVersion { // the record does not have that version any more
		refused = &refusal{Kind: answer.Changed}
	}
	refused.Log(c.r.Context(), c.h.cfg.Logger, "a management request", err, "route", c.routeName())
	return refused
}

func problemOf(r *refusal) Problem {
	row := r.Row()
	return Problem{
		Type: ProblemType + row.Manage.Code, Title: row.Problem, Status: row.Manage.Status, Detail: cmp.Or(r.Detail, row.Remedy),
		Errors: each(r.Fields, func(wrong *field) FieldError { return FieldError(*wrong) }), Missing: r.Missing, Rule: r.Rule, Key: r.Key,
	}
}
