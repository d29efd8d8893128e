package bearer_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

func TestWorkspaces(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	holding := func(scope string) func(*jose.Claims) { return func(c *jose.Claims) { c.Scope = scope } }
	list := v.Require("project.list")
	either := list.Or("admin.project.list")
	query := func(r *http.Request) string { return r.Header.Get("X-Workspace") }
	const pattern = "GET /workspaces/{workspace}"
	tests := []struct {
		name    string
		pattern string
		guard   func(http.Handler) http.Handler
		path    string
		scope   string
		status  int
	}{
		{"own", pattern, list.InPath("workspace"), "/workspaces/team-a", "project.list", 204},
		{"B20 foreign", pattern, list.InPath("workspace"), "/workspaces/team-b", "project.list", 404},
		{"B20 foreign, an admin permission the guard does not ask for", pattern, list.InPath("workspace"), "/workspaces/team-b", "admin.project.list project.list", 404},
		{"B20 foreign, case", pattern, list.InPath("workspace"), "/workspaces/Team-A", "project.list", 404},
		{"B20 foreign, prefix", pattern, list.InPath("workspace"), "/workspaces/team-a2", "project.list", 404},
		{"B20 foreign, encoded", pattern, list.InPath("workspace"), "/workspaces/team-a%00", "project.list", 404},
		{"own, encoded", pattern, list.InPath("workspace"), "/workspaces/team%2Da", "project.list", 204},
		{"foreign without the permission", pattern, list.InPath("workspace"), "/workspaces/team-b", "project.save", 403},
		{"either: own", pattern, either.InPath("workspace"), "/workspaces/team-a", "project.list", 204},
		{"B20 either: foreign by workspace permission", pattern, either.InPath("workspace"), "/workspaces/team-b", "project.list", 404},
		{"either: foreign by admin permission", pattern, either.InPath("workspace"), "/workspaces/team-b", "admin.project.list", 204},
		{"either: foreign by both", pattern, either.InPath("workspace"), "/workspaces/team-b", "admin.project.list project.list", 204},
		{"both asked for: an alternative that is partly admin reaches no further", pattern,
			v.Require("project.list", "admin.project.list").InPath("workspace"), "/workspaces/team-b", "admin.project.list project.list", 404},
		{"no permission: own", pattern, v.Require().InPath("workspace"), "/workspaces/team-a", "", 204},
		{"B20 no permission: foreign, whatever the token holds", pattern, v.Require().InPath("workspace"), "/workspaces/team-b", "admin.project.list", 404},
		{"B20 a path value that the pattern lacks", "GET /projects", list.InPath("workspace"), "/projects", "project.list", 404},
		{"B20 a path value that the pattern lacks, for an admin", "GET /projects", either.InPath("workspace"), "/projects", "admin.project.list", 404},
		{"InFunc: own", "GET /{$}", list.InFunc(func(*http.Request) string { return "team-a" }), "/", "project.list", 204},
		{"B20 InFunc: foreign", "GET /{$}", list.InFunc(func(*http.Request) string { return "team-b" }), "/", "project.list", 404},
		{"B20 InFunc: empty", "GET /{$}", list.InFunc(query), "/", "project.list", 404},
		{"AnyWorkspace", "GET /{$}", list.AnyWorkspace(), "/", "project.list", 204},
		{"AnyWorkspace without the permission", "GET /{$}", list.AnyWorkspace(), "/", "", 403},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			route := newRoute(test.pattern, test.guard)
			answer := route.get(test.path, "Bearer "+w.token(holding(test.scope)))
			require.Equal(t, test.status, answer.Code, answer.Body.String())
			require.Equal(t, test.status == 204, route.ran == 1)
			if test.status == 404 {
				requireRefusal(t, answer, 404, "not_found")
				require.Empty(t, answer.Header().Get("WWW-Authenticate"))
			}
		})
	}
	t.Run("without a catalog no permission reaches further", func(t *testing.T) {
		w.config.Permissions = nil
		guard := w.verifier().Require("admin.project.list").InPath("workspace")
		answer := newRoute(pattern, guard).get("/workspaces/team-b", "Bearer "+w.token(holding("admin.project.list")))
		require.Equal(t, 404, answer.Code)
	})
	t.Run("6750-04 the challenge names the first alternative", func(t *testing.T) {
		answer := newRoute("GET /{$}", either.AnyWorkspace()).get("/", "Bearer "+w.token(holding("")))
		require.Equal(t, 403, answer.Code)
		require.Contains(t, answer.Header().Get("WWW-Authenticate"), `scope="project.list"`)
	})
}

func TestMisconfiguredGuards(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	tests := []struct {
		name  string
		guard func(http.Handler) http.Handler
		says  string
	}{
		{"permission not in the catalog", v.Require("project.lst").AnyWorkspace(), "project.lst"},
		{"permission not in the catalog, in Or", v.Require("project.list").Or("project.lst").AnyWorkspace(), "project.lst"},
		{"malformed permission", v.Require("project list").AnyWorkspace(), "permissions"},
		{"empty permission", v.Require("").AnyWorkspace(), "permissions"},
		{"wildcard", v.Require("project.*").AnyWorkspace(), "project.*"},
		{"Or without permissions", v.Require("project.list").Or().AnyWorkspace(), "Or"},
		{"empty path value", v.Require("project.list").InPath(""), "path value"},
		{"nil function", v.Require("project.list").InFunc(nil), "nil"},
		{"zero guard", bearer.Guard{}.AnyWorkspace(), ""},
		{"zero guard with Or", bearer.Guard{}.Or("project.list").InPath("workspace"), ""},
		{"nil verifier", (*bearer.Verifier)(nil).Require("project.list").AnyWorkspace(), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Contains(t, w.log.String(), test.says)
			before := w.log.String()
			route := newRoute("GET /{$}", test.guard)
			for _, authorization := range []string{"Bearer " + w.token(), ""} {
				requireRefusal(t, route.get("/", authorization), 500, "server_error")
			}
			require.Zero(t, route.ran)
			require.Equal(t, before, w.log.String(), "said once, when the guard was made")
		})
	}
	t.Run("nil handler", func(t *testing.T) {
		answer := httptest.NewRecorder()
		v.Require("project.list").AnyWorkspace()(nil).ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
		require.Equal(t, 500, answer.Code)
	})
	t.Run("wildcard without a catalog", func(t *testing.T) {
		w.config.Permissions = nil
		requireRefusal(t, newRoute("GET /{$}", w.verifier().Require("project.*").AnyWorkspace()).get("/"), 500, "server_error")
	})
	require.Equal(t, 10, strings.Count(w.log.String(), "level=ERROR"))
}

// TestMissingPathValue: who mounts a guard on a router that keeps path values
// to itself finds the reason of its 404 in the log.
func TestMissingPathValue(t *testing.T) {
	w := newWorld(t)
	route := newRoute("GET /projects", w.verifier().Require("project.list").InPath("workspace"))
	requireRefusal(t, route.get("/projects"), 401, "unauthorized")
	require.Empty(t, w.log.String(), "who sends no token writes no log")
	for range 3 {
		requireRefusal(t, route.get("/projects", "Bearer "+w.token()), 404, "not_found")
	}
	require.Zero(t, route.ran)
	require.Equal(t, 1, strings.Count(w.log.String(), "path_value=workspace"), w.log.String())
}

func TestGuardsAreValues(t *testing.T) {
	w := newWorld(t)
	base := w.verifier().Require("project.list")
	_ = base.Or("project.save")
	route := newRoute("GET /{$}", base.AnyWorkspace())
	answer := route.get("/", "Bearer "+w.token(func(c *jose.Claims) { c.Scope = "project.save" }))
	require.Equal(t, 403, answer.Code, "Or returns another guard")
}
