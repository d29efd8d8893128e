package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

// A router that does not set the path values of http.Request needs these lines.
// Here a handler finds the workspace in the query.
func ExampleGuard_Check() {
	verifier, token := exampleVerifier()
	guard := verifier.Require("project.list")
	projects := func(w http.ResponseWriter, r *http.Request) {
		r, ok := guard.Check(w, r, r.URL.Query().Get("workspace"))
		if !ok {
			return // the guard has written the answer
		}
		p, _ := bearer.PrincipalFrom(r.Context())
		fmt.Fprintf(w, "key %s lists the projects of %s", p.KeyID, p.Workspace)
	}
	for _, target := range []string{"/projects?workspace=team-a", "/projects?workspace=team-b", "/projects"} {
		request := httptest.NewRequest(http.MethodGet, target, nil)
		request.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		projects(answer, request)
		fmt.Println(target, answer.Code)
	}

	// Output:
	// /projects?workspace=team-a 200
	// /projects?workspace=team-b 404
	// /projects 404
}

// A server whose methods are not http.Handlers. An interceptor of connect or
// gRPC, or a SecurityHandler of ogen, consists of these lines.
func ExampleVerifier_Authorize() {
	verifier, token := exampleVerifier()
	guards := map[string]bearer.Guard{ // a method that is not listed is refused
		"ListProjects":  verifier.Require("project.list"),
		"DeleteProject": verifier.Require("project.delete"),
	}
	call := func(ctx context.Context, method, workspace string, header http.Header) string {
		credential, err := bearer.Credential(header)
		if err == nil {
			var p *bearer.Principal
			if p, err = verifier.Authorize(ctx, credential, guards[method], workspace); err == nil {
				ctx = bearer.WithPrincipal(ctx, p) // for the handler
			}
		}
		switch {
		case err == nil:
			p, _ := bearer.PrincipalFrom(ctx)
			return "ok, " + p.KeyID
		case errors.Is(err, bearer.ErrUnauthenticated):
			return "unauthenticated"
		case errors.Is(err, bearer.ErrForbidden):
			return "permission denied"
		case errors.Is(err, bearer.ErrNotFound):
			return "not found"
		case errors.Is(err, bearer.ErrUnavailable):
			return "unavailable"
		}
		return "internal"
	}
	header := http.Header{"Authorization": {"Bearer " + token}}
	ctx := context.Background()
	fmt.Println(call(ctx, "ListProjects", "team-a", header))
	fmt.Println(call(ctx, "ListProjects", "team-b", header))
	fmt.Println(call(ctx, "DeleteProject", "team-a", header))
	fmt.Println(call(ctx, "ListProjects", "team-a", nil))
	fmt.Println(call(ctx, "Forgotten", "team-a", header))

	// Output:
	// ok, key-1
	// not found
	// permission denied
	// unauthenticated
	// internal
}

func exampleVerifier() (*bearer.Verifier, string) {
	jwks, token := issue("https://projects.example.com", "team-a", "project.list")
	keys, err := bearer.StaticKeys(jwks)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := bearer.New(bearer.Config{
		Issuer:    "https://api.example.com",
		Audiences: []string{"https://projects.example.com"},
		Keys:      keys,
	})
	if err != nil {
		log.Fatal(err)
	}
	return verifier, token
}
