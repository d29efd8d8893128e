package store_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// A store is composed by assigning fields: here all records of one driver
// with the epochs of another.
func Example() {
	s := memstore.New()
	s.Epochs = memstore.New().Epochs

	// Epochs of another system are raised before the change is written.
	fmt.Println("a change raises its epoch itself:", s.Epochs.With(s.Keys))
	// Output: a change raises its epoch itself: false
}

// The number of keys is checked in the step that adds one, and errors are
// told apart with errors.Is.
func ExampleKeys() {
	ctx, now := context.Background(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	keys := memstore.New().Keys
	for _, id := range []string{"key-1", "key-2"} {
		err := keys.Create(ctx, store.Key{
			ID: id, Workspace: "team-a", Name: "deployment", Created: now, Updated: now,
			Secrets: []store.Secret{{ID: "s1", Digest: "hmac-sha256$1$...", Created: now}},
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
