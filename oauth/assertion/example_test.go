package assertion_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"golang.org/x/oauth2"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/assertion"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// A program with a private key of its own.
func Example() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // in a program: read from its own place
	if err != nil {
		log.Fatal(err)
	}
	jwk, err := assertion.PublicJWK(key.Public()) // what an administrator gets
	if err != nil {
		log.Fatal(err)
	}

	// The server.
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	defer web.Close()
	server, err := oauth.New(memstore.New(), oauth.Config{
		Issuer: web.URL, InsecureLoopback: true, Logger: slog.New(slog.DiscardHandler),
		Permissions: scope.MustCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{{Name: "project.list"}}}),
	})
	if err != nil {
		log.Fatal(err)
	}
	mux.Handle("POST /api/login", server.Token())
	mux.Handle("GET /workspaces/{workspace}", server.Require("project.list").InPath("workspace")(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "hello")
	})))
	ctx := context.Background()
	made, _, err := server.APIKeys().Create(ctx, apikey.OrganizationAdmin("operator"), apikey.Spec{
		Workspace: "team-a", Name: "deploy", Permissions: scope.MustParse("project.list"), NoSecret: true,
		Credentials: []apikey.CredentialSpec{{Name: "laptop", PublicKey: &store.PublicKey{JWK: jwk}}},
	})
	if err != nil {
		log.Fatal(err)
	}

	// The program.
	tokens := assertion.TokenSource(ctx, assertion.Config{
		TokenURL:  web.URL + "/api/login",
		ClientID:  made.ID,
		Assertion: assertion.Signed(key, "", made.ID, web.URL),
		Scopes:    []string{"project.list"},
	})
	client := oauth2.NewClient(ctx, tokens) // logs in when it needs a token
	response, err := client.Get(web.URL + "/workspaces/team-a")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Status, string(body))

	// Output:
	// 200 OK hello
}

// A job of GitHub Actions, whose workflow has the permission id-token: write.
func ExampleGitHubActions() {
	github := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"value":"the ID token for %s"}`, r.URL.Query().Get("audience"))
	}))
	defer github.Close()
	// GitHub sets these in the job.
	_ = os.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", github.URL+"/?api-version=2.0")
	_ = os.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of the job")
	defer os.Unsetenv("ACTIONS_ID_TOKEN_REQUEST_URL")
	defer os.Unsetenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")

	cfg := assertion.Config{
		TokenURL:  "https://api.example.com/api/login",
		ClientID:  "5f2c8a1e9b7d4f60",
		Assertion: assertion.GitHubActions("https://api.example.com"),
	}
	fmt.Println(cfg.Assertion(context.Background()))

	// Output:
	// the ID token for https://api.example.com <nil>
}

// A pod of Kubernetes with a projected token of its service account.
func ExampleFile() {
	cfg := assertion.Config{
		TokenURL:  "https://api.example.com/api/login",
		ClientID:  "5f2c8a1e9b7d4f60",
		Assertion: assertion.File("/var/run/secrets/latchkey/token"),
	}
	_, err := assertion.TokenSource(context.Background(), cfg).Token()
	fmt.Println(err)

	// Output:
	// assertion: open /var/run/secrets/latchkey/token: no such file or directory
}
