package audit_test

import (
	"context"
	"fmt"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func Example() {
	ctx := context.Background()
	keys, err := apikey.New(memstore.New(), apikey.Config{Permissions: scope.MustCatalog(scope.Group{
		Title: "Projects", Permissions: []scope.Permission{{Name: "project.list"}},
	})})
	if err != nil {
		fmt.Println(err)
		return
	}
	olga := apikey.Member("olga", apikey.Owner, "team-a")
	key, _, err := keys.Create(ctx, olga, apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list")})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := keys.Delete(ctx, olga, key.ID, 0); err != nil {
		fmt.Println(err)
		return
	}
	page, err := keys.Events(ctx, olga, store.EventQuery{Workspace: "team-a", Action: audit.Delete})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, event := range page.Events {
		fmt.Println(event.Actor.ID, event.Action)
	}
	// Output: olga key.delete
}
