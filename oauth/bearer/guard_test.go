package bearer_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
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
	t.Run("InFunc calls its function only after token and permissions were checked", func(t *testing.T) {
		asked := 0
		route := newRoute("GET /{$}", list.InFunc(func(*http.Request) string { asked++; return "team-a" }))
		for scope, want := range map[string]int{"": 403, "project.list": 204} {
			require.Equal(t, want, route.get("/", "Bearer "+w.token(holding(scope))).Code)
		}
		require.Equal(t, 401, route.get("/").Code)
		require.Equal(t, 1, asked)
	})
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

// TestMisusedGuards: a mistake in the program panics when the guard is built.
func TestMisusedGuards(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	list := v.Require("project.list")
	w.config.Permissions = nil
	free := w.verifier() // without a catalog
	for _, test := range []struct {
		name  string
		build func()
		says  string
	}{
		{"permission not in the catalog", func() { v.Require("project.lst") }, "unknown permission: project.lst"},
		{"permission not in the catalog, in Or", func() { list.Or("project.lst") }, "unknown permission: project.lst"},
		{"malformed permission", func() { v.Require("project list") }, `permissions ["project list"]`},
		{"empty permission", func() { v.Require("") }, `permissions [""]`},
		{"malformed permission, in Or", func() { list.Or("project list") }, `permissions ["project list"]`},
		{"wildcard", func() { v.Require("project.*") }, "unknown permission: project.*"},
		{"malformed permission, without a catalog", func() { free.Require("project list") }, `permissions ["project list"]`},
		{"wildcard, without a catalog", func() { free.Require("project.list", "project.*") }, `permission "project.*": a guard cannot require a wildcard`},
		{"Or without permissions", func() { list.Or() }, "Or: an alternative without permissions"},
		{"empty path value", func() { list.InPath("") }, "InPath: the name of the path value is empty"},
		{"nil function", func() { list.InFunc(nil) }, "InFunc: the function is nil"},
		{"nil handler", func() { list.AnyWorkspace()(nil) }, "the handler is nil"},
		{"zero guard", func() { bearer.Guard{}.AnyWorkspace() }, "not made by Verifier.Require"},
		{"zero guard in a path", func() { bearer.Guard{}.InPath("workspace") }, "not made by Verifier.Require"},
		{"zero guard with Or", func() { bearer.Guard{}.Or("project.list") }, "not made by Verifier.Require"},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				err, _ := recover().(error)
				require.ErrorContains(t, err, test.says)
				require.ErrorContains(t, err, "bearer: a route's guard: ")
			}()
			test.build()
		})
	}
	require.NotPanics(t, func() { free.Require("project.lst") }, "without a catalog a guard may name any permission")
	t.Run("the zero guard lets nothing pass", func(t *testing.T) {
		var guard bearer.Guard
		for _, check := range []func(http.ResponseWriter, *http.Request) (*http.Request, bool){
			guard.CheckAny,
			func(w http.ResponseWriter, r *http.Request) (*http.Request, bool) { return guard.Check(w, r, "team-a") },
		} {
			answer := httptest.NewRecorder()
			r := harness.Incoming(http.MethodGet, "/", "", "Authorization", "Bearer "+w.token())
			checked, ok := check(answer, r)
			require.False(t, ok)
			require.Nil(t, checked)
			requireRefusal(t, answer, 500, "server_error")
		}
		p, err := v.Authorize(t.Context(), w.token(), guard, "team-a")
		require.ErrorContains(t, err, "not made by this verifier's Require")
		require.Nil(t, p)
		_, err = v.AuthorizeAny(t.Context(), w.token(), guard)
		require.ErrorContains(t, err, "not made by this verifier's Require")
		_, err = v.Authorize(t.Context(), w.token(), free.Require(), "team-a")
		require.ErrorContains(t, err, "not made by this verifier's Require", "the other verifier's catalog decides what reaches every workspace")
	})
}

// TestMissingPathValue: if a router does not set path values, or the name is
// misspelled, the log says why the answer is 404.
func TestMissingPathValue(t *testing.T) {
	w := newWorld(t)
	route := newRoute("GET /projects", w.verifier().Require("project.list").InPath("workspace"))
	requireRefusal(t, route.get("/projects"), 401, "unauthorized")
	require.Empty(t, w.log.String(), "a request without a token writes no log")
	for range 3 {
		requireRefusal(t, route.get("/projects", "Bearer "+w.token()), 404, "not_found")
	}
	require.Zero(t, route.ran)
	require.Equal(t, 1, strings.Count(w.log.String(), "path_value=workspace"), w.log.String())

	guard := w.verifier().Require("project.list")
	second := newRoute("GET /invoices", guard.InPath("space"))
	for range 3 {
		second.get("/invoices", "Bearer "+w.token())
		checked, ok := guard.Check(httptest.NewRecorder(), harness.Incoming(http.MethodGet, "/", "", "Authorization", "Bearer "+w.token()), "")
		require.False(t, ok)
		require.Nil(t, checked)
	}
	require.Equal(t, 1, strings.Count(w.log.String(), "path_value=space"), w.log.String())
	require.Equal(t, 1, strings.Count(w.log.String(), `path_value=""`), w.log.String())
	require.Contains(t, w.log.String(), "guard=[project.list]")
}

// TestAlternatives: a token must hold all permissions of one alternative. It
// reaches every workspace only by an alternative of admin permissions alone.
func TestAlternatives(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	for _, c := range []struct {
		name       string
		guard      bearer.Guard
		met, unmet []string // in the token's own workspace
		reaches    []string // another one, too
		hint       string
	}{
		{name: "nothing", guard: v.Require(), met: []string{"", "project.list", "admin.project.list"}},
		{name: "one", guard: v.Require("project.list"), met: []string{"project.list", "project.list project.save"},
			unmet: []string{"", "project.save", "project.List", "project", "project.list.all", "admin.project.list"}, hint: "project.list"},
		{name: "all", guard: v.Require("project.save", "project.list"), met: []string{"project.list project.save", "keys.list project.list project.save"},
			unmet: []string{"", "project.list", "project.save", "keys.list project.list"}, hint: "project.list project.save"},
		{name: "any", guard: v.Require("project.save").Or("project.list", "keys.list"), met: []string{"project.save", "keys.list project.list", "project.list project.save"},
			unmet: []string{"", "project.list", "keys.list"}, hint: "project.save"},
		{name: "any, one of which asks for nothing", guard: v.Require().Or("project.list"), met: []string{"", "project.list", "keys.list"}},
		{name: "of three", guard: v.Require("project.list").Or("project.save").Or("keys.list", "keys.save"), met: []string{"project.list", "project.save", "keys.list keys.save"},
			unmet: []string{"", "keys.list", "keys.save"}, hint: "project.list"},
		{name: "B21 a held wildcard opens nothing", guard: v.Require("project.list"), unmet: []string{"*", "project.*", "*.list"}, hint: "project.list"},
		{name: "B20 of the admin level", guard: v.Require("admin.project.list"), met: []string{"admin.project.list"}, unmet: []string{"project.list"},
			reaches: []string{"admin.project.list", "admin.project.list project.list"}, hint: "admin.project.list"},
		{name: "B20 partly of the admin level", guard: v.Require("admin.project.list", "project.list"), met: []string{"admin.project.list project.list"},
			unmet: []string{"admin.project.list"}, hint: "admin.project.list project.list"},
		{name: "B20 one of two of the admin level", guard: v.Require("project.list").Or("admin.project.list"), met: []string{"project.list", "admin.project.list"},
			reaches: []string{"admin.project.list", "admin.project.list project.list"}, hint: "project.list"},
		{name: "B20 the first of two of the admin level", guard: v.Require("admin.project.list").Or("project.list"), met: []string{"project.list"},
			reaches: []string{"admin.project.list"}, hint: "admin.project.list"},
		{name: "B20 nothing, or of the admin level", guard: v.Require().Or("admin.project.list"), met: []string{""}, reaches: []string{"admin.project.list"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ask := func(held, workspace string) error {
				_, err := v.Authorize(t.Context(), w.token(func(c *jose.Claims) { c.Scope = held }), c.guard, workspace)
				return err
			}
			for _, held := range c.met {
				require.NoError(t, ask(held, "team-a"), held)
				if !slices.Contains(c.reaches, held) {
					require.ErrorIs(t, ask(held, "team-b"), bearer.ErrNotFound, held)
				}
			}
			for _, held := range c.reaches {
				require.NoError(t, ask(held, "team-a"), held)
				require.NoError(t, ask(held, "team-b"), held)
			}
			for _, held := range c.unmet {
				for _, workspace := range []string{"team-a", "team-b"} {
					require.ErrorIs(t, ask(held, workspace), bearer.ErrForbidden, held)
				}
				answer := newRoute("GET /{$}", c.guard.AnyWorkspace()).get("/", "Bearer "+w.token(func(c *jose.Claims) { c.Scope = held }))
				require.Contains(t, answer.Header().Get("WWW-Authenticate"), `scope="`+c.hint+`"`)
			}
		})
	}
}

func TestGuardsAreValues(t *testing.T) {
	w := newWorld(t)
	v := w.verifier()
	// A slice that grew to three alternatives has capacity for a fourth.
	base := v.Require("admin.project.list").Or("admin.keys.list").Or("admin.keys.save")
	first := base.Or("admin.keys.delete")
	second := base.Or("project.list", "project.save")
	third := base.Or("admin.keys.delete", "keys.list")
	fourth := base.Or("admin.keys.delete", "admin.project.list")
	for _, c := range []struct {
		name            string
		guard           bearer.Guard
		held, workspace string
		want            error
	}{
		{"what Or was called on", base, "admin.keys.delete", "team-a", bearer.ErrForbidden},
		{"the first", first, "admin.keys.delete", "team-a", nil},
		{"the first, in another workspace", first, "admin.keys.delete", "team-b", nil},
		{"the first, by what the second adds", first, "project.list project.save", "team-a", bearer.ErrForbidden},
		{"the second", second, "project.list project.save", "team-a", nil},
		{"the second, in another workspace", second, "project.list project.save", "team-b", bearer.ErrNotFound},
		{"the third, by half of what it adds", third, "admin.keys.delete", "team-a", bearer.ErrForbidden},
		{"the fourth, by half of what it adds", fourth, "admin.keys.delete", "team-a", bearer.ErrForbidden},
	} {
		_, err := v.Authorize(t.Context(), w.token(func(claims *jose.Claims) { claims.Scope = c.held }), c.guard, c.workspace)
		require.ErrorIs(t, err, c.want, c.name)
	}
}
