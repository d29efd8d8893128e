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

// A table of home-made keys, of which the host keeps the SHA-256, becomes keys. Their
// digests are replaced when programs use them.
func ExampleCSV() {
	export := `id,workspace,name,sha256,created,expires
k-17,team-a,nightly report,17d5639133 is cut off,2024-03-01,
k-18,team-a,billing,F9VjETM6HsbqAsPYtxTreyEfS4/V/zm2feNFFGHxUmc=,2024-03-01,2031-01-31
`
	found, err := migrate.CSV(strings.NewReader(export), func(migrate.Client) (apikey.Spec, error) {
		return apikey.Spec{Permissions: scope.MustParse("project.list")}, nil // the workspace is that of the row
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
	ctx := context.Background()
	for _, row := range found.Keys {
		row.Generated = true // our secrets have 24 random characters
		key, err := keys.Import(ctx, apikey.OrganizationAdmin("migration"), row)
		if err != nil {
			fmt.Println(row.ID, err)
			continue
		}
		fmt.Println(key.ID, "of", key.Workspace, "expires after", key.NotAfterText)
	}
	for _, row := range found.Skipped {
		fmt.Println(row.ID, "was skipped:", row.Reason)
	}
	_, err = keys.Authenticate(ctx, apikey.Credentials{ID: "k-18", Secret: "tq_5hVbW9mXz3Kd8RfPy2Nc7"})
	fmt.Println("login:", err)
	// Output:
	// k-18 of team-a expires after 2031-01-31
	// k-17 was skipped: Line 2: Column sha256: a SHA-256 has 64 characters of hex, or 43 of base64 (44 with padding).
	// login: <nil>
}

func ExampleJSONLines() {
	export := `{"id": "k-18", "workspace": "team-a", "name": "billing", "sha256": "17d56311333a1ec6ea02c3d8b714eb7b211f4b8fd5ff39b67de3451461f15267", "expires": null}
{"id": "k-19", "workspace": "team-a", "sha256": "17d56311333a1ec6ea02c3d8b714eb7b211f4b8fd5ff39b67de3451461f15267", "expire": "2026-12-31"}
`
	found, err := migrate.JSONLines(strings.NewReader(export), func(migrate.Client) (apikey.Spec, error) { return apikey.Spec{}, nil })
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, row := range found.Keys {
		fmt.Println(row.ID, row.Workspace, row.Name)
	}
	for _, row := range found.Skipped {
		fmt.Println(row.ID, row.Reason)
	}
	// Output:
	// k-18 team-a billing
	// #2 Line 2: It cannot be read: JSON: member "expire": unknown member.
}
