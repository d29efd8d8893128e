package oauthtest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
)

// orSecret is a correctly guarded route that also accepts secrets.
func orSecret(auth *oauthtest.Server) http.Handler {
	return auth.Server().Require("project.list").OrSecret().InPath("workspace")(projects)
}

// checkSecrets runs CheckGuard on a route with secrets and compares what it reports.
func checkSecrets(t *testing.T, forms bearer.SecretForms, route oauthtest.Route, api func(*oauthtest.Server) http.Handler, want ...string) {
	t.Helper()
	route.Request = httptest.NewRequest(http.MethodGet, "/workspaces/team-a/projects", nil)
	route.Workspace, route.Permissions = "team-a", []string{"project.list"}
	n := play(func(tb testing.TB) {
		auth := oauthtest.NewWith(tb, oauth.Config{Permissions: catalog, SecretForms: forms})
		mux := http.NewServeMux()
		mux.Handle("/workspaces/{workspace}/projects", api(auth))
		auth.CheckGuard(tb, mux, route)
	})
	require.Len(t, n.reports, len(want), "%s", strings.Join(n.reports, "\n"))
	for i := range want {
		require.Contains(t, n.reports[i], "GET /workspaces/team-a/projects "+want[i])
	}
}

// TestCheckGuardFindsFaultsWithSecrets: for each check of secrets there is a fault that
// only this check finds.
func TestCheckGuardFindsFaultsWithSecrets(t *testing.T) {
	secretOf := func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") }
	isSecret := func(r *http.Request) bool { return strings.HasPrefix(secretOf(r), "lk_") }
	// wrongly runs the handler if the right guard's answer matches.
	wrongly := func(matches func(*http.Request, *httptest.ResponseRecorder) bool) func(*oauthtest.Server) http.Handler {
		return func(auth *oauthtest.Server) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				right := httptest.NewRecorder()
				orSecret(auth).ServeHTTP(right, r)
				if matches(r, right) {
					projects(w, r)
					return
				}
				repeat(w, right)
			})
		}
	}
	all := bearer.SecretForms{Header: "X-API-Key", Basic: true}
	for _, c := range []struct {
		name   string
		forms  bearer.SecretForms
		tokens bool // the route is said to take tokens only
		api    func(*oauthtest.Server) http.Handler
		finds  []string
	}{
		{name: "right", api: orSecret},
		{name: "right, all forms", forms: all, api: orSecret},
		{name: "right, Basic is challenged for", forms: bearer.SecretForms{Basic: true, ChallengeBasic: true}, api: orSecret},
		{name: "right, tokens only", forms: all, tokens: true, api: guarded},
		{name: "not said to take secrets", tokens: true, api: orSecret, finds: []string{"accepted a secret: 200 instead of 401 (if it should, set Route.Secrets)"}},
		{name: "not said to take secrets in any form", forms: all, tokens: true, api: orSecret, finds: []string{
			"accepted a secret: 200", "accepted a secret in X-API-Key: 200", "accepted a secret with Basic: 200",
		}},
		{name: "without OrSecret", api: guarded, finds: []string{
			"answered a secret of a key without project.list",
			"answered a secret of another workspace with 401 instead of 404 (does the guard have OrSecret?)", "refused a good secret, with 401 (does the guard have OrSecret?)",
		}},
		{name: "B32 any secret", api: wrongly(func(r *http.Request, right *httptest.ResponseRecorder) bool {
			return isSecret(r) && saying("The secret is wrong")(r, right)
		}), finds: []string{"accepted a secret of no key"}},
		{name: "any text", api: wrongly(func(r *http.Request, right *httptest.ResponseRecorder) bool {
			return strings.HasPrefix(secretOf(r), "not-a-") && saying("The secret is wrong")(r, right)
		}), finds: []string{"accepted a text that is no token", "accepted a text that is no secret"}},
		{name: "a key that does not allow it", api: wrongly(saying("may not be used in place of a token")),
			finds: []string{"accepted a secret of a key that does not allow direct use"}},
		{name: "a disabled key", api: wrongly(func(r *http.Request, right *httptest.ResponseRecorder) bool {
			return isSecret(r) && saying("is disabled")(r, right)
		}), finds: []string{"accepted a secret of a disabled key"}},
		{name: "a secret lacks a permission", api: wrongly(saying("The API key lacks a permission")),
			finds: []string{"accepted a secret of a key without project.list (it holds "}},
		{name: "a secret of another workspace", api: wrongly(func(r *http.Request, right *httptest.ResponseRecorder) bool {
			return isSecret(r) && right.Code == http.StatusNotFound
		}), finds: []string{"accepted a secret of another workspace"}},
		{name: "the first credential counts", api: wrongly(func(r *http.Request, _ *httptest.ResponseRecorder) bool {
			return len(r.Header["Authorization"]) > 1
		}), finds: []string{"accepted a secret and a token: 200 instead of 400"}},
		{name: "the query", forms: all, api: wrongly(func(r *http.Request, _ *httptest.ResponseRecorder) bool {
			return strings.HasPrefix(r.URL.Query().Get("X-API-Key"), "lk_") || strings.HasPrefix(r.URL.Query().Get("x-api-key"), "lk_")
		}), finds: []string{"accepted a secret in the query"}},
		{name: "the header counts, whatever else there is", forms: all, api: wrongly(func(r *http.Request, _ *httptest.ResponseRecorder) bool {
			return r.Header.Get("X-API-Key") != "" && r.Header.Get("Authorization") != ""
		}), finds: []string{"accepted a secret in X-API-Key and a token"}},
		{name: "the first header counts", forms: all, api: wrongly(func(r *http.Request, _ *httptest.ResponseRecorder) bool {
			return len(r.Header["X-Api-Key"]) > 1
		}), finds: []string{"accepted two secrets in X-API-Key"}},
		{name: "Basic from anywhere", forms: all, api: wrongly(func(r *http.Request, _ *httptest.ResponseRecorder) bool {
			return r.Header.Get("Sec-Fetch-Site") != ""
		}), finds: []string{"accepted a secret with Basic, from a page of another site"}},
		{name: "a form is not accepted", forms: all, api: func(auth *oauthtest.Server) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if len(r.Header["X-Api-Key"]) == 1 && len(r.Header) == 1 {
					r.Header.Set("X-API-Key", "other")
				}
				orSecret(auth).ServeHTTP(w, r)
			})
		}, finds: []string{"refused a good secret in X-API-Key, with 401"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkSecrets(t, c.forms, oauthtest.Route{Secrets: !c.tokens}, c.api, c.finds...)
		})
	}
}

// TestCheckGuardSecretsBesideSessions: a session does not help a bad secret, in any form.
func TestCheckGuardSecretsBesideSessions(t *testing.T) {
	route := oauthtest.Route{Secrets: true, Session: signIn}
	forms := bearer.SecretForms{Header: "X-API-Key", Basic: true}
	sessions := refusing(func() http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	}(), projects)
	right := func(auth *oauthtest.Server) http.Handler { return byTokenOrSession(auth, orSecret(auth), sessions) }
	checkSecrets(t, forms, route, right)
	checkSecrets(t, forms, route, func(auth *oauthtest.Server) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-API-Key") != "" && hasSession(r) { // Carries is not asked about this form
				sessions.ServeHTTP(w, r)
				return
			}
			right(auth).ServeHTTP(w, r)
		})
	}, "accepted a secret of no key in X-API-Key beside a session", "accepted a text that is no secret in X-API-Key beside a session",
		"accepted a secret of a key that does not allow direct use in X-API-Key beside a session", "accepted a secret in X-API-Key and a token beside a session",
		"accepted two secrets in X-API-Key beside a session", "accepted a secret of a disabled key in X-API-Key beside a session")
}

func TestDirectKey(t *testing.T) {
	auth := oauthtest.NewWith(t, oauth.Config{Permissions: catalog})
	id, secret := auth.DirectKey(t, "team-a", "project.list")
	v := auth.Server().Verifier()
	p, err := v.Authorize(t.Context(), secret, v.Require("project.list").OrSecret(), "team-a")
	require.NoError(t, err)
	require.Equal(t, id, p.KeyID)
	require.True(t, p.Direct)
	_, err = v.Authorize(t.Context(), auth.Login(t, id, secret), v.Require("project.list").OrSecret(), "team-a")
	require.NoError(t, err, "it can log in, too")
}
