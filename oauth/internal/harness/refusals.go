package harness

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Refusal is an error and how it is answered: at the endpoints of package oauth, and
// by the management API and the console.
type Refusal struct {
	Name         string
	Err          error
	OAuthStatus  int
	OAuthCode    string
	ManageStatus int
	ManageCode   string
	RetryAfter   string
}

// Refusals lists all errors that the HTTP packages distinguish, some unknown ones, and
// each of them joined with an outage. Texts that must not be in an answer contain
// "canary".
func Refusals() []Refusal {
	_, malformed := scope.Parse("a  b")
	_, unknown := Catalog.Expand(scope.MustParse("no.such"), true)
	const (
		failed, internal = "server_error", "internal"
		later            = "temporarily_unavailable"
	)
	list := []Refusal{
		{"an unknown error", errors.New("canary"), 500, failed, 500, internal, ""},
		{"an error that cannot be hashed", Unhashable{"canary"}, 500, failed, 500, internal, ""},
		{"a denial that is nil", (*policy.Denied)(nil), 500, failed, 500, internal, ""},
		{"a limit that no policy explained", fmt.Errorf("canary: %w", store.ErrLimit), 500, failed, 500, internal, ""},

		{"wrong credentials", fmt.Errorf("canary: %w", apikey.ErrInvalidCredentials), 401, "invalid_client", 500, internal, ""},
		{"a refused login", &apikey.RefusedError{Reason: "disabled", Description: "It is disabled."}, 401, "invalid_client", 500, internal, ""},
		{"a malformed scope", malformed, 400, "invalid_scope", 500, internal, ""},
		{"a scope that the key lacks", &apikey.RefusedError{Reason: "scope", Missing: scope.MustParse("x")}, 400, "invalid_scope", 500, internal, ""},
		{"a target that is not allowed", &apikey.RefusedError{Reason: "resource", Description: "canary"}, 400, "invalid_target", 500, internal, ""},

		{"a denial", &policy.Denied{Rule: "x", Reason: "No.", Err: errors.New("canary")}, 400, "unauthorized_client", 403, "policy", ""},
		{"a denial without a reason", fmt.Errorf("canary: %w", &policy.Denied{Rule: "x"}), 400, "unauthorized_client", 403, "policy", ""},
		{"a denial of what has expired", &policy.Denied{Rule: "x", Expired: true}, 401, "invalid_client", 403, "policy", ""},
		{"a denial of a record that is not there", &policy.Denied{Rule: "x", Err: store.ErrNotFound}, 400, "unauthorized_client", 403, "policy", ""},

		{"an invalid request", &apikey.InvalidError{Problems: []apikey.FieldProblem{{Field: "name", Reason: "It is empty."}}}, 500, failed, 422, "invalid", ""},
		{"an unknown permission", unknown, 500, failed, 422, "invalid", ""},
		{"an act that is not allowed", &apikey.ForbiddenError{Action: "canary", Reason: "No."}, 500, failed, 403, "forbidden", ""},
		{"permissions that may not be granted", &apikey.ForbiddenError{Reason: "No.", Missing: scope.MustParse("x")}, 500, failed, 403, "forbidden", ""},
		{"a record that is not there", fmt.Errorf("canary: %w", store.ErrNotFound), 500, failed, 404, "not-found", ""},
		{"a record that is there", fmt.Errorf("canary: %w", store.ErrExists), 500, failed, 409, "conflict", ""},
		{"a version that has changed", fmt.Errorf("canary: %w", store.ErrConflict), 500, failed, 409, "conflict", ""},
		{"records that are not kept", fmt.Errorf("canary: %w", errors.ErrUnsupported), 500, failed, 501, "not-kept", ""},
	}
	down := fmt.Errorf("canary: %w", store.ErrUnavailable)
	outages := []error{
		down, fmt.Errorf("canary: %w", bearer.ErrUnavailable), fmt.Errorf("canary: %w", context.DeadlineExceeded),
		fmt.Errorf("canary: %w", context.Canceled), &policy.Denied{Rule: "x", Reason: "canary", RetryAfter: time.Hour, Err: down},
	}
	for _, known := range list {
		outages = append(outages, errors.Join(known.Err, down))
	}
	list = append(list,
		Refusal{"too many failures", &apikey.ThrottledError{RetryAfter: 90 * time.Second}, 429, later, 500, internal, "90"},
		Refusal{"a denial for now", &policy.Denied{Rule: "x", RetryAfter: 1500 * time.Millisecond}, 429, later, 429, "policy", "2"},
	)
	for _, err := range outages {
		list = append(list, Refusal{fmt.Sprintf("an outage: %v", err), err, 503, later, 503, "unavailable", "1"})
	}
	return list
}

// Unhashable is an error that cannot be a map key.
type Unhashable []string

// Error implements error.
func (u Unhashable) Error() string { return u[0] }

// Check checks what all answers to r have in common.
func (r Refusal) Check(t testing.TB, a Answer, status int) {
	t.Helper()
	require.Equal(t, status, a.StatusCode, a.Body)
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
	require.NotContains(t, a.Body, "canary")
	want := r.RetryAfter
	if status == 500 { // these answers have no Retry-After
		want = ""
	}
	require.Equal(t, want, a.Header.Get("Retry-After"))
}
