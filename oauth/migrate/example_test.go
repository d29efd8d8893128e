package migrate_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/migrate"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// The host maps each client to a workspace and permissions, and imports the keys.
func Example() {
	export := `[{"client_id": "reporting", "client_secret": "9tQ4hFkXw2LzVb7NcYr8PmEsJd", "owner": "team-a",
	             "grant_types": ["client_credentials"], "scope": "project.list"},
	            {"client_id": "portal", "grant_types": ["authorization_code"]}]`

	found, err := migrate.Hydra(strings.NewReader(export), func(c migrate.Client) (apikey.Spec, error) {
		permissions, err := scope.Of(c.Scopes...)
		return apikey.Spec{Workspace: c.Owner, Permissions: permissions}, err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := apikey.New(memstore.New(), apikey.Config{
		Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}}),
		Logger:      slog.New(slog.DiscardHandler),
		Options:     apikey.Options{Imported: true}, // keys can log in with secrets that Latchkey did not generate
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, client := range found.Keys {
		key, err := keys.Import(context.Background(), apikey.OrganizationAdmin("migration"), client)
		if err != nil {
			fmt.Println(client.ID, err)
			continue
		}
		fmt.Println(key.ID, "may", key.Permissions, "in", key.Workspace)
	}
	for _, client := range found.Skipped {
		fmt.Println(client.ID, "was skipped:", client.Reason)
	}
	// Output:
	// reporting may project.list in team-a
	// portal was skipped: It may not use client_credentials.
}
