package memstore_test

import (
	"context"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func Example() {
	ctx, now := context.Background(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := memstore.New()
	err := s.Keys.Create(ctx, store.Key{
		ID: "key-1", Workspace: "team-a", Name: "deployment", Created: now, Updated: now,
		Permissions: scope.MustParse("project.list"),
		Credentials: []store.Credential{{ID: "s1", Hint: "aB3x", Digest: "hmac-sha256$1$...", Created: now}},
	}, store.NoLimit, store.Change{Now: now})
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := s.Keys.Lookup(ctx, "key-1")
	fmt.Println(found.Key.Name, found.Key.Version, found.Workspace.Keys, err)
	_, err = s.Keys.Lookup(ctx, "key-2")
	fmt.Println(err)
	// Output:
	// deployment 1 1 <nil>
	// memstore: look up key: store: not found
}

func ExampleNewLimiter() {
	ctx, now := context.Background(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	limiter := memstore.NewLimiter(10_000)
	// Two attempts at once, and one more each second.
	for range 3 {
		ahead, passed, err := limiter.Advance(ctx, "192.0.2.1", now, time.Second, 2*time.Second)
		fmt.Println(passed, ahead, err)
	}
	// Output:
	// true 1s <nil>
	// true 2s <nil>
	// false 2s <nil>
}
