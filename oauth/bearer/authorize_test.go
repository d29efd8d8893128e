package bearer_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// TestOneDecision: middleware, Check and Authorize make the same decision, and
// the error wraps exactly one of the four kinds.
func TestOneDecision(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	guard := v.Require("project.list").Or("admin.project.list")
	holding := func(scope string) func(*jose.Claims) { return func(c *jose.Claims) { c.Scope = scope } }
	good := w.token()
	down := errors.New("canary: down")
	for _, test := range []struct {
		name          string
		authorization string // without "Bearer "
		workspace     string
		arrange       func()
		err, kind     error // err nil: it passes; kind: another error that is wrapped
		status        int
	}{
		{name: "own workspace", authorization: good, workspace: "team-a", status: 204},
		{name: "B20 another", authorization: good, workspace: "team-b", err: bearer.ErrNotFound, status: 404},
		{name: "B20 none", authorization: good, workspace: "", err: bearer.ErrNotFound, status: 404},
		{name: "another, with an admin permission", authorization: w.token(holding("admin.project.list")), workspace: "team-b", status: 204},
		{name: "B20 none, with an admin permission", authorization: w.token(holding("admin.project.list")), err: bearer.ErrNotFound, status: 404},
		{name: "permission not held", authorization: w.token(holding("project.save")), workspace: "team-a", err: bearer.ErrForbidden, status: 403},
		{name: "permission not held, in another workspace", authorization: w.token(holding("project.save")), workspace: "team-b", err: bearer.ErrForbidden, status: 403},
		{name: "no token", authorization: "", workspace: "team-a", err: bearer.ErrUnauthenticated, status: 401},
		{name: "another issuer's", authorization: w.token(func(c *jose.Claims) { c.Issuer = "https://b.example" }), workspace: "team-a",
			err: bearer.ErrUnauthenticated, kind: bearer.ErrInvalid, status: 401},
		{name: "no token at all", authorization: "a\"b", workspace: "team-a", err: bearer.ErrUnauthenticated, kind: bearer.ErrInvalid, status: 400},
		{name: "expired", authorization: w.token(func(c *jose.Claims) { c.Expires = start.Unix() }), workspace: "team-a",
			err: bearer.ErrUnauthenticated, kind: bearer.ErrExpired, status: 401},
		{name: "revoked", authorization: good, workspace: "team-a", arrange: func() { w.epochs.raise(4) },
			err: bearer.ErrUnauthenticated, kind: bearer.ErrRevoked, status: 401},
		{name: "an outage", authorization: good, workspace: "team-a", arrange: func() { w.epochs.err = down }, err: bearer.ErrUnavailable, status: 503},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.arrange != nil {
				test.arrange()
			}
			defer func() { w.epochs.err, w.epochs.low = nil, 0 }()

			p, err := v.Authorize(t.Context(), test.authorization, guard, test.workspace)
			require.Equal(t, err == nil, p != nil)
			for _, one := range []error{bearer.ErrUnauthenticated, bearer.ErrForbidden, bearer.ErrNotFound, bearer.ErrUnavailable} {
				require.Equal(t, one == test.err, errors.Is(err, one), "%v: %v", one, err)
			}
			for _, one := range []error{bearer.ErrInvalid, bearer.ErrExpired, bearer.ErrRevoked} {
				require.Equal(t, one == test.kind, errors.Is(err, one), "%v: %v", one, err)
			}
			if err != nil && test.authorization != "" {
				require.NotContains(t, err.Error(), test.authorization)
			}

			r := harness.Incoming(http.MethodGet, "/", "")
			if test.authorization != "" {
				r.Header.Set("Authorization", "Bearer "+test.authorization)
			}
			answer := httptest.NewRecorder()
			checked, ok := guard.Check(answer, r, test.workspace)
			require.Equal(t, test.status == 204, ok)
			require.Equal(t, ok, checked != nil, "a refused request must not be handled")
			if ok {
				require.Zero(t, answer.Body.Len())
				seen, there := bearer.PrincipalFrom(checked.Context())
				require.True(t, there)
				require.Equal(t, p, seen)
				answer.Code = 204
			}
			require.Equal(t, test.status, answer.Code)

			route := newRoute("GET /{$}", guard.InFunc(func(*http.Request) string { return test.workspace }))
			byMiddleware := httptest.NewRecorder()
			route.handler.ServeHTTP(byMiddleware, r)
			require.Equal(t, test.status, byMiddleware.Code)
			require.Equal(t, answer.Header(), byMiddleware.Header())
			require.Equal(t, answer.Body.String(), byMiddleware.Body.String())
			require.Equal(t, p, route.seen)

			p, err = v.AuthorizeAny(t.Context(), test.authorization, guard)
			require.NotErrorIs(t, err, bearer.ErrNotFound)
			require.Equal(t, p != nil, err == nil)
			require.Equal(t, test.status == 204 || test.status == 404, err == nil, "without a workspace: %v", err)
			_, ok = guard.CheckAny(httptest.NewRecorder(), r)
			require.Equal(t, err == nil, ok)
		})
	}
}

func TestCredential(t *testing.T) {
	for _, test := range []struct {
		name   string
		header http.Header
		want   string
		err    error
	}{
		{"a token", http.Header{"Authorization": {"Bearer abc"}}, "abc", nil},
		{"scheme in another case", http.Header{"Authorization": {"bEARER abc"}}, "abc", nil},
		{"none", http.Header{}, "", bearer.ErrUnauthenticated},
		{"another scheme", http.Header{"Authorization": {"Basic abc"}}, "", bearer.ErrUnauthenticated},
		{"two headers", http.Header{"Authorization": {"Bearer abc", "Bearer def"}}, "", bearer.ErrInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := bearer.Credential(test.header)
			require.ErrorIs(t, err, test.err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestPrincipalFrom(t *testing.T) {
	_, ok := bearer.PrincipalFrom(t.Context())
	require.False(t, ok)
	_, ok = bearer.PrincipalFrom(bearer.WithPrincipal(t.Context(), nil))
	require.False(t, ok, "without a principal")
	p, ok := bearer.PrincipalFrom(bearer.WithPrincipal(t.Context(), &bearer.Principal{KeyID: "key-1"}))
	require.True(t, ok)
	require.Equal(t, "key-1", p.KeyID)
}

// bearerAuth is what ogen generates from an OpenAPI document, and security is
// what a host writes for it.
type bearerAuth struct{ Token string }

type security struct {
	verifier *bearer.Verifier
	guards   map[string]bearer.Guard // by operation
}

func (s security) HandleBearerAuth(ctx context.Context, operation string, t bearerAuth) (context.Context, error) {
	p, err := s.verifier.AuthorizeAny(ctx, t.Token, s.guards[operation])
	if err != nil {
		return ctx, err
	}
	return bearer.WithPrincipal(ctx, p), nil
}

// statusOf is a host's ErrorHandler.
func statusOf(err error) int {
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, bearer.ErrUnauthenticated):
		return http.StatusUnauthorized
	case errors.Is(err, bearer.ErrForbidden):
		return http.StatusForbidden
	case errors.Is(err, bearer.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, bearer.ErrUnavailable):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// TestGeneratedServer simulates a server generated by ogen: a missing permission
// is not answered with 401, and the handler gets the principal.
func TestGeneratedServer(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	s := security{v, map[string]bearer.Guard{"listProjects": v.Require("project.list"), "saveProject": v.Require("project.save")}}
	for _, test := range []struct {
		operation, token string
		status           int
	}{
		{"listProjects", w.token(), 200},
		{"saveProject", w.token(), 403},
		{"listProjects", "", 401},
		{"listProjects", w.token()[1:], 401},
		{"forgotten", w.token(), 500},
	} {
		ctx, err := s.HandleBearerAuth(t.Context(), test.operation, bearerAuth{test.token})
		require.Equal(t, test.status, statusOf(err), "%s: %v", test.operation, err)
		p, ok := bearer.PrincipalFrom(ctx)
		require.Equal(t, err == nil, ok)
		require.True(t, !ok || p.Workspace == "team-a")
	}
	w.epochs.err = errors.New("canary: down")
	_, err := s.HandleBearerAuth(t.Context(), "listProjects", bearerAuth{w.token()})
	require.Equal(t, 503, statusOf(err))
}

// request, next and code are what connect and gRPC give to an interceptor.
type request struct {
	procedure, workspace string
	header               http.Header
}

type next func(context.Context, request) (string, error)

type code string

func (c code) Error() string { return string(c) }

// intercept is what a host writes. The workspace is a field of the message.
func intercept(v *bearer.Verifier, guards map[string]bearer.Guard, handle next) next {
	return func(ctx context.Context, r request) (string, error) {
		credential, err := bearer.Credential(r.header)
		var p *bearer.Principal
		if err == nil {
			p, err = v.Authorize(ctx, credential, guards[r.procedure], r.workspace)
		}
		switch {
		case err == nil:
			return handle(bearer.WithPrincipal(ctx, p), r)
		case errors.Is(err, bearer.ErrUnauthenticated):
			return "", code("unauthenticated")
		case errors.Is(err, bearer.ErrForbidden):
			return "", code("permission_denied")
		case errors.Is(err, bearer.ErrNotFound):
			return "", code("not_found")
		case errors.Is(err, bearer.ErrUnavailable):
			return "", code("unavailable")
		}
		return "", code("internal")
	}
}

// TestInterceptor simulates a server of connect or gRPC: another workspace is
// answered with not_found, never with unimplemented.
func TestInterceptor(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	ran := 0
	call := intercept(v, map[string]bearer.Guard{"/Projects/List": v.Require("project.list"), "/Projects/Save": v.Require("project.save")},
		func(ctx context.Context, _ request) (string, error) {
			ran++
			p, _ := bearer.PrincipalFrom(ctx)
			return p.KeyID, nil
		})
	with := func(authorization ...string) http.Header { return http.Header{"Authorization": authorization} }
	ask := func(r request) string {
		said, err := call(t.Context(), r)
		if err != nil {
			return err.Error()
		}
		return said
	}
	token := "Bearer " + w.token()
	require.Equal(t, "key-1", ask(request{"/Projects/List", "team-a", with(token)}))
	require.Equal(t, "not_found", ask(request{"/Projects/List", "team-b", with(token)}))
	require.Equal(t, "not_found", ask(request{"/Projects/List", "", with(token)}))
	require.Equal(t, "permission_denied", ask(request{"/Projects/Save", "team-a", with(token)}))
	require.Equal(t, "unauthenticated", ask(request{"/Projects/List", "team-a", with()}))
	require.Equal(t, "unauthenticated", ask(request{"/Projects/List", "team-a", with(token, token)}))
	require.Equal(t, "internal", ask(request{"/Projects/Forgotten", "team-a", with(token)}))
	w.epochs.err = errors.New("canary: down")
	require.Equal(t, "unavailable", ask(request{"/Projects/List", "team-a", with(token)}))
	w.epochs.err = nil
	w.wait(time.Hour)
	require.Equal(t, "unauthenticated", ask(request{"/Projects/List", "team-a", with(token)}))
	require.Equal(t, 1, ran)
	require.False(t, strings.Contains(w.log.String(), "Bearer"))
}
