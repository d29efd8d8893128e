package bearer

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/scope"
)

// Guard says which permissions a route requires. To protect a route, it also
// needs the route's workspace: InPath, InFunc and AnyWorkspace return
// middleware for net/http, Check and CheckAny are for other routers, and
// Verifier.Authorize is for servers that do not use net/http.
//
// Mistakes in a guard panic when it is built, as http.ServeMux does for a bad
// pattern: a permission that is malformed or not in the catalog, Or without
// permissions, an empty path value, a nil function or handler. The zero Guard
// lets no request pass: its middleware panics when it is built, and Check
// answers 500.
//
// A Guard is an immutable value.
type Guard struct {
	verifier *Verifier
	// alternatives holds at least one set. A token must hold all permissions of
	// one of them.
	alternatives []scope.Set
	// pathValue is the name given to InPath, for the log.
	pathValue string
	// secrets means that OrSecret was called.
	secrets bool
	// logNoWorkspace limits the log to the first request without a workspace.
	logNoWorkspace *sync.Once
}

// Require returns a guard that requires all of the permissions. Without
// permissions, it accepts every valid token. It panics if a permission is
// malformed or not in Config.Permissions.
func (v *Verifier) Require(permissions ...string) Guard {
	return Guard{verifier: v, alternatives: []scope.Set{v.mustKnow(permissions)}, logNoWorkspace: new(sync.Once)}
}

// Or adds an alternative: the guard also accepts a token that holds all of
// these permissions. It panics as Require does, and without permissions.
func (g Guard) Or(permissions ...string) Guard {
	g.mustBeMade()
	if len(permissions) == 0 {
		panicMisuse(errors.New("Or: an alternative without permissions would let every token pass"))
	}
	g.alternatives = append(slices.Clip(g.alternatives), g.verifier.mustKnow(permissions))
	return g
}

// InPath protects a route of one workspace, whose id is the request's path
// value of the given name (http.Request.PathValue). The id must be the token's
// own workspace, unless the token satisfies the guard with permissions that
// reach every workspace (scope.Admin in Config.Permissions). Otherwise, and for
// an empty id, the answer is 404, as for a workspace that does not exist.
//
// net/http and chi set path values. Other routers do not: use InFunc or Check
// with them, as examples/mounting does. In every case the first request without
// a workspace is logged.
func (g Guard) InPath(name string) func(http.Handler) http.Handler {
	if name == "" {
		panicMisuse(errors.New("InPath: the name of the path value is empty"))
	}
	g.pathValue, g.logNoWorkspace = name, new(sync.Once)
	return g.InFunc(func(r *http.Request) string { return r.PathValue(name) })
}

// InFunc is InPath with a function that finds the workspace's id. If the
// function returns "", the request is refused. It is called after the token and
// its permissions were checked.
func (g Guard) InFunc(workspace func(*http.Request) string) func(http.Handler) http.Handler {
	if workspace == nil {
		panicMisuse(errors.New("InFunc: the function is nil"))
	}
	return g.middleware(workspace)
}

// AnyWorkspace protects a route that belongs to no workspace, or whose handler
// checks Principal.Workspace itself.
func (g Guard) AnyWorkspace() func(http.Handler) http.Handler { return g.middleware(nil) }

// middleware is InFunc, or AnyWorkspace if workspace is nil.
func (g Guard) middleware(workspace func(*http.Request) string) func(http.Handler) http.Handler {
	g.mustBeMade()
	return func(next http.Handler) http.Handler {
		if next == nil {
			panicMisuse(errors.New("the handler is nil"))
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var find func() string
			if workspace != nil {
				find = func() string { return workspace(r) }
			}
			if checked, ok := g.check(w, r, find); ok {
				next.ServeHTTP(w, checked)
			}
		})
	}
}

// Check protects a route of one workspace on any router: it reports whether the
// request may pass. If so, call the handler with the request that Check
// returns: its context holds the principal. If not, Check has written the
// answer and returns a nil request: stop there. workspace is the id that InPath
// reads from the path; an empty one is refused.
func (g Guard) Check(w http.ResponseWriter, r *http.Request, workspace string) (*http.Request, bool) {
	return g.check(w, r, func() string { return workspace })
}

// CheckAny is Check for a route that belongs to no workspace, or whose handler
// checks Principal.Workspace itself.
func (g Guard) CheckAny(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	return g.check(w, r, nil)
}

func (g Guard) check(w http.ResponseWriter, r *http.Request, workspace func() string) (*http.Request, bool) {
	if g.verifier == nil {
		(&answer.Refusal{Kind: answer.Failed, Detail: "This route is misconfigured. Tell the operator of this service."}).WriteOAuth(w)
		return nil, false
	}
	var principal *Principal
	presented, err := g.presented(r)
	if err == nil {
		principal, err = g.verifier.decide(r.Context(), &presented, g, workspace)
	}
	if principal, err = g.verifier.observed(r.Context(), &presented, principal, err); err != nil {
		g.refuse(w, r, err)
		return nil, false
	}
	return r.WithContext(WithPrincipal(r.Context(), principal)), true
}

// mustKnow returns the set of the names. It panics if one is not a permission
// that a guard may require.
func (v *Verifier) mustKnow(names []string) scope.Set {
	set, err := scope.Of(names...)
	switch {
	case err != nil:
		err = fmt.Errorf("permissions %q: %w", names, err)
	case v.config.Permissions != nil:
		err = v.config.Permissions.Check(set)
	default:
		for name := range set.All() {
			if strings.Contains(name, "*") {
				err = fmt.Errorf("permission %q: a guard cannot require a wildcard, because tokens hold none", name)
			}
		}
	}
	if err != nil {
		panicMisuse(err)
	}
	return set
}

func (g Guard) mustBeMade() {
	if g.verifier == nil {
		panicMisuse(errors.New("the Guard was not made by Verifier.Require"))
	}
}

// panicMisuse panics because of a mistake in the program.
func panicMisuse(err error) {
	panic(fmt.Errorf("bearer: a route's guard: %w", err)) //nolint:forbidigo // documented at Guard: only a mistake in the program
}
