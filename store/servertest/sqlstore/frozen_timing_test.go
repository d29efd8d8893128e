//go:build timing

package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// bound is how long writers may wait for a process that vanished. If the database waited
// for ten connections one after another, it would take 20 s.
const bound = 3 * time.Second

// A process vanishes while each of its connections waits for a row that another one
// holds. Writers of another process wait for the database's idle timeout only once. Look-ups
// do not wait.
func TestTimingVanishedProcesses(t *testing.T) {
	create := func(workspace string) func(s store.Store, i int) error {
		return func(s store.Store, i int) error {
			return s.Keys.Create(context.Background(), key(workspace, fmt.Sprint("other-", i)), store.NoLimit, restsOnSettings)
		}
	}
	for _, e := range engines[:2] {
		for _, try := range []struct {
			name      string
			workspace func(i int) string // in which the process works
			write     func(s store.Store, i int) error
		}{
			{"in many workspaces", func(i int) string { return fmt.Sprint("team-", i) }, create("team-x")},
			{"in one workspace", func(int) string { return "team-a" }, create("team-a")},
			{"keys are switched off", func(i int) string { return fmt.Sprint("team-", i) }, func(s store.Store, i int) error {
				if i > 0 {
					return nil
				}
				return s.Settings.SetInstance(context.Background(), store.InstanceSettings{Instance: store.Instance{KeysOff: true}}, store.Change{})
			}},
		} {
			t.Run("B28 "+e.name+", "+try.name, func(t *testing.T) {
				t.Parallel()
				driver, source := e.space(t)
				other := e.tables(t, dial(t, driver, source), sqlstore.Config{}).Store()
				proxy, source := behind(t, driver, source)
				vanishing := e.tables(t, dial(t, driver, source), sqlstore.Config{}).Store()
				ctx, cancel := context.WithCancel(context.Background())
				var all sync.WaitGroup
				for i := range 10 {
					all.Go(func() {
						for n := 0; ctx.Err() == nil; n++ {
							_ = vanishing.Keys.Create(ctx, key(try.workspace(i), fmt.Sprintf("key-%d-%d", i, n)), store.NoLimit, restsOnSettings)
						}
					})
				}
				require.Eventually(t, func() bool { _, err := other.Keys.Lookup(ctx, "key-9-2"); return err == nil }, patience, time.Millisecond)
				proxy.Freeze()
				begun := time.Now()
				_, err := other.Keys.Lookup(ctx, "key-9-2")
				read := time.Since(begun)
				errs := race(5, func(i int) error { return try.write(other, i) })
				written := time.Since(begun)
				cancel()
				proxy.Thaw()
				all.Wait()
				require.NoError(t, errors.Join(append(errs, err)...))
				require.Less(t, read, time.Second)
				require.Less(t, written, bound)
			})
		}
	}
}

var restsOnSettings = store.Change{Preconditions: []store.Precondition{{}}}
