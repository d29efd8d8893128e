package oauth_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/migrate"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// A team has keys of its own: it stores the SHA-256 of each, and its customers send them
// as X-API-Key. It imports them, and its customers change nothing.
func ExampleConfig_homeMadeKeys() {
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer:      "https://api.example.com",
		Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}}),
		SecretForms: bearer.SecretForms{Header: "X-API-Key"},
		APIKeys:     apikey.Options{Imported: true},
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	projects := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		principal, _ := bearer.PrincipalFrom(r.Context())
		fmt.Fprintf(w, "the projects of %s, for %s", principal.Workspace, principal.KeyID)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /workspaces/{workspace}/projects", srv.Require("project.list").OrSecret().InPath("workspace")(projects))

	// The team's table. Direct lets customers go on without a login.
	table := `id,workspace,name,sha256,created
k-18,team-a,billing,17d56311333a1ec6ea02c3d8b714eb7b211f4b8fd5ff39b67de3451461f15267,2024-03-01
`
	found, err := migrate.CSV(strings.NewReader(table), func(migrate.Client) (apikey.Spec, error) {
		return apikey.Spec{Permissions: scope.MustParse("project.list"), Direct: true}, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, row := range found.Keys {
		row.Generated = true // the team knows that its secrets are random, with at least 128 bits
		if _, err := srv.APIKeys().Import(context.Background(), apikey.OrganizationAdmin("migration"), row); err != nil {
			fmt.Println(row.ID, err)
		}
	}

	// A customer's program, unchanged.
	for _, call := range [][2]string{
		{"/workspaces/team-a/projects", "tq_5hVbW9mXz3Kd8RfPy2Nc7"},
		{"/workspaces/team-a/projects", "tq_5hVbW9mXz3Kd8RfPy2Nc7"}, // by now with a digest like that of any key
		{"/workspaces/team-b/projects", "tq_5hVbW9mXz3Kd8RfPy2Nc7"},
		{"/workspaces/team-a/projects", "tq_somebody-elses-secret"},
	} {
		request := httptest.NewRequest(http.MethodGet, call[0], nil)
		request.Header.Set("X-API-Key", call[1])
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, request)
		fmt.Println(answer.Code, strings.TrimSpace(answer.Body.String()))
	}
	// Output:
	// 200 the projects of team-a, for k-18
	// 200 the projects of team-a, for k-18
	// 404 {"error":"not_found","error_description":"There is no such workspace, or this credential does not reach it."}
	// 401 {"error":"invalid_token","error_description":"The secret is wrong, or it is of no API key."}
}
