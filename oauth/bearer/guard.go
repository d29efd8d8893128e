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

// Guard says which permissions a route asks for. It lets nothing pass before
// it is told the route's workspace too: InPath, InFunc and AnyWorkspace make
// middleware for net/http, Check and CheckAny are for other routers, and
// Verifier.Authorize is for servers that are not net/http's.
//
// What is wrong with a guard shows when it is built: a permission that is
// malformed or not in the catalog, Or without permissions, an empty path value
// and a nil function or handler panic, as http.ServeMux does with a bad
// pattern. The zero Guard lets nothing pass; its middleware panics when it is
// built, and Check answers 500.
//
// A Guard is an immutable value.
type Guard struct {
	verifier *Verifier
	// need are alternatives, one at least: a token must hold all of one of them.
	need []scope.Set
	// pathValue is the name given to InPath, for the log. unnamed has the first request
	// that names no workspace logged, and no other.
	pathValue string
	unnamed   *sync.Once
}

// Require asks for all of the permissions. Without any, every valid token
// will do. It panics if one is malformed or not in Config.Permissions.
func (v *Verifier) Require(permissions ...string) Guard {
	return Guard{verifier: v, need: []scope.Set{v.mustKnow(permissions)}, unnamed: new(sync.Once)}
}

// Or adds an alternative: the guard also lets a token pass that holds all of
// these. It panics as Require does, and without permissions.
func (g Guard) Or(permissions ...string) Guard {
	g.mustBeMade()
	if len(permissions) == 0 {
		misbuilt(errors.New("Or: an alternative without permissions would let every token pass"))
	}
	g.need = append(slices.Clip(g.need), g.verifier.mustKnow(permissions))
	return g
}

// InPath protects a route of one workspace, whose id is the request's path
// value of the given name (http.Request.PathValue). It must be the token's own
// workspace, unless the token meets the guard with permissions that reach
// every workspace (scope.Admin in Config.Permissions). Otherwise, and for an
// empty id, the answer is 404, as if there were no such workspace.
//
// net/http and chi set path values. Other routers keep them to themselves: use
// InFunc or Check there, as examples/mounting does. The first request without a
// workspace is logged, whichever of them is used.
func (g Guard) InPath(name string) func(http.Handler) http.Handler {
	if name == "" {
		misbuilt(errors.New("InPath: the name of the path value is empty"))
	}
	g.pathValue, g.unnamed = name, new(sync.Once)
	return g.InFunc(func(r *http.Request) string { return r.PathValue(name) })
}

// InFunc is InPath with a function that finds the workspace's id. It returns ""
// if there is none, which refuses the request. It is called when the token and
// its permissions have been checked.
func (g Guard) InFunc(workspace func(*http.Request) string) func(http.Handler) http.Handler {
	if workspace == nil {
		misbuilt(errors.New("InFunc: the function is nil"))
	}
	return g.middleware(workspace)
}

// AnyWorkspace protects a route that belongs to no workspace, or whose handler
// looks at Principal.Workspace itself.
func (g Guard) AnyWorkspace() func(http.Handler) http.Handler { return g.middleware(nil) }

// middleware makes the guard's middleware. A nil workspace is a route that belongs to
// none.
func (g Guard) middleware(workspace func(*http.Request) string) func(http.Handler) http.Handler {
	g.mustBeMade()
	return func(next http.Handler) http.Handler {
		if next == nil {
			misbuilt(errors.New("the handler is nil"))
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

// Check is the guard of a route of one workspace on any router: it reports
// whether the request may go on. If so, the handler is to get the request that
// Check returns, which carries the principal. If not, the answer has been
// written, the request returned is nil, and nobody may handle it any further.
// workspace is what InPath takes from the path; an empty one is refused.
func (g Guard) Check(w http.ResponseWriter, r *http.Request, workspace string) (*http.Request, bool) {
	return g.check(w, r, func() string { return workspace })
}

// CheckAny is Check for a route that belongs to no workspace, or whose handler
// looks at Principal.Workspace itself.
func (g Guard) CheckAny(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	return g.check(w, r, nil)
}

func (g Guard) check(w http.ResponseWriter, r *http.Request, workspace func() string) (*http.Request, bool) {
	if g.verifier == nil {
		(&answer.Refusal{Kind: answer.Failed, Detail: "This route is misconfigured. Tell whoever runs this service."}).WriteOAuth(w)
		return nil, false
	}
	var principal *Principal
	credential, err := Credential(r.Header)
	if err == nil {
		principal, err = g.verifier.authorize(r.Context(), credential, g, workspace)
	}
	if err != nil {
		g.verifier.refuse(w, r, err)
		return nil, false
	}
	return r.WithContext(WithPrincipal(r.Context(), principal)), true
}

// mustKnow checks the names that a guard is given.
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
				err = fmt.Errorf("permission %q: a token holds no wildcards, so a guard cannot ask for one", name)
			}
		}
	}
	if err != nil {
		misbuilt(err)
	}
	return set
}

func (g Guard) mustBeMade() {
	if g.verifier == nil {
		misbuilt(errors.New("it was not made by Require"))
	}
}

// misbuilt panics, for what a programmer wrote.
func misbuilt(err error) {
	panic(fmt.Errorf("bearer: a route's guard: %w", err)) //nolint:forbidigo // Guard says so: it is for what a programmer wrote
}
