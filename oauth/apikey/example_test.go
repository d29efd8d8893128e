package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// exampleService returns a service whose clock is fixed at noon of 1 July 2026.
func exampleService() *apikey.Service {
	keys, err := apikey.New(memstore.New(), apikey.Config{
		Permissions: scope.MustCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{
			{Name: "project.list"}, {Name: "project.save"},
		}}),
		Options: apikey.Options{Imported: true},
		Logger:  slog.New(slog.DiscardHandler),
		Now:     func() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) },
	})
	if err != nil {
		panic(err)
	}
	return keys
}

func ExampleService_Authenticate() {
	ctx := context.Background()
	keys := exampleService()
	key, secret, err := keys.Create(ctx, apikey.Owner("olga", "team-a"), apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.*"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	login, err := keys.Authenticate(ctx, apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
	if err != nil {
		fmt.Println(err)
		return
	}
	grant, err := keys.Issue(ctx, login, apikey.Request{Scope: "project.list"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(grant.Key.Name, "may", grant.Permissions, "for", grant.Expires.Sub(grant.IssuedAt))

	_, err = keys.Authenticate(ctx, apikey.Credentials{ID: key.ID, Secret: "lk_guess"})
	fmt.Println(errors.Is(err, apikey.ErrInvalidCredentials))
	// Output:
	// ci may project.list for 5m0s
	// true
}

func ExampleService_Rotate() {
	ctx := context.Background()
	keys, olga := exampleService(), apikey.Owner("olga", "team-a")
	key, old, err := keys.Create(ctx, olga, apikey.Spec{Workspace: "team-a", Name: "ci"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Both secrets work for an hour, so that clients can be updated.
	key, fresh, err := keys.Rotate(ctx, olga, key.ID, apikey.Rotation{Grace: time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, secret := range []apikey.Secret{old, fresh} {
		_, err := keys.Authenticate(ctx, apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
		fmt.Println(err)
	}
	fmt.Println(key.Credentials[0].NotAfter.Format(time.TimeOnly))
	// Output:
	// <nil>
	// <nil>
	// 13:00:00
}

// A program that has a private key logs in without a secret.
func ExampleService_Create_withoutSecret() {
	keys := exampleService()
	key, secret, err := keys.Create(context.Background(), apikey.Owner("olga", "team-a"), apikey.Spec{
		Workspace: "team-a", Name: "ci", NoSecret: true,
		Credentials: []apikey.CredentialSpec{{Name: "build server", PublicKey: &store.PublicKey{
			JWK: `{"kty":"OKP","crv":"Ed25519","kid":"2026","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%q\n", secret.Reveal())
	fmt.Println(key.Credentials[0].Name, key.Credentials[0].PublicKey.JWK)
	// Output:
	// ""
	// build server {"alg":"EdDSA","crv":"Ed25519","kid":"2026","kty":"OKP","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
}

// A workflow logs in with the identity that GitHub gives it.
func ExampleService_AddCredential() {
	ctx := context.Background()
	issuers, err := trust.New([]trust.Issuer{trust.GitHubActions()}, trust.Config{Audience: "https://auth.example.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Package oauth sets these fields from its own configuration.
	keys, err := apikey.New(memstore.New(), apikey.Config{
		Permissions: scope.MustCatalog(), Issuer: "https://auth.example.com", TrustedIssuers: issuers, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	olga := apikey.Owner("olga", "team-a")
	key, _, err := keys.Create(ctx, olga, apikey.Spec{Workspace: "team-a", Name: "deploy", NoSecret: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The name of a repository can be given to another one. Its id cannot.
	spec := apikey.CredentialSpec{Name: "deploy workflow", Trust: &store.Trust{Issuer: "github", Claims: []store.Claim{
		{Name: "repository_id", Value: "74"}, {Name: "environment", Value: "production"},
	}}}
	key, err = keys.AddCredential(ctx, olga, key.ID, spec)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(key.Credentials[0].Name, key.Credentials[0].Trust.Claims)

	_, err = keys.AddCredential(ctx, olga, key.ID, spec)
	fmt.Println(err)
	// Output:
	// deploy workflow [{environment production} {repository_id 74}]
	// apikey: claims: The key has it already: a public key with the same kid or value, or a trust with the same issuer and claims.
}

func ExampleService_Import() {
	ctx := context.Background()
	keys := exampleService()
	// The id and secret that clients have from the old system.
	key, err := keys.Import(ctx, apikey.OrganizationAdmin("migration"), apikey.ImportSpec{
		Spec:   apikey.Spec{Workspace: "team-a", Name: "nightly report"},
		ID:     "report-17",
		Digest: "$2a$04$jUHZpA2b7oIMrvOc.AO5IOpuKjzDWCnXdLezB5bM6uI6/KFq6CFsi",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = keys.Authenticate(ctx, apikey.Credentials{ID: key.ID, Secret: "the old secret"})
	fmt.Println(key.ID, err)

	_, err = keys.Import(ctx, apikey.OrganizationAdmin("migration"), apikey.ImportSpec{
		Spec:   apikey.Spec{Workspace: "team-a", Name: "nightly report"},
		ID:     "report-18",
		Digest: "5f4dcc3b5aa765d61d8327deb882cf99",
	})
	fmt.Println(err)
	// Output:
	// report-17 <nil>
	// apikey: digest: only bcrypt ($2a$, $2b$, $2y$), $argon2id$, $pbkdf2-sha256$ and $pbkdf2-sha512$ are accepted; or give the secret itself
}

func ExampleService_FindSecret() {
	ctx := context.Background()
	keys := exampleService()
	_, secret, err := keys.Create(ctx, apikey.Owner("olga", "team-a"), apikey.Spec{Workspace: "team-a", Name: "nightly report"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Somebody finds it in a public repository.
	leaked := secret.Reveal() + "\n"
	key, of, err := keys.FindSecret(ctx, apikey.OrganizationAdmin("ada"), leaked)
	fmt.Println(key.Workspace, key.Name, key.Standing.State, of.ID == key.Credentials[0].ID, err)
	_, _, err = keys.FindSecret(ctx, apikey.Owner("bert", "team-b"), leaked)
	fmt.Println(err)
	// Output:
	// team-a nightly report active true <nil>
	// apikey: no key that the actor may see has this secret: store: not found
}

func ExampleService_List() {
	ctx := context.Background()
	keys, admin := exampleService(), apikey.OrganizationAdmin("ada")
	for name, day := range map[string]string{"ci": "2026-07-10", "backup": "2027-01-31", "report": ""} {
		expiry, err := apikey.ParseExpiry(day)
		if err != nil {
			fmt.Println(err)
			return
		}
		if _, _, err := keys.Create(ctx, admin, apikey.Spec{Workspace: "team-a", Name: name, Expiry: expiry}); err != nil {
			fmt.Println(err)
			return
		}
	}
	soon := keys.Now().Add(30 * 24 * time.Hour)
	page, err := keys.List(ctx, admin, store.KeyQuery{NotAfterFrom: keys.Now(), NotAfterTo: soon})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, key := range page.Keys {
		fmt.Println(key.Name, "ends with", key.NotAfterText)
	}
	// Output: ci ends with 2026-07-10
}

func ExampleService_DisableAllBy() {
	ctx := context.Background()
	keys, admin := exampleService(), apikey.OrganizationAdmin("ada")
	olga := apikey.Owner("olga", "team-a", "team-b")
	for _, workspace := range []string{"team-a", "team-b"} {
		if _, _, err := keys.Create(ctx, olga, apikey.Spec{Workspace: workspace, Name: "ci"}); err != nil {
			fmt.Println(err)
			return
		}
	}
	// The person has left the organization.
	n, err := keys.DisableAllBy(ctx, admin, olga.Ref())
	fmt.Println(n, err)
	page, err := keys.Events(ctx, admin, store.EventQuery{Workspace: "team-b", Action: audit.Disable})
	fmt.Println(len(page.Events), err)
	// Output:
	// 2 <nil>
	// 1 <nil>
}

// A host that had no pepper adopts one: listed last in one deploy, first in the next.
// NoPepper stays in the list until every digest was rewritten.
func ExampleNoPepper() {
	ctx, st, quiet := context.Background(), memstore.New(), slog.New(slog.DiscardHandler)
	start := func(peppers ...apikey.Pepper) (*apikey.Service, error) {
		return apikey.New(st, apikey.Config{Permissions: scope.MustCatalog(), Options: apikey.Options{Peppers: peppers}, Logger: quiet})
	}
	pepper := apikey.Pepper{Version: 1, Key: []byte("32 bytes from your secret store.")}
	keys, err := start(apikey.NoPepper(), pepper)
	if err != nil {
		fmt.Println(err)
		return
	}
	key, secret, err := keys.Create(ctx, apikey.OrganizationAdmin("you"), apikey.Spec{Workspace: "team-a", Name: "ci"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = start(pepper)
	fmt.Println("too early:", err != nil)

	if keys, err = start(pepper, apikey.NoPepper()); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := keys.Authenticate(ctx, apikey.Credentials{ID: key.ID, Secret: secret.Reveal()}); err != nil {
		fmt.Println(err)
		return
	}
	if err := keys.Prune(ctx); err != nil { // oauth.Server.Run does so every hour
		fmt.Println(err)
		return
	}
	_, err = start(pepper)
	fmt.Println("when no digest names it:", err)
	// Output:
	// too early: true
	// when no digest names it: <nil>
}

func ExampleParseSecret() {
	const pasted = "lk_JAanpjzMehrxcMTxd5w2acQ8bcDyyCiBSPploaLC5Bk1CMkK2"

	secret, err := apikey.ParseSecret("lk_", pasted)
	fmt.Println(secret, err)

	_, err = apikey.ParseSecret("lk_", pasted[:40])
	fmt.Println(err)

	_, err = apikey.ParseSecret("lk_", strings.Replace(pasted, "M", "x", 1))
	fmt.Println(err)
	// Output:
	// lk_…MkK2 <nil>
	// apikey: not a secret: it is too short; was it cut off?
	// apikey: not a secret: its checksum does not match; is there a typo?
}

func ExampleSecretPattern() {
	fmt.Println(apikey.SecretPattern("acme_live_"))
	// Output: acme_live_[0-9A-Za-z]{49}
}

func ExampleGitleaksRule() {
	fmt.Print(apikey.GitleaksRule("acme_live_"))
	// Output:
	// [[rules]]
	// id = "acme_live_secret"
	// description = "An API key's secret that begins with acme_live_"
	// regex = '''(acme_live_[0-9A-Za-z]{49})(?:[^0-9A-Za-z]|$)'''
	// secretGroup = 1
	// entropy = 3.2
	// keywords = ["acme_live_"]
}

// A report that a secret was found ends the secret. A second one of the same secret is
// still true.
func ExampleService_ReportLeak() {
	ctx := context.Background()
	keys, err := apikey.New(memstore.New(), apikey.Config{Permissions: scope.MustCatalog(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	key, secret, err := keys.Create(ctx, apikey.OrganizationAdmin("you"), apikey.Spec{Workspace: "team-a", Name: "ci"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		leak, err := keys.ReportLeak(ctx, secret.Reveal(), apikey.Leak{Scanner: "scanner.example.com", URL: "https://paste.example.com/1"})
		fmt.Println(leak.Workspace, leak.Key == key.ID, err)
	}
	_, err = keys.Authenticate(ctx, apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
	fmt.Println(err)
	page, err := keys.Events(ctx, apikey.OrganizationAdmin("you"), store.EventQuery{Action: audit.Leak})
	fmt.Println(len(page.Events), page.Events[0].Note, err)
	// Output:
	// team-a true <nil>
	// team-a true <nil>
	// apikey: the client id, the secret or the assertion is wrong
	// 1 https://paste.example.com/1 <nil>
}
