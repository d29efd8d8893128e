package gooauth2_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/manage"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/gooauth2"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// A host that runs go-oauth2 already keeps its server and lets Latchkey's keys
// log in there.
func Example() {
	ctx := context.Background()
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer:      "https://api.example.com",
		Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}}),
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	manager := manage.NewDefaultManager()
	manager.MapClientStorage(gooauth2.NewClientStore(srv.APIKeys(), nil))
	manager.MapAccessGenerate(gooauth2.NewAccessGenerate(srv.APIKeys(), srv.Sign, nil))
	manager.MapTokenStorage(gooauth2.NewTokenStore(nil))

	key, secret, err := srv.APIKeys().Create(ctx, apikey.OrganizationAdmin("you"), apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := manager.GenerateAccessToken(ctx, oauth2.ClientCredentials, &oauth2.TokenGenerateRequest{
		ClientID: key.ID, ClientSecret: secret.Reveal(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.GetScope(), token.GetAccessExpiresIn())

	_, err = manager.GenerateAccessToken(ctx, oauth2.ClientCredentials, &oauth2.TokenGenerateRequest{
		ClientID: key.ID, ClientSecret: "wrong",
	})
	fmt.Println(err)
	// Output:
	// project.list 5m0s
	// invalid_client
}
