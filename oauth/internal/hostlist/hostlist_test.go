package hostlist_test

import (
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
	"github.com/latchkey-go/latchkey/store"
)

// A list in the middle of a rolling deploy, and one from which an entry was removed
// too early. Packages oauth and oauth/apikey test the refusals.
func ExampleList_Check() {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	one, two := store.ListEntry{List: store.Peppers, Name: "1", Fingerprint: "aa"}, store.ListEntry{List: store.Peppers, Name: "2", Fingerprint: "bb"}
	used := []store.ListEntry{one, two}
	fmt.Println(hostlist.List{two, one}.Check(used, now, nil))
	fmt.Println(hostlist.List{two}.Check(used, now, nil))
	fmt.Println(hostlist.List{two}.Check(used, now, []string{"pepper 1"}))
	// Output:
	// <nil>
	// Config.Peppers lacks pepper 1, which is in use and has the fingerprint aa: list it, or name "pepper 1" in apikey.Options.Withdrawn if it must not be used any more
	// <nil>
}
