package bearer_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

// sessionOrKey lets a program in by its API key and a person by the host's session.
// byKey is the handler behind a guard, bySession the handler behind the host's own
// middleware. A request with a token never gets to the session, even if the token is
// refused.
func sessionOrKey(v *bearer.Verifier, byKey, bySession http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next := bySession
		if v.Carries(r) {
			next = byKey
		}
		next.ServeHTTP(w, r)
	})
}

// A route for programs with an API key and for people with a session. CheckGuard of
// package oauthtest checks such a route: see Route.Session there.
func ExampleVerifier_Carries() {
	verifier, token := exampleVerifier()
	projects := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := bearer.PrincipalFrom(r.Context()); ok {
			fmt.Fprintf(w, "key %s", p.KeyID)
			return
		}
		fmt.Fprint(w, "a person")
	})
	signedIn := func(next http.Handler) http.Handler { // the host's own middleware
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if cookie, err := r.Cookie("session"); err != nil || cookie.Value != "ada" {
				http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	mux := http.NewServeMux()
	mux.Handle("GET /workspaces/{workspace}/projects",
		sessionOrKey(verifier, verifier.Require("project.list").InPath("workspace")(projects), signedIn(projects)))

	call := func(what string, header ...string) {
		request := httptest.NewRequest(http.MethodGet, "/workspaces/team-a/projects", nil)
		for i := 0; i < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, request)
		if answer.Code == http.StatusOK {
			what += ": " + answer.Body.String()
		}
		fmt.Println(answer.Code, what)
	}
	call("a token", "Authorization", "Bearer "+token)
	call("a session", "Cookie", "session=ada")
	call("neither")
	call("a bad token and a session", "Authorization", "Bearer "+token+"x", "Cookie", "session=ada")

	// Output:
	// 200 a token: key key-1
	// 200 a session: a person
	// 303 neither
	// 401 a bad token and a session
}
