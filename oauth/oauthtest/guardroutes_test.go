package oauthtest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
)

// signIn adds a session of the host to a request.
func signIn(r *http.Request) { r.AddCookie(&http.Cookie{Name: "session", Value: "ada"}) }

func hasSession(r *http.Request) bool {
	cookie, err := r.Cookie("session")
	return err == nil && cookie.Value == "ada"
}

// refusing is the host's middleware for sessions: without one it calls refuse.
func refusing(refuse, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler := refuse
		if hasSession(r) {
			handler = next
		}
		handler.ServeHTTP(w, r)
	})
}

func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

// byTokenOrSession is a route for keys and sessions, as bearer.Verifier.Carries describes it.
func byTokenOrSession(auth *oauthtest.Server, byKey, bySession http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := bySession
		if auth.Server().Carries(r) {
			next = byKey
		}
		next.ServeHTTP(w, r)
	})
}

// mixed is a right route whose session branch refuses in one of the allowed ways.
func mixed(refuse func() http.Handler) func(*oauthtest.Server) http.Handler {
	return func(auth *oauthtest.Server) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			byTokenOrSession(auth, guarded(auth), refusing(refuse(), projects)).ServeHTTP(w, r)
		})
	}
}

// sessionDecides is a mutant of a mixed route: if where is true for a refusal of the
// guard, the session decides instead.
func sessionDecides(where func(r *http.Request, refused *httptest.ResponseRecorder) bool) func(*oauthtest.Server) http.Handler {
	return func(auth *oauthtest.Server) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			guarded(auth).ServeHTTP(answer, r)
			if !auth.Server().Carries(r) || answer.Code >= 400 && where(r, answer) {
				refusing(status(http.StatusUnauthorized), projects).ServeHTTP(w, r)
				return
			}
			repeat(w, answer)
		})
	}
}

// redirectingHandler is a mutant of a mixed route: without a token it runs the handler,
// which redirects.
func redirectingHandler(to func(n int) string) func(*oauthtest.Server) http.Handler {
	return func(auth *oauthtest.Server) http.Handler {
		n := 0
		handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			n++
			w.Header().Set("Location", to(n))
			w.WriteHeader(http.StatusSeeOther)
		})
		return byTokenOrSession(auth, auth.Server().Require("project.list").InPath("workspace")(handler), handler)
	}
}

func TestCheckGuardOfMixedRoutes(t *testing.T) {
	route := oauthtest.Route{
		Request:   httptest.NewRequest(http.MethodGet, "/workspaces/team-a/projects", nil),
		Workspace: "team-a", Permissions: []string{"project.list"}, Session: signIn,
	}
	redirect := func() http.Handler { return http.RedirectHandler("/sign-in", http.StatusSeeOther) }
	for _, c := range []struct {
		name  string
		api   func(*oauthtest.Server) http.Handler
		finds []string
	}{
		{"right, 401 without a challenge", mixed(func() http.Handler { return status(http.StatusUnauthorized) }), nil},
		{"right, 403", mixed(func() http.Handler { return status(http.StatusForbidden) }), nil},
		{"right, a redirect", mixed(redirect), nil},
		{"right, the scheme alone decides", func(auth *oauthtest.Server) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next := refusing(status(http.StatusUnauthorized), projects)
				if r.Header.Get("Authorization") != "" {
					next = guarded(auth)
				}
				next.ServeHTTP(w, r)
			})
		}, nil},
		{"open without a session", func(auth *oauthtest.Server) http.Handler { return byTokenOrSession(auth, guarded(auth), projects) }, []string{
			"accepted a request without a token: 200 instead of 401",
			"accepted a token in the query: 200 instead of 401",
			"accepted a token of another issuer: 200 instead of 401",
		}},
		{"refuses a request without a session, and runs the handler", mixed(func() http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				projects.ServeHTTP(w, r)
			})
		}), []string{
			"answered a request without a token with 401 and the body that a good token gets",
			"answered a token in the query with 401 and the body that a good token gets",
			"answered a token of another issuer with 401 and the body that a good token gets",
		}},
		{"refuses a request without a session, and runs the handler for sessions", func(auth *oauthtest.Server) http.Handler {
			return byTokenOrSession(auth, guarded(auth), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !hasSession(r) {
					w.WriteHeader(http.StatusForbidden)
				}
				_, _ = io.WriteString(w, "the projects of ada")
			}))
		}, []string{
			"answered a request without a token with 403 and the body that a good token gets",
			"answered a token in the query with 403 and the body that a good token gets",
			"answered a token of another issuer with 403 and the body that a good token gets",
		}},
		{"a request without a session gets an outage", mixed(func() http.Handler { return status(http.StatusServiceUnavailable) }), []string{
			"answered a request without a token with 503", "answered a token in the query with 503", "answered a token of another issuer with 503",
		}},
		{"no session", func(auth *oauthtest.Server) http.Handler { return guarded(auth) }, []string{"refused a session, with 401"}},
		{"no session, a redirect", func(auth *oauthtest.Server) http.Handler { return byTokenOrSession(auth, guarded(auth), redirect()) },
			[]string{"refused a session, with 303"}},
		{"open, and every answer leads to a record of its own", redirectingHandler(func(n int) string { return fmt.Sprintf("/projects/%d", n) }), []string{
			"redirected a token in the query to /projects/2, but another request without a token to /projects/1",
			"redirected a token of another issuer to /projects/3, but another request without a token to /projects/1",
		}},
		{"open, and every answer leads to the same page", redirectingHandler(func(n int) string { return fmt.Sprintf("/projects?new=%d", n) }), []string{
			"refused a good token, with 303", "refused a session, with 303"}},
		{"a session lets every bad token pass", sessionDecides(func(*http.Request, *httptest.ResponseRecorder) bool { return true }), []string{
			"accepted a text that is no token beside a session: 200 instead of 401",
			"accepted an unsigned token beside a session: 200 instead of 401",
			"accepted a token signed with another key beside a session: 200 instead of 401",
			"accepted an expired token beside a session: 200 instead of 401",
			"accepted a token for another audience beside a session: 200 instead of 401",
			"accepted a secret beside a session: 200 instead of 401",
			"accepted a token without project.list (it holds admin.project.list, billing.read, project.read) beside a session: 200 instead of 403",
			"accepted a token of another workspace beside a session: 200 instead of 404",
			"accepted a token whose key was disabled beside a session: 200 instead of 401",
		}},
		{"a session lets a text that is no JWT pass", sessionDecides(func(r *http.Request, _ *httptest.ResponseRecorder) bool {
			return strings.Count(r.Header.Get("Authorization"), ".") != 2
		}), []string{"accepted a text that is no token beside a session", "accepted a secret beside a session"}},
		{"a session lets an expired token pass", sessionDecides(saying("has expired")), []string{"accepted an expired token beside a session"}},
		{"a session lets a revoked token pass", sessionDecides(saying("was revoked")), []string{"accepted a token whose key was disabled beside a session"}},
		{"a session replaces a missing permission", sessionDecides(func(_ *http.Request, refused *httptest.ResponseRecorder) bool { return refused.Code == 403 }),
			[]string{"accepted a token without project.list (it holds admin.project.list, billing.read, project.read) beside a session"}},
		{"a session lets a token of another workspace pass", sessionDecides(func(_ *http.Request, refused *httptest.ResponseRecorder) bool { return refused.Code == 404 }),
			[]string{"accepted a token of another workspace beside a session"}},
		{"no challenge for a bad token", withFault(saying("has expired"), status(http.StatusUnauthorized).ServeHTTP), []string{
			"refused an expired token beside a session without a Bearer challenge", "refused a session, with 401"}},
	} {
		t.Run(c.name, func(t *testing.T) { checkFindings(t, c.finds, route, c.api) })
	}
	t.Run("without Session a challenge is demanded", func(t *testing.T) {
		strict := route
		strict.Session = nil
		checkFindings(t, []string{
			"refused a request without a token without a Bearer challenge",
			"refused a token in the query without a Bearer challenge",
			"refused a token of another issuer without a Bearer challenge",
		}, strict, mixed(func() http.Handler { return status(http.StatusUnauthorized) }))
		checkFindings(t, []string{
			"accepted a request without a token: 303 instead of 401",
			"accepted a token in the query: 303 instead of 401",
			"accepted a token of another issuer: 303 instead of 401",
		}, strict, mixed(redirect))
	})
	t.Run("a host whose sessions are JWTs", func(t *testing.T) {
		const session = "Bearer e30.e30.c2ln" // without an issuer
		jwts := route
		jwts.Session = func(r *http.Request) { r.Header.Set("Authorization", session) }
		checkFindings(t, nil, jwts, func(auth *oauthtest.Server) http.Handler {
			return byTokenOrSession(auth, guarded(auth), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != session {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				projects.ServeHTTP(w, r)
			}))
		})
	})
}

func TestCheckGuardOfTheTokensWorkspace(t *testing.T) {
	route := oauthtest.Route{
		Request:   httptest.NewRequest(http.MethodGet, "/workspaces/team-a/projects", nil),
		Workspace: "team-a", Permissions: []string{"project.list"}, WorkspaceFromToken: true,
	}
	// serving guards a handler that serves the workspace which from returns.
	serving := func(permission string, from func(*bearer.Principal, *http.Request) string) func(*oauthtest.Server) http.Handler {
		return func(auth *oauthtest.Server) http.Handler {
			return auth.Server().Require(permission).AnyWorkspace()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				p, _ := bearer.PrincipalFrom(r.Context())
				data := map[string]string{"team-a": "website, pipeline", "team-b": "shop"}
				found, ok := data[from(p, r)]
				switch {
				case !ok && r.Header.Get("X-Unknown") == "empty":
				case !ok:
					w.WriteHeader(http.StatusNotFound)
				}
				_, _ = io.WriteString(w, found)
			}))
		}
	}
	own := func(p *bearer.Principal, _ *http.Request) string { return p.Workspace }
	fixed := func(*bearer.Principal, *http.Request) string { return "team-a" }
	named := func(_ *bearer.Principal, r *http.Request) string {
		return strings.Split(r.URL.Path, "/")[2]
	}
	const sameBody = "answered a token of another workspace with 200 and the body that a good token gets"
	empty := route
	empty.Request = httptest.NewRequest(http.MethodGet, "/workspaces/team-a/projects", nil)
	empty.Request.Header.Set("X-Unknown", "empty")
	admin := route
	admin.Permissions = []string{"admin.project.list"}
	session := route
	session.Session = signIn
	for _, c := range []struct {
		name  string
		route oauthtest.Route
		api   func(*oauthtest.Server) http.Handler
		finds []string
	}{
		{"right, 404 for an unknown workspace", route, serving("project.list", own), nil},
		{"right, nothing in an unknown workspace", empty, serving("project.list", own), nil},
		{"right, a permission for every workspace", admin, serving("admin.project.list", named), nil},
		{"right, with sessions", session, func(auth *oauthtest.Server) http.Handler {
			return byTokenOrSession(auth, serving("project.list", own)(auth), refusing(status(http.StatusForbidden), projects))
		}, nil},
		{"always the same workspace", route, serving("project.list", fixed), []string{sameBody}},
		{"the workspace of the path", route, serving("project.list", named), []string{sameBody}},
		{"403, but the handler ran", route, func(auth *oauthtest.Server) http.Handler {
			return auth.Server().Require("project.list").AnyWorkspace()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if p, _ := bearer.PrincipalFrom(r.Context()); p.Workspace != "team-a" {
					w.WriteHeader(http.StatusForbidden)
				}
				_, _ = io.WriteString(w, "website, pipeline")
			}))
		}, []string{"answered a token of another workspace with 403 and the body that a good token gets"}},
		{"another permission", route, serving("project.read", own), []string{
			"accepted a token without project.list", "refused a good token, with 403 (it holds project.list in workspace team-a)"}},
		{"no guard", route, func(*oauthtest.Server) http.Handler { return projects }, []string{
			"accepted a request without a token", "accepted a text that is no token", "accepted a token in the query", "accepted an unsigned token",
			"accepted a token signed with another key", "accepted an expired token", "accepted a token of another issuer",
			"accepted a token for another audience", "accepted a secret", "accepted a token without project.list", "accepted a token whose key was disabled", sameBody,
		}},
	} {
		t.Run(c.name, func(t *testing.T) { checkFindings(t, c.finds, c.route, c.api) })
	}
	t.Run("no workspace is named", func(t *testing.T) {
		n := play(func(tb testing.TB) {
			oauthtest.New(tb, "project.list").CheckGuard(tb, projects, oauthtest.Route{Request: route.Request, WorkspaceFromToken: true})
		})
		require.Len(t, n.reports, 1)
		require.Contains(t, n.reports[0], "Route.WorkspaceFromToken needs Route.Workspace")
	})
}
