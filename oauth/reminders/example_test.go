package reminders_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/reminders"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func Example() {
	ctx := context.Background()
	st := memstore.New()
	keys, err := apikey.New(st, apikey.Config{
		Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}}),
		Logger:      slog.New(slog.DiscardHandler),
		Options:     apikey.Options{RemindBefore: []time.Duration{7 * 24 * time.Hour}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	soon := apikey.Expiry{At: keys.Now().Add(48 * time.Hour)}
	if _, _, err := keys.Create(ctx, apikey.Owner("olga", "team-a"), apikey.Spec{Workspace: "team-a", Name: "ci", Expiry: soon}); err != nil {
		fmt.Println(err)
		return
	}

	sender, err := reminders.New(st, keys, func(_ context.Context, r reminders.Reminder) error {
		fmt.Printf("to %s: the key %s is about to expire\n", r.Key.CreatedBy.ID, r.Key.Name)
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Every few minutes:
	for range 2 {
		if err := sender.Remind(ctx); err != nil {
			fmt.Println(err)
		}
	}
	// Output: to olga: the key ci is about to expire
}
