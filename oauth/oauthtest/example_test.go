package oauthtest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
)

// NewAPI is the host's code, which the examples test.
func NewAPI(srv *oauth.Server) http.Handler {
	mux := http.NewServeMux()
	list := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := bearer.PrincipalFrom(r.Context())
		fmt.Fprintf(w, "the projects of %s", p.Workspace)
	})
	mux.Handle("GET /workspaces/{workspace}/projects",
		srv.Require("project.list").Or("admin.project.list").InPath("workspace")(list))
	remove := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.Handle("DELETE /workspaces/{workspace}/projects/{project}",
		srv.Require().InPath("workspace")(remove)) // a mistake: the guard requires no permission
	return mux
}

// A host's test of one handler. In the host's file it is a function
//
//	func TestListProjects(t *testing.T)
//
// that go test runs. Here run replaces go test.
func Example() {
	TestListProjects := func(t testing.TB) {
		auth := oauthtest.New(t, "project.list", "admin.project.list")
		api := NewAPI(auth.Server())

		request := httptest.NewRequest("GET", "/workspaces/team-a/projects", nil)
		request.Header.Set("Authorization", "Bearer "+auth.Token(t, "team-a", "project.list"))
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK || answer.Body.String() != "the projects of team-a" {
			t.Errorf("got %d %s", answer.Code, answer.Body)
		}
	}
	run(TestListProjects)
	// Output: PASS
}

// One call checks what a route must refuse and what it must accept.
func ExampleServer_CheckGuard() {
	TestGuards := func(t testing.TB) {
		auth := oauthtest.New(t, "project.list", "project.delete", "admin.project.list")
		api := NewAPI(auth.Server())
		for _, route := range []oauthtest.Route{
			{
				Request:     httptest.NewRequest("GET", "/workspaces/team-a/projects", nil),
				Workspace:   "team-a",
				Permissions: []string{"project.list"},
				Or:          [][]string{{"admin.project.list"}},
			},
			{
				Request:     httptest.NewRequest("DELETE", "/workspaces/team-a/projects/website", nil),
				Workspace:   "team-a",
				Permissions: []string{"project.delete"},
			},
		} {
			auth.CheckGuard(t, api, route)
		}
	}
	run(TestGuards)
	// Output:
	// FAIL
	// DELETE /workspaces/team-a/projects/website accepted a token without project.delete (it holds admin.project.list, project.list): 204 instead of 403
}

// A route for keys and for the host's own sessions, whose handler takes the
// workspace from the token or the session. The mistake: a session helps a refused
// token.
func ExampleServer_CheckGuard_session() {
	signedIn := func(r *http.Request) bool { _, err := r.Cookie("session"); return err == nil }
	TestGuards := func(t testing.TB) {
		auth := oauthtest.New(t, "project.list")
		guard := auth.Server().Require("project.list")
		api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if signedIn(r) { // it must ask auth.Server().Carries(r) first
				fmt.Fprint(w, "the projects of ada")
			} else if r, ok := guard.CheckAny(w, r); ok {
				p, _ := bearer.PrincipalFrom(r.Context())
				fmt.Fprintf(w, "the projects of %s", p.Workspace)
			}
		})
		auth.CheckGuard(t, api, oauthtest.Route{
			Request:            httptest.NewRequest("GET", "/projects", nil),
			Workspace:          "team-a",
			WorkspaceFromToken: true,
			Permissions:        []string{"project.list"},
			Session:            func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "session", Value: "ada"}) },
		})
	}
	run(TestGuards)
	// Output:
	// FAIL
	// GET /projects accepted a text that is no token beside a session: 200 instead of 401
	// GET /projects accepted an unsigned token beside a session: 200 instead of 401
	// GET /projects accepted a token signed with another key beside a session: 200 instead of 401
	// GET /projects accepted an expired token beside a session: 200 instead of 401
	// GET /projects accepted a token for another audience beside a session: 200 instead of 401
	// GET /projects accepted a secret beside a session: 200 instead of 401 (if it should, set Route.Secrets)
	// GET /projects accepted a token without project.list beside a session: 200 instead of 403
	// GET /projects accepted a token whose key was disabled beside a session: 200 instead of 401
}

// A test of one refusal, to check the answer.
func ExampleServer_Expired() {
	TestExpiredToken := func(t testing.TB) {
		auth := oauthtest.New(t, "project.list", "admin.project.list")

		request := httptest.NewRequest("GET", "/workspaces/team-a/projects", nil)
		request.Header.Set("Authorization", "Bearer "+auth.Expired(t, "team-a", "project.list"))
		answer := httptest.NewRecorder()
		NewAPI(auth.Server()).ServeHTTP(answer, request)
		if answer.Code != http.StatusUnauthorized || !strings.Contains(answer.Body.String(), "expired") {
			t.Errorf("got %d %s", answer.Code, answer.Body)
		}
	}
	run(TestExpiredToken)
	// Output: PASS
}

// A test over HTTP: the client logs in, and logs in again after its token expired.
func ExampleServer_Client() {
	TestOverHTTP := func(t testing.TB) {
		auth := oauthtest.New(t, "project.list", "admin.project.list")
		auth.Mount(NewAPI(auth.Server()))
		client := auth.Client(t, "team-a", "project.list")

		for range 3 {
			answer, err := client.Get(auth.URL + "/workspaces/team-a/projects")
			if err != nil {
				t.Fatalf("%v", err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Errorf("got %s", answer.Status)
			}
			auth.Clock.Advance(time.Hour)
		}
	}
	run(TestOverHTTP)
	// Output: PASS
}

// SDK is the client that a host gives to its customers.
type SDK struct {
	http        *http.Client
	id, secret  string
	accessToken string
}

// Projects logs in once and calls the API.
func (s *SDK) Projects() (string, error) {
	if s.accessToken == "" {
		answer, err := s.http.PostForm("https://api.example.com/api/login", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {s.id}, "client_secret": {s.secret}})
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		var login struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.NewDecoder(answer.Body).Decode(&login); err != nil {
			return "", err
		}
		s.accessToken = login.AccessToken
	}
	r, err := http.NewRequest("GET", "https://api.example.com/workspaces/team-a/projects", nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+s.accessToken)
	answer, err := s.http.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

// A test of a client: no request leaves the process, and the test counts the logins.
func ExampleServer_RoundTripper() {
	TestSDKLogsInOnce := func(t testing.TB) {
		auth := oauthtest.New(t, "project.list", "admin.project.list")
		auth.Mount(NewAPI(auth.Server()))
		id, secret := auth.Key(t, "team-a", "project.list")
		wire := auth.RoundTripper()
		sdk := &SDK{http: &http.Client{Transport: wire}, id: id, secret: secret}

		for range 2 {
			if got, err := sdk.Projects(); err != nil || got != "the projects of team-a" {
				t.Errorf("got %q, %v", got, err)
			}
		}
		if wire.Logins() != 1 || wire.OtherRequests() != 2 {
			t.Errorf("%d logins, %d calls", wire.Logins(), wire.OtherRequests())
		}
	}
	run(TestSDKLogsInOnce)
	// Output: PASS
}

// A test with the host's own catalog and rules.
func ExampleNewWith() {
	TestQuota := func(t testing.TB) {
		auth := oauthtest.NewWith(t, oauth.Config{
			Permissions: scope.MustCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{{Name: "project.list"}}}),
			Policy:      policy.MaxKeys(2),
		})
		auth.Key(t, "team-a")
		auth.Key(t, "team-a")

		_, _, err := auth.Server().APIKeys().Create(t.Context(), apikey.OrganizationAdmin("ada"), apikey.Spec{Workspace: "team-a", Name: "third"})
		if denied, ok := policy.AsDenied(err); !ok || denied.Rule != "max_keys" {
			t.Errorf("got %v", err)
		}
	}
	run(TestQuota)
	// Output: PASS
}

// A route that also accepts secrets, in place of tokens.
func ExampleServer_DirectKey() {
	TestSecrets := func(t testing.TB) {
		auth := oauthtest.New(t, "project.list")
		api := auth.Server().Require("project.list").OrSecret().AnyWorkspace()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		_, secret := auth.DirectKey(t, "team-a", "project.list")

		request := httptest.NewRequest(http.MethodGet, "/projects", nil)
		request.Header.Set("Authorization", "Bearer "+secret)
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK {
			t.Errorf("got %d %s", answer.Code, answer.Body)
		}
		auth.CheckGuard(t, api, oauthtest.Route{Request: request, Permissions: []string{"project.list"}, Secrets: true})
	}
	run(TestSecrets)
	// Output: PASS
}
