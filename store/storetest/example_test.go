package storetest_test

import (
	"fmt"
	"testing"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// A driver's test is one call. The function returns an empty store, and uses t.Cleanup to
// close it.
func Example() {
	TestDriver := func(t *testing.T) {
		storetest.Run(t, func(*testing.T) store.Store { return memstore.New() })
	}
	fmt.Printf("%T\n", TestDriver)
	// Output: func(*testing.T)
}
