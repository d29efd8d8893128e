package cache_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// A cache is placed between a store and the server. The server's Run follows the stream
// of changes.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	st := memstore.New() // in production: sqlstore or redisstore

	cached, err := cache.New(st, cache.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv, err := oauth.New(cached.Store(), oauth.Config{
		Issuer:      "https://api.example.com",
		Permissions: scope.MustCatalog(),
		Logger:      slog.New(slog.DiscardHandler), // in production: leave it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("usable before Run follows the changes:", cached.Usable())
	go srv.Run(ctx)
	// Output:
	// usable before Run follows the changes: false
}
