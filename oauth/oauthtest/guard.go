package oauthtest

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/scope"
)

// Route is a route, and the guard that CheckGuard expects for it.
type Route struct {
	// Request is a request that the route answers with success (a status below
	// 400) if it has a valid token. It is sent many times, each time as a copy
	// with another Authorization header. Required.
	Request *http.Request
	// Workspace is the workspace that the request is for. Empty: the route
	// belongs to no workspace (bearer.Guard.AnyWorkspace), and accepts tokens of
	// every workspace; CheckGuard then uses tokens of the workspace "oauthtest".
	Workspace string
	// WorkspaceFromToken means that the request names no workspace: the handler serves
	// the workspace of the token (Principal.Workspace). CheckGuard sends a token of
	// Workspace and one of another workspace. The body of the second answer must not
	// end with that of the first. So before the test, put data into Workspace that
	// other workspaces lack. The check finds nothing if the answers have no body, or if
	// each answer differs, such as by the time.
	WorkspaceFromToken bool
	// Permissions are all permissions that the route requires, as in Require.
	// Empty: the route accepts every valid token.
	Permissions []string
	// Or are the alternatives to Permissions, each as in bearer.Guard.Or.
	Or [][]string
	// Secrets means that the guard has OrSecret: the route also accepts the secrets of
	// keys that allow direct use, in each of the server's Config.SecretForms. Without
	// it, the route must refuse them.
	Secrets bool
	// Session adds a valid session of the host to a request. If it is not nil, the
	// route must also accept sessions (see bearer.Verifier.Carries), but refuse a
	// request with a session and a bad token. A request that has neither a session nor
	// a token of this server may then be answered with 401, 403, 302 or 303, and
	// without a Bearer challenge. All such redirects must lead to the same page, and a
	// good request must not be redirected to it.
	Session func(*http.Request)
	// UntilExpiry skips the check with tokens whose key was disabled. It is for
	// a resource server without bearer.Config.Epochs, where such tokens work
	// until they expire.
	UntilExpiry bool
}

// CheckGuard sends requests that a route must refuse, and then requests that it
// must accept. It calls Errorf once for each wrong answer. The route must refuse
//
//   - with 401 and a challenge: no token, a token in the query, a text that is
//     not a token, and tokens that are unsigned, signed with another key,
//     expired, from another issuer, for another audience, or of a key that was
//     disabled;
//   - with 403: tokens that lack a permission that the route requires, and hold
//     all other permissions of the server's catalog;
//   - with 404 (or 403): a token of another workspace, unless its permissions
//     reach every workspace;
//   - with 401: every secret. If Route.Secrets is set, only a wrong one, one in the
//     query, one of a disabled key and one of a key that does not allow direct use; with
//     400 a secret and a token at once; with 403 and 404 what is said above of tokens;
//     with 403 a secret with Basic from a page of another site.
//
// The fields WorkspaceFromToken and Session of Route change these rules. The route
// must run its handler for a token that holds only Route.Permissions, for one that
// holds only an alternative of Route.Or, for secrets of such keys if Secrets is set, and
// for a session if Session is set. Use a table of Routes to check a whole API.
//
// The server's clock does not move between the requests. So a limit behind the guard must
// let all good ones pass at one instant.
func (s *Server) CheckGuard(t testing.TB, handler http.Handler, route Route) {
	t.Helper()
	if handler == nil || route.Request == nil {
		t.Fatalf("oauthtest: CheckGuard: the handler and Route.Request are required")
	}
	p := probe{server: s, handler: handler, route: route}
	if err := p.prepare(); err != nil {
		t.Fatalf("oauthtest: CheckGuard: %v", err)
	}
	if err := p.run(t.Context()); err != nil {
		t.Fatalf("oauthtest: CheckGuard: %v", err)
	}
	for _, finding := range p.findings {
		t.Errorf("%s %s %s", route.Request.Method, route.Request.URL.Path, finding)
	}
}

// probe is one run of CheckGuard.
type probe struct {
	server  *Server
	handler http.Handler
	route   Route

	home         string // the workspace of valid tokens
	body         []byte
	alternatives []scope.Set
	refusals     []outcome
	signIn       string // the page to which requests without a token are redirected
	findings     []string
}

// outcome is an answer that must not be the same as the answer to a good token.
type outcome struct {
	what string // "an expired token"
	*httptest.ResponseRecorder
}

// report adds a finding.
func (p *probe) report(format string, args ...any) {
	p.findings = append(p.findings, fmt.Sprintf(format, args...))
}

// prepare checks the Route, and reads the body of its request.
func (p *probe) prepare() error {
	for _, permissions := range append([][]string{p.route.Permissions}, p.route.Or...) {
		set, err := p.server.known(permissions)
		if err != nil {
			return err
		}
		if set.Len() == 0 && len(p.alternatives) > 0 {
			return fmt.Errorf("Route.Or: an alternative without permissions would accept every token: name its permissions")
		}
		p.alternatives = append(p.alternatives, set)
	}
	p.home = p.route.Workspace
	if p.home == "" && p.route.WorkspaceFromToken {
		return fmt.Errorf("Route.WorkspaceFromToken needs Route.Workspace: set it to the workspace of the good token")
	}
	if p.home == "" {
		p.home = "oauthtest"
	}
	if p.route.Request.Body == nil {
		return nil
	}
	var err error
	if p.body, err = io.ReadAll(p.route.Request.Body); err != nil {
		return fmt.Errorf("read Route.Request's body: %w", err)
	}
	// The caller may use the request after CheckGuard.
	p.route.Request.Body = io.NopCloser(bytes.NewReader(p.body))
	return nil
}

// findLeaks finds guards that refuse a request but still run the handler: the refusal
// ends with the body that the handler writes for a valid token or session.
func (p *probe) findLeaks(good []byte) {
	if len(good) == 0 {
		return
	}
	p.refusals = slices.DeleteFunc(p.refusals, func(o outcome) bool {
		leaks := bytes.HasSuffix(o.Body.Bytes(), good)
		if leaks {
			p.report("answered %s with %d and the body that a good token gets", o.what, o.Code)
		}
		return leaks
	})
}

// refuse sends a request that must be answered with one of the statuses. If the route
// accepts sessions, a request with a token of this server gets a valid session as well:
// the session must not help.
func (p *probe) refuse(what, authorization string, statuses ...int) {
	p.refuseWith(what, func(r *http.Request) {
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
	}, statuses...)
}

// refuseWith is refuse for a request with any credential. present may be called twice.
func (p *probe) refuseWith(what string, present func(*http.Request), statuses ...int) {
	r := p.request()
	present(r)
	if p.route.Session != nil && p.server.server.Carries(r) {
		p.route.Session(r)
		present(r)
		what += " beside a session"
	}
	p.refuseRequest(what, r, statuses...)
}

func (p *probe) refuseRequest(what string, r *http.Request, statuses ...int) {
	// Without a token of this server, the host's check of sessions refuses the request.
	bySession := p.route.Session != nil && !p.server.server.Carries(r)
	if bySession {
		statuses = append(statuses, http.StatusForbidden, http.StatusFound, http.StatusSeeOther)
	}
	answer := p.serve(what, r)
	switch {
	case answer == nil:
	case slices.Contains(statuses, answer.Code):
		challenge := answer.Header().Get("WWW-Authenticate")
		if answer.Code == http.StatusUnauthorized && !bySession && !strings.HasPrefix(strings.ToLower(challenge), "bearer") {
			p.report("refused %s without a Bearer challenge in WWW-Authenticate (RFC 6750, section 3)", what)
		}
		if to := redirectTarget(answer); bySession && to != "" {
			if p.signIn = cmp.Or(p.signIn, to); to != p.signIn {
				p.report("redirected %s to %s, but another request without a token to %s", what, to, p.signIn)
			}
		}
		p.refusals = append(p.refusals, outcome{what, answer})
	case answer.Code < http.StatusBadRequest:
		p.report("accepted %s: %d instead of %d%s", what, answer.Code, statuses[0], p.hint(what, answer.Code))
	default:
		p.report("answered %s with %d instead of %d%s", what, answer.Code, statuses[0], p.hint(what, answer.Code))
	}
}

// hint says what may be wrong about the guard or the Route, for the answer to a secret.
func (p *probe) hint(what string, code int) string {
	switch {
	case !strings.HasPrefix(what, "a secret") && !strings.HasPrefix(what, "a good secret"):
	case p.route.Secrets && code == http.StatusUnauthorized:
		return " (does the guard have OrSecret?)"
	case !p.route.Secrets && code < http.StatusBadRequest:
		return " (if it should, set Route.Secrets)"
	}
	return ""
}

// redirectTarget returns the address that an answer redirects to, without the query.
func redirectTarget(answer *httptest.ResponseRecorder) string {
	to, _, _ := strings.Cut(answer.Header().Get("Location"), "?")
	return to
}

// refuses reports whether an answer refuses a good request. A redirect to the page to
// which requests without a token are redirected is a refusal, too.
func (p *probe) refuses(answer *httptest.ResponseRecorder) bool {
	return answer.Code >= http.StatusBadRequest || p.signIn != "" && redirectTarget(answer) == p.signIn
}

// serve runs the handler. A panic is a finding: the handler is broken, or it ran
// although the guard had to refuse the request.
func (p *probe) serve(what string, r *http.Request) (answer *httptest.ResponseRecorder) {
	defer func() {
		if fault := recover(); fault != nil {
			p.report("panicked at %s: %v", what, fault)
			answer = nil
		}
	}()
	answer = httptest.NewRecorder()
	p.handler.ServeHTTP(answer, r)
	return answer
}

// request copies the route's request without its credentials.
func (p *probe) request() *http.Request {
	r := p.route.Request.Clone(p.route.Request.Context())
	if r.Header == nil {
		r.Header = make(http.Header)
	}
	r.Header.Del("Authorization")
	r.Header.Del(p.secretHeader())
	r.Body = http.NoBody
	if len(p.body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(p.body))
	}
	if r.RemoteAddr == "" {
		r.RemoteAddr = loopback
	}
	return r
}
