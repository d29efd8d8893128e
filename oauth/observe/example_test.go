package observe_test

import (
	"context"
	"fmt"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// A host counts and logs what its server decides about credentials.
func Example() {
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer: "https://api.example.com",
		Permissions: scope.MustCatalog(scope.Group{
			Title: "Projects", Permissions: []scope.Permission{{Name: "project.list"}},
		}),
		APIKeys: apikey.Options{Peppers: []apikey.Pepper{{Version: 1, Key: []byte("in production: 32 random bytes..")}}},
		Observer: func(_ context.Context, d observe.Decision) {
			fmt.Printf("%s by %q: %q\n", d.Use, d.ClientID, d.Reason)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = srv.APIKeys().Authenticate(context.Background(), apikey.Credentials{ID: "deploy-bot", Secret: "guessed"})
	fmt.Println(err)
	// Output:
	// login by "deploy-bot": "malformed_secret"
	// apikey: the client id, the secret or the assertion is wrong: one of them is malformed
}
