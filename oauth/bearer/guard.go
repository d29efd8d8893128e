package bearer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/scope"
)

// Guard says which permissions a route asks for. It lets nothing pass before
// it is told the route's workspace too: InPath, InFunc or AnyWorkspace makes the
// middleware.
//
// A guard that was put together wrongly (a permission that is malformed or
// not in the catalog, Or without permissions, an empty path value, a nil
// function or handler, the zero Guard) answers every request with 500 and
// logs what is wrong, once, when the middleware is made.
//
// A Guard is an immutable value.
type Guard struct {
	verifier *Verifier
	need     scope.Requirement
	fault    error
}

// Require asks for all of the permissions. Without any, every valid token
// will do.
func (v *Verifier) Require(permissions ...string) Guard {
	if v == nil {
		return Guard{}
	}
	set, err := v.permissions(permissions)
	return Guard{verifier: v, need: scope.AllOf(set), fault: err}
}

// Or adds an alternative: the guard also lets a token pass that holds all of
// these.
func (g Guard) Or(permissions ...string) Guard {
	if g.verifier == nil {
		return g
	}
	set, err := g.verifier.permissions(permissions)
	if len(permissions) == 0 {
		err = errors.New("Or: an alternative without permissions would let every token pass")
	}
	g.need = scope.AnyOf(g.need, scope.AllOf(set))
	g.fault = errors.Join(g.fault, err)
	return g
}

// InPath protects a route of one workspace, whose id is the request's path value
// of the given name (http.Request.PathValue). It must be the token's own
// workspace, unless the token meets the guard with permissions that reach
// every workspace (scope.Admin in Config.Permissions). Otherwise, and for an
// empty id, the answer is 404, as if there were no such workspace.
//
// net/http and chi set path values. Gin and Echo keep them to themselves: hand
// the value on with http.Request.SetPathValue in front of the guard, as
// examples/mounting does, or take InFunc. A missing path value is logged once.
func (g Guard) InPath(pathValue string) func(http.Handler) http.Handler {
	if pathValue == "" {
		g.fault = errors.Join(g.fault, errors.New("InPath: the name of the path value is empty"))
	}
	var missing sync.Once
	return g.middleware(func(r *http.Request) string {
		id := r.PathValue(pathValue)
		if id == "" {
			missing.Do(func() {
				g.verifier.log.Error("a request to a guarded route was refused because it has no path value: its router does not set it, or uses another name",
					"guard", g.need.String(), "path_value", pathValue)
			})
		}
		return id
	})
}

// InFunc is InPath with a function that finds the workspace's id. It returns ""
// if there is none, which refuses the request.
func (g Guard) InFunc(workspace func(*http.Request) string) func(http.Handler) http.Handler {
	if workspace == nil {
		g.fault = errors.Join(g.fault, errors.New("InFunc: the function is nil"))
	}
	return g.middleware(workspace)
}

// AnyWorkspace protects a route that belongs to no workspace, or whose handler
// looks at Principal.Workspace itself.
func (g Guard) AnyWorkspace() func(http.Handler) http.Handler { return g.middleware(nil) }

// middleware takes a nil workspace for a route outside of workspaces.
func (g Guard) middleware(workspace func(*http.Request) string) func(http.Handler) http.Handler {
	v, need := g.verifier, g.need
	if v == nil {
		return func(http.Handler) http.Handler { return misconfigured() }
	}
	if g.fault != nil {
		v.log.Error("a route's guard is misconfigured and refuses every request", "guard", need.String(), "error", g.fault)
		return func(http.Handler) http.Handler { return misconfigured() }
	}
	reach := need.Only(v.admin)
	return func(next http.Handler) http.Handler {
		if next == nil {
			v.log.Error("a route's guard is misconfigured and refuses every request", "guard", need.String(), "error", "the handler is nil")
			return misconfigured()
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, err := credential(r.Header)
			if err != nil {
				v.refuse(w, r, err)
				return
			}
			p, err := v.Verify(r.Context(), token)
			if err != nil {
				if malformed(token) {
					err = errMalformed
				}
				v.refuse(w, r, err)
				return
			}
			if !need.MetBy(p.Permissions) {
				v.forbid(w, need)
				return
			}
			if workspace != nil {
				id := workspace(r)
				// 404 and not 403: who may not enter a workspace does not
				// learn whether it is there.
				if id == "" || id != p.Workspace && !reach.MetBy(p.Permissions) {
					(&answer.Refusal{Kind: answer.OtherWorkspace}).WriteOAuth(w)
					return
				}
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, p)))
		})
	}
}

// permissions checks the names that a guard is given.
func (v *Verifier) permissions(names []string) (scope.Set, error) {
	set, err := scope.Of(names...)
	if err != nil {
		return scope.Set{}, fmt.Errorf("permissions %q: %w", names, err)
	}
	if v.catalog != nil {
		return set, v.catalog.Check(set)
	}
	for name := range set.All() {
		if strings.Contains(name, "*") {
			return set, fmt.Errorf("permission %q: a token holds no wildcards, so a guard cannot ask for one", name)
		}
	}
	return set, nil
}

func misconfigured() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		(&answer.Refusal{Kind: answer.Failed, Detail: "This route is misconfigured. Tell whoever runs this service."}).WriteOAuth(w)
	})
}
