package store_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// All records come from one driver. The limiter, the usage counters and the signing
// keys may come from another.
func Example() {
	s := memstore.New()
	s.Limiter = memstore.NewLimiter(1 << 16) // for example the one of package redisstore

	_, moved, err := s.Limiter.Advance(context.Background(), "login", time.Now(), time.Second, time.Minute)
	fmt.Println(moved, err)
	// Output: true <nil>
}

// Create checks the limit in the same step that adds the key. errors.Is shows
// which error it is.
func ExampleKeys() {
	ctx, now := context.Background(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	keys := memstore.New().Keys
	for _, id := range []string{"key-1", "key-2"} {
		err := keys.Create(ctx, store.Key{
			ID: id, Workspace: "team-a", Name: "deployment", Created: now, Updated: now,
			Credentials: []store.Credential{{ID: "s1", Digest: "hmac-sha256$1$...", Created: now}},
		}, 1, store.Change{Now: now})
		switch {
		case errors.Is(err, store.ErrLimit):
			fmt.Println(id, "is one too many")
		case err == nil:
			fmt.Println(id, "was created")
		}
	}
	// Output:
	// key-1 was created
	// key-2 is one too many
}
