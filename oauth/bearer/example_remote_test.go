package bearer_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

// A resource server that runs in its own process. It needs only the URL of the
// issuer's JWKS document.
func ExampleRemoteKeys() {
	jwks, token := issue("https://projects.example.com", "team-a", "project.list")
	issuer := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(jwks)
	}))
	defer issuer.Close()

	keys, err := bearer.NewRemoteKeys(bearer.RemoteKeysConfig{
		URL:    issuer.URL + "/.well-known/jwks.json",
		Client: issuer.Client(), // trusts the test's certificate; not needed in production
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { _ = keys.Run(ctx) }() // keeps the keys fresh

	verifier, err := bearer.New(bearer.Config{
		Issuer:    "https://api.example.com",
		Audiences: []string{"https://projects.example.com"},
		Keys:      keys,
	})
	if err != nil {
		log.Fatal(err)
	}
	p, err := verifier.Verify(ctx, token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.KeyID, "of", p.Workspace, "may", p.Permissions)

	// Output:
	// key-1 of team-a may project.list
}

// A resource server that also asks the issuer whether a token was revoked. Here
// it asks for every request.
func ExampleIntrospector() {
	jwks, token := issue("https://projects.example.com", "team-a", "project.list")
	var revoked atomic.Bool
	issuer := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, ok := r.BasicAuth(); !ok || id != "projects" || secret != "lk_secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"active":%v}`, r.PostFormValue("token") == token && !revoked.Load())
	}))
	defer issuer.Close()

	introspector, err := bearer.NewIntrospector(bearer.IntrospectorConfig{
		URL:          issuer.URL + "/introspect",
		ClientID:     "projects",
		ClientSecret: "lk_secret",
		CacheFor:     -1, // ask for every request; the default caches for five seconds
		Client:       issuer.Client(),
		Timeout:      10 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	keys, err := bearer.StaticKeys(jwks)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := bearer.New(bearer.Config{
		Issuer:    "https://api.example.com",
		Audiences: []string{"https://projects.example.com"},
		Keys:      keys,         // checks the signature here
		Epochs:    introspector, // asks the issuer about revocation only
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = verifier.Verify(context.Background(), token)
	fmt.Println("before:", err)
	revoked.Store(true)
	_, err = verifier.Verify(context.Background(), token)
	fmt.Println("after:", err)

	// Output:
	// before: <nil>
	// after: bearer: not authenticated: revoked token: The token was revoked.
}
