package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/backup"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// All keys of one store are restored into another, and log in there with their old
// secrets.
func Example() {
	ctx := context.Background()
	cfg := apikey.Config{
		Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}}),
		Logger:      slog.New(slog.DiscardHandler),
		// Both services need the same Peppers, SecretPrefixes and Imported.
	}
	here, err := apikey.New(memstore.New(), cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	there, err := apikey.New(memstore.New(), cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	you := apikey.OrganizationAdmin("you")
	key, secret, err := here.Create(ctx, you, apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list")})
	if err != nil {
		fmt.Println(err)
		return
	}

	var lines bytes.Buffer
	if err := backup.Export(ctx, here, you, &lines); err != nil {
		fmt.Println(err)
		return
	}
	done, err := backup.Restore(ctx, there, you, bytes.NewReader(lines.Bytes()))
	if err != nil {
		fmt.Println(err) // an outage; done holds the result so far, and Restore can be run again
		return
	}
	fmt.Println(done.Keys, "restored,", done.Refused, "refused")

	login, err := there.Authenticate(ctx, apikey.Credentials{ID: key.ID, Secret: secret.Reveal()})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(login.Key().Name, "logs in")

	again, err := backup.Restore(ctx, there, you, &lines)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, problem := range again.Problems {
		fmt.Println("line", problem.Line, problem.Err)
	}
	// Output:
	// 1 restored, 0 refused
	// ci logs in
	// line 1 apikey: restore key: a key has this id: store: already exists
}
