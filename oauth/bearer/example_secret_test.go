package bearer_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// A route that curl or a webhook can call with the secret of a key, without a login. The
// key must allow it.
func ExampleGuard_OrSecret() {
	list := scope.MustParse("project.list")
	server, err := oauth.New(memstore.New(), oauth.Config{
		Issuer:      "https://api.example.com",
		Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}}),
		SecretForms: bearer.SecretForms{Header: "X-API-Key"},
		APIKeys:     apikey.Options{Workspaces: func(context.Context, string) (bool, error) { return true, nil }},
	})
	if err != nil {
		log.Fatal(err)
	}
	_, secret, err := server.APIKeys().Create(context.Background(), apikey.OrganizationAdmin("ada"), apikey.Spec{
		Workspace: "team-a", Name: "webhook", Permissions: list, Direct: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /workspaces/{workspace}/projects", server.Require("project.list").OrSecret().InPath("workspace")(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, _ := bearer.PrincipalFrom(r.Context())
			fmt.Fprintf(w, "the projects of %s; without a token: %t", p.Workspace, p.Direct)
		})))

	request := httptest.NewRequest(http.MethodGet, "/workspaces/team-a/projects", nil)
	request.Header.Set("X-API-Key", secret.Reveal())
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, request)
	fmt.Println(answer.Code, answer.Body)

	request.Header.Set("Authorization", "Bearer "+secret.Reveal()) // twice
	answer = httptest.NewRecorder()
	mux.ServeHTTP(answer, request)
	fmt.Println(answer.Code)

	// Output:
	// 200 the projects of team-a; without a token: true
	// 400
}
