package oauthtest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
)

// projects is a handler that relies on its guard.
var projects = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "website, pipeline") })

// guarded is a correctly guarded route.
func guarded(auth *oauthtest.Server) http.Handler {
	return auth.Server().Require("project.list").InPath("workspace")(projects)
}

// withFault returns a guarded route with a fault: if the guard's answer matches, another
// handler runs instead.
func withFault(is func(r *http.Request, right *httptest.ResponseRecorder) bool, instead http.HandlerFunc) func(*oauthtest.Server) http.Handler {
	return func(auth *oauthtest.Server) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			right := httptest.NewRecorder()
			guarded(auth).ServeHTTP(right, r)
			if is(r, right) {
				instead(w, r)
				return
			}
			repeat(w, right)
		})
	}
}

// saying matches answers of the guard that contain a text.
func saying(text string) func(*http.Request, *httptest.ResponseRecorder) bool {
	return func(_ *http.Request, right *httptest.ResponseRecorder) bool {
		return strings.Contains(right.Body.String(), text)
	}
}

func repeat(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// TestCheckGuardFindsFaults: for each check of CheckGuard there is a fault that only this
// check finds, so that the test fails if a check is removed.
func TestCheckGuardFindsFaults(t *testing.T) {
	list := []string{"project.list"}
	const lacks = "a token without project.list (it holds admin.project.list, billing.read, project.read)"
	require := func(permissions ...string) func(auth *oauthtest.Server) http.Handler {
		return func(auth *oauthtest.Server) http.Handler {
			return auth.Server().Require(permissions...).InPath("workspace")(projects)
		}
	}
	for _, c := range []struct {
		name  string
		need  []string // project.list unless given
		or    [][]string
		api   func(*oauthtest.Server) http.Handler
		finds []string // beginnings of what is found, in order
	}{
		{name: "no guard", api: func(*oauthtest.Server) http.Handler { return projects }, finds: []string{
			"accepted a request without a token: 200 instead of 401",
			"accepted a text that is no token: 200 instead of 401",
			"accepted a token in the query: 200 instead of 401",
			"accepted an unsigned token: 200 instead of 401",
			"accepted a token signed with another key: 200 instead of 401",
			"accepted an expired token: 200 instead of 401",
			"accepted a token of another issuer: 200 instead of 401",
			"accepted a token for another audience: 200 instead of 401",
			"accepted a secret: 200 instead of 401",
			"accepted " + lacks + ": 200 instead of 403",
			"accepted a token of another workspace: 200 instead of 404",
			"accepted a token whose key was disabled: 200 instead of 401",
		}},
		{name: "no guard, and a handler that needs a principal",
			api: func(*oauthtest.Server) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					p, _ := bearer.PrincipalFrom(r.Context())
					_, _ = io.WriteString(w, p.Workspace)
				})
			},
			finds: slices.Repeat([]string{"panicked at a"}, 12)},
		{name: "no token", api: withFault(func(r *http.Request, _ *httptest.ResponseRecorder) bool {
			return r.Header.Get("Authorization") == "" && r.URL.RawQuery == ""
		}, projects), finds: []string{"accepted a request without a token"}},
		{name: "any text", api: withFault(func(r *http.Request, _ *httptest.ResponseRecorder) bool {
			return r.Header.Get("Authorization") != "" && !strings.Contains(r.Header.Get("Authorization"), ".")
		}, projects), finds: []string{"accepted a text that is no token", "accepted a secret"}},
		{name: "the query", api: func(auth *oauthtest.Server) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if token := r.URL.Query().Get("access_token"); token != "" {
					r.Header.Set("Authorization", "Bearer "+token)
				}
				guarded(auth).ServeHTTP(w, r)
			})
		}, finds: []string{"accepted a token in the query"}},
		{name: "algorithm none", api: withFault(func(r *http.Request, right *httptest.ResponseRecorder) bool {
			return saying("not a JWT access token of the supported form")(r, right) && strings.Contains(r.Header.Get("Authorization"), ".")
		}, projects), finds: []string{"accepted an unsigned token"}},
		{name: "signatures", api: withFault(saying("signature does not match"), projects), finds: []string{"accepted a token signed with another key"}},
		{name: "expiry", api: withFault(saying("has expired"), projects), finds: []string{"accepted an expired token"}},
		{name: "issuer", api: withFault(saying("another issuer"), projects), finds: []string{"accepted a token of another issuer"}},
		{name: "audience", api: withFault(saying("another audience"), projects), finds: []string{"accepted a token for another audience"}},
		{name: "permissions", api: require(), finds: []string{"accepted " + lacks}},
		{name: "another permission", api: require("project.read"),
			finds: []string{"accepted " + lacks, "refused a good token, with 403 (it holds project.list in workspace team-a): {"}},
		{name: "more than the route's permission", api: require("project.list", "project.read"),
			finds: []string{"refused a good token, with 403"}},
		{name: "one of two", need: []string{"project.list", "project.read"}, api: guarded,
			finds: []string{"accepted a token without project.read (it holds project.list, admin.project.list, billing.read): 200"}},
		{name: "any of two instead of both", need: []string{"project.list", "project.read"},
			api: func(auth *oauthtest.Server) http.Handler {
				return auth.Server().Require("project.list").Or("project.read").InPath("workspace")(projects)
			},
			finds: []string{"accepted a token without project.list", "accepted a token without project.read"}},
		{name: "an alternative too many", api: func(auth *oauthtest.Server) http.Handler {
			return auth.Server().Require("project.list").Or("billing.read").InPath("workspace")(projects)
		}, finds: []string{"accepted " + lacks}},
		{name: "an alternative too few", or: [][]string{{"billing.read"}}, api: guarded,
			finds: []string{"refused a good token, with 403 (it holds billing.read in workspace team-a)"}},
		{name: "an alternative by half", or: [][]string{{"billing.read", "project.read"}}, api: func(auth *oauthtest.Server) http.Handler {
			return auth.Server().Require("project.list").Or("billing.read").InPath("workspace")(projects)
		}, finds: []string{"accepted a token without project.read (it holds billing.read, admin.project.list)"}},
		{name: "workspace", api: func(auth *oauthtest.Server) http.Handler {
			return auth.Server().Require("project.list").AnyWorkspace()(projects)
		}, finds: []string{"accepted a token of another workspace: 200 instead of 404"}},
		{name: "another path value", api: func(auth *oauthtest.Server) http.Handler {
			return auth.Server().Require("project.list").InPath("team")(projects)
		}, finds: []string{"refused a good token, with 404"}},
		{name: "misspelt", api: func(auth *oauthtest.Server) http.Handler {
			// As from a map of guards by route, with a misspelt route.
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { bearer.Guard{}.Check(w, r, "team-a") })
		}, finds: append(slices.Repeat([]string{"answered a"}, 11), "refused a good token, with 500")},
		{name: "revoked", api: withFault(saying("was revoked"), projects), finds: []string{"accepted a token whose key was disabled"}},
		{name: "a token that was accepted once is accepted again", api: func(auth *oauthtest.Server) http.Handler {
			seen := make(map[string]bool)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer := httptest.NewRecorder()
				if guarded(auth).ServeHTTP(answer, r); answer.Code == http.StatusOK || seen[r.Header.Get("Authorization")] {
					seen[r.Header.Get("Authorization")] = true
					projects(w, r)
					return
				}
				repeat(w, answer)
			})
		}, finds: []string{"accepted a token whose key was disabled"}},
		{name: "the handler runs after a refusal", api: func(auth *oauthtest.Server) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				answer := httptest.NewRecorder()
				guarded(auth).ServeHTTP(answer, r)
				if repeat(w, answer); answer.Code == http.StatusNotFound || strings.Contains(answer.Body.String(), "was revoked") {
					projects(w, r)
				}
			})
		}, finds: []string{
			"answered a token of another workspace with 404 and the body that a good token gets",
			"answered a token whose key was disabled with 401 and the body that a good token gets",
		}},
		{name: "no challenge", api: withFault(saying("has expired"), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
		}), finds: []string{"refused an expired token without a Bearer challenge"}},
		{name: "another refusal", api: withFault(saying("has expired"), func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
		}), finds: []string{"answered an expired token with 403 instead of 401"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.need == nil {
				c.need = list
			}
			checkFindings(t, c.finds, oauthtest.Route{
				Request:   httptest.NewRequest(http.MethodGet, "/workspaces/team-a/projects", nil),
				Workspace: "team-a", Permissions: c.need, Or: c.or,
			}, c.api)
		})
	}
}

// checkFindings runs CheckGuard on a route and compares what it reports.
func checkFindings(t *testing.T, want []string, route oauthtest.Route, api func(*oauthtest.Server) http.Handler) {
	t.Helper()
	n := play(func(tb testing.TB) {
		auth := oauthtest.New(tb, "project.list", "project.read", "billing.read", "admin.project.list")
		mux := http.NewServeMux()
		mux.Handle("/workspaces/{workspace}/projects", api(auth))
		auth.CheckGuard(tb, mux, route)
	})
	require.Len(t, n.reports, len(want), "%s", strings.Join(n.reports, "\n"))
	for i := range want {
		require.Contains(t, n.reports[i], route.Request.Method+" /workspaces/team-a/projects "+want[i])
	}
}

func TestCheckGuardPassesRightGuards(t *testing.T) {
	get := httptest.NewRequest(http.MethodGet, "/workspaces/team-a/projects", nil)
	for _, c := range []struct {
		name  string
		route oauthtest.Route
		api   func(*oauthtest.Server) http.Handler
	}{
		{"one permission", oauthtest.Route{Workspace: "team-a", Permissions: []string{"project.list"}}, guarded},
		{"two permissions", oauthtest.Route{Workspace: "team-a", Permissions: []string{"project.list", "project.read"}},
			func(auth *oauthtest.Server) http.Handler {
				return auth.Server().Require("project.list", "project.read").InPath("workspace")(projects)
			}},
		{"alternatives, one of which reaches every workspace",
			oauthtest.Route{Workspace: "team-a", Permissions: []string{"project.list"}, Or: [][]string{{"admin.project.list"}, {"project.list", "project.read"}}},
			func(auth *oauthtest.Server) http.Handler {
				return auth.Server().Require("project.list").Or("admin.project.list").Or("project.list", "project.read").InPath("workspace")(projects)
			}},
		{"only what reaches every workspace", oauthtest.Route{Workspace: "team-a", Permissions: []string{"admin.project.list"}},
			func(auth *oauthtest.Server) http.Handler {
				return auth.Server().Require("admin.project.list").InPath("workspace")(projects)
			}},
		{"no permission", oauthtest.Route{Workspace: "team-a"},
			func(auth *oauthtest.Server) http.Handler {
				return auth.Server().Require().InPath("workspace")(projects)
			}},
		{"no workspace", oauthtest.Route{Permissions: []string{"project.list"}},
			func(auth *oauthtest.Server) http.Handler {
				return auth.Server().Require("project.list").AnyWorkspace()(projects)
			}},
		{"403 for another workspace", oauthtest.Route{Workspace: "team-a", Permissions: []string{"project.list"}},
			withFault(func(_ *http.Request, right *httptest.ResponseRecorder) bool { return right.Code == http.StatusNotFound },
				func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })},
		{"a resource server without epochs", oauthtest.Route{Workspace: "team-a", Permissions: []string{"project.list"}, UntilExpiry: true},
			withFault(saying("was revoked"), projects)},
		{"an empty answer", oauthtest.Route{Workspace: "team-a", Permissions: []string{"project.list"}},
			func(auth *oauthtest.Server) http.Handler {
				return auth.Server().Require("project.list").InPath("workspace")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.route.Request = get
			checkFindings(t, nil, c.route, c.api)
		})
	}
}

func TestCheckGuardSendsTheRequest(t *testing.T) {
	var bodies, leftovers []string
	record := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, r.Method+" "+r.Header.Get("Content-Type")+" "+string(body))
		leftovers = append(leftovers, r.URL.RawQuery)
	})
	post := httptest.NewRequest(http.MethodPost, "/workspaces/team-a/projects?page=2", strings.NewReader(`{"name":"website"}`))
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Authorization", "Bearer of something else")
	route := oauthtest.Route{Request: post, Workspace: "team-a", Permissions: []string{"project.list"}, Or: [][]string{{"admin.project.list"}}}
	for range 2 { // a Route can be used again
		checkFindings(t, nil, route, func(auth *oauthtest.Server) http.Handler {
			return auth.Server().Require("project.list").Or("admin.project.list").InPath("workspace")(record)
		})
	}
	require.Equal(t, slices.Repeat([]string{`POST application/json {"name":"website"}`}, 4), bodies, "once for each alternative and run")
	require.Equal(t, slices.Repeat([]string{"page=2"}, 4), leftovers)
	require.Equal(t, "Bearer of something else", post.Header.Get("Authorization"))
}

// TestCheckGuardLargeCatalog: the other permissions do not fit into one token, but all of
// them are tried.
func TestCheckGuardLargeCatalog(t *testing.T) {
	names := []string{"project.list"}
	for i := range 400 {
		names = append(names, "some.rather.long.permission."+strings.Repeat("x", i%5)+"."+string(rune('a'+i%26))+strings.Repeat("y", i/26))
	}
	n := play(func(tb testing.TB) {
		auth := oauthtest.New(tb, names...)
		last := auth.Server().APIKeys().Catalog().All().Names()[400]
		auth.CheckGuard(tb, auth.Server().Require("project.list").Or(last).AnyWorkspace()(projects), oauthtest.Route{
			Request: httptest.NewRequest(http.MethodGet, "/", nil), Permissions: []string{"project.list"},
		})
	})
	require.Len(t, n.reports, 1)
	require.Contains(t, n.reports[0], "GET / accepted a token without project.list")
}

func TestCheckGuardMisuse(t *testing.T) {
	get := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range []struct {
		name    string
		handler http.Handler
		route   oauthtest.Route
		want    string
	}{
		{"no handler", nil, oauthtest.Route{Request: get}, "the handler and Route.Request are required"},
		{"no request", projects, oauthtest.Route{}, "the handler and Route.Request are required"},
		{"unknown permission", projects, oauthtest.Route{Request: get, Permissions: []string{"project.lsit"}}, "unknown permission: project.lsit"},
		{"no permission's form", projects, oauthtest.Route{Request: get, Permissions: []string{"a b"}}, `permissions ["a b"]`},
		{"empty alternative", projects, oauthtest.Route{Request: get, Permissions: []string{"project.list"}, Or: [][]string{{}}}, "would accept every token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := play(func(tb testing.TB) { oauthtest.New(tb, "project.list").CheckGuard(tb, c.handler, c.route) })
			require.Len(t, n.reports, 1)
			require.Contains(t, n.reports[0], "oauthtest: CheckGuard: ")
			require.Contains(t, n.reports[0], c.want)
		})
	}
}
