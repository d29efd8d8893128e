package assertion_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"golang.org/x/oauth2"

	"github.com/latchkey-go/latchkey/oauth/assertion"
)

// A program with a private key of its own.
func Example() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // in a program: read from its own place
	if err != nil {
		log.Fatal(err)
	}
	host, err := startHost(key, "laptop-2026") // the API key has the public half
	if err != nil {
		log.Fatal(err)
	}
	defer host.web.Close()

	ctx := context.Background()
	tokens := assertion.TokenSource(ctx, assertion.Config{
		TokenURL:  host.tokenURL,
		ClientID:  host.clientID,
		Assertion: assertion.Signed(key, "laptop-2026", host.clientID, host.issuer),
		Scopes:    []string{"project.list"},
	})
	client := oauth2.NewClient(ctx, tokens) // logs in when it needs a token
	response, err := client.Get(host.issuer + "/workspaces/team-a")
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
	// 200 OK hello, key of team-a
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
