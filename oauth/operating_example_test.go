package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// The examples of this file are the code of OPERATING.md.

var operator = apikey.OrganizationAdmin("operator-7")

func deliver(apikey.Secret) {}

// operated returns a server with a key that its owner made, and with a key that this
// key made.
func operated(ctx context.Context) (srv *oauth.Server, leaked apikey.Key, secret apikey.Secret, made apikey.Key) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer: "https://api.example.com",
		Permissions: scope.MustCatalog(scope.Group{Title: "All", Permissions: []scope.Permission{
			{Name: "project.list"}, {Name: "key.save"},
		}}),
		APIKeys: apikey.Options{Management: apikey.Management{Save: "key.save"}},
		Logger:  slog.New(slog.DiscardHandler),
	})
	must(err)
	all := srv.APIKeys().Catalog().All()
	leaked, secret, err = srv.APIKeys().Create(ctx, apikey.Owner("olga", "team-a"), apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: all})
	must(err)
	made, _, err = srv.APIKeys().Create(ctx, apikey.ByKey(leaked.ID, all, leaked.Credentials[0].ID), apikey.Spec{
		Workspace: "team-a", Name: "made by ci", Permissions: scope.MustParse("project.list"),
	})
	must(err)
	return srv, leaked, secret, made
}

// A leaked secret is ended by whoever finds it. What its key did is in the audit log.
func Example_leakedSecret() {
	ctx := context.Background()
	srv, key, secret, _ := operated(ctx)
	id, found := key.ID, secret.Reveal()

	// With the secret and without any right: the secret and its tokens end.
	err := srv.APIKeys().RevokeSecret(ctx, apikey.Credentials{Secret: found})
	fmt.Println("revoked:", err)

	// With the id alone: a new secret, and all others and their tokens end at once.
	_, replacement, err := srv.APIKeys().Rotate(ctx, operator, id, apikey.Rotation{Grace: 0})
	fmt.Println("rotated:", err)
	deliver(replacement) // your own way to hand over a secret

	// What the key did, and what was done to it.
	for _, q := range []store.EventQuery{{ActorID: id}, {Key: id}} {
		page, err := srv.APIKeys().Events(ctx, operator, q)
		for _, e := range page.Events {
			fmt.Println(e.Actor.Kind, e.Action, err)
		}
	}

	// If the key may manage keys: disable it, and everything that it made.
	n, err := srv.APIKeys().DisableAllBy(ctx, operator, store.ActorRef{Kind: "key", ID: id})
	fmt.Println("disabled:", n, err)
	// Output:
	// revoked: <nil>
	// rotated: <nil>
	// holder key.revoke_secret <nil>
	// key key.create <nil>
	// admin key.rotate <nil>
	// holder key.revoke_secret <nil>
	// owner key.create <nil>
	// disabled: 2 <nil>
}

func tellOwners(context.Context, ...string) error { return nil }

// A scanner reports leaked secrets, and a customer's scanner finds them before that.
func Example_secretFound() {
	srv, _, _, _ := operated(context.Background())
	mux := http.NewServeMux()

	leaks, err := srv.LeakReports(oauth.LeakConfig{
		KeysURL: "https://api.github.com/meta/public_keys/secret_scanning",
		Hook: func(ctx context.Context, l apikey.Leak) error {
			return tellOwners(ctx, l.Workspace, l.Key, l.Hint, l.URL) // in a queue of yours
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux.Handle("/github/leaks", leaks)

	// Only GitHub can report.
	unsigned := httptest.NewRequest(http.MethodPost, "/github/leaks", strings.NewReader("[]"))
	unsigned.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, unsigned)
	fmt.Println(answer.Code)

	fmt.Print("[extend]\nuseDefault = true\n\n", apikey.GitleaksRule("lk_"))
	// Output:
	// 403
	// [extend]
	// useDefault = true
	//
	// [[rules]]
	// id = "lk_secret"
	// description = "An API key's secret that begins with lk_"
	// regex = '''(lk_[0-9A-Za-z]{49})(?:[^0-9A-Za-z]|$)'''
	// secretGroup = 1
	// entropy = 3.2
	// keywords = ["lk_"]
}

// A person leaves: all keys that the person made end.
func Example_personLeaves() {
	ctx := context.Background()
	srv, _, _, _ := operated(ctx)

	// First take the person's rights away in your own system.
	n, err := srv.APIKeys().DisableAllBy(ctx, operator, store.ActorRef{ID: "olga"})
	fmt.Println("disabled:", n, err)
	// Output: disabled: 2 <nil>
}

// A workspace is suspended, and later deleted.
func Example_workspaceEnds() {
	ctx := context.Background()
	srv, key, _, _ := operated(ctx)

	// No login, and no token works; all of it can be undone.
	err := srv.APIKeys().SetSuspended(ctx, operator, "team-a", true)
	fmt.Println("suspended:", err)

	// For good. The id of the workspace cannot be used again.
	err = srv.APIKeys().DeleteWorkspace(ctx, operator, "team-a")
	fmt.Println("deleted:", err)

	// The audit events stay as long as Options.EventRetention says.
	page, err := srv.APIKeys().Events(ctx, operator, store.EventQuery{Workspace: "team-a", Limit: 2})
	for _, e := range page.Events {
		fmt.Println(e.Action, err)
	}
	_, err = srv.APIKeys().Get(ctx, operator, key.ID)
	fmt.Println(err)
	// Output:
	// suspended: <nil>
	// deleted: <nil>
	// workspace.delete <nil>
	// workspace.suspend <nil>
	// apikey: no such key or workspace, or the actor has no right in it: store: not found
}

// A signing key is replaced before its time, or all of them at once after a leak.
func Example_replaceSigningKeys() {
	ctx := context.Background()
	srv, key, secret, _ := operated(ctx)

	// Before its time: the next key signs in 10 minutes, and no token is refused.
	err := srv.RotateSigningKey(ctx, oauth.Rotation{})
	fmt.Println("rotated:", err)

	// After a leak: a new key signs at once, and all tokens so far are refused.
	err = srv.RevokeSigningKeys(ctx)
	fmt.Println("revoked:", err)

	// After a backup was restored: all tokens so far are refused. The signing keys stay.
	err = srv.APIKeys().RevokeAllTokens(ctx, operator)
	fmt.Println("revoked:", err)

	proof, err := srv.APIKeys().Authenticate(ctx, apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
	fmt.Println("keys still log in:", proof != nil, err)
	// Output:
	// rotated: <nil>
	// revoked: <nil>
	// revoked: <nil>
	// keys still log in: true <nil>
}

type teamTable map[string]team

type team struct{ exists, suspended bool }

func (t teamTable) find(_ context.Context, id string) (team, error) { return t[id], nil }

// Latchkey asks the host which workspaces there are.
func Example_workspaces() {
	teams := teamTable{"team-a": {exists: true}}
	cfg := oauth.Config{
		Issuer:      "https://api.example.com",
		Permissions: scope.MustCatalog(scope.Group{Title: "All", Permissions: []scope.Permission{{Name: "project.list"}}}),
		Logger:      slog.New(slog.DiscardHandler),
	}
	cfg.APIKeys.Workspaces = func(ctx context.Context, id string) (active bool, err error) {
		team, err := teams.find(ctx, id) // in your own table
		return team.exists && !team.suspended, err
	}
	srv, err := oauth.New(memstore.New(), cfg)
	if err != nil {
		panic(err)
	}
	for _, workspace := range []string{"team-a", "taem-a"} {
		_, _, err := srv.APIKeys().Create(context.Background(), operator, apikey.Spec{
			Workspace: workspace, Name: "ci", Permissions: scope.MustParse("project.list"),
		})
		fmt.Println(workspace, errors.Is(err, store.ErrNotFound))
	}
	// Output:
	// team-a false
	// taem-a true
}
