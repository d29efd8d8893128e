package scale_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// few is the size of the store that larger ones are compared with.
const few = 1000

// sizes returns the sizes of the full form: up to a million keys in 10,000 workspaces, or
// up to LATCHKEY_SCALE.
func sizes(t *testing.T) []int {
	t.Helper()
	if !soak() {
		return []int{few}
	}
	most := 1_000_000
	if text := os.Getenv("LATCHKEY_SCALE"); text != "" {
		var err error
		most, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	var all []int
	for keys := few; keys <= most; keys *= 10 {
		all = append(all, keys)
	}
	return all
}

const memory = "a thousand keys fit into the processor's caches, more do not"

// grows are the calls that take longer in larger stores, with the reason.
var grows = map[string]string{
	"memstore, look-up":               memory,
	"memstore, page of one workspace": memory,
	"memstore, page of all":           memory,
	"memstore, limit check":           memory,
	"Redis, page of all":              "it merges the lists of all workspaces, since no slot has them all",
}

// TestScale fills each store and measures it at every size, and compares it with a store
// of a thousand keys on the same server. The full form fails if a call takes more than
// twice as long in the largest store.
func TestScale(t *testing.T) {
	var tb table
	t.Cleanup(func() { tb.publish(t) })
	e := effort{1, 5 * time.Millisecond}
	if soak() {
		e = effort{8, 100 * time.Millisecond}
	}
	for _, r := range rigs {
		t.Run(r.name, func(t *testing.T) {
			rig := r.start(t, nil)
			large := rig.open(t)
			const users = 100
			sides := [2]*side{1: {st: large.store, login: newLogins(t, large.store, large.store, users)}}
			sides[0] = sides[1]
			if soak() {
				small := rig.open(t)
				require.NoError(t, fill(t.Context(), small.store, 0, few))
				small.settle(t)
				sides[0] = &side{st: small.store, login: newLogins(t, small.store, small.store, users)}
			}
			large.settle(t)
			empty, held := large.used(t), 0
			for _, keys := range sizes(t) {
				begun := time.Now()
				require.NoError(t, fill(t.Context(), large.store, held, keys))
				if held = keys; soak() {
					t.Logf("%s: %d keys after %s", r.name, keys, time.Since(begun).Round(time.Millisecond))
				}
				large.settle(t)
				row := row{store: r.name, keys: keys, bytes: (large.used(t) - empty) / int64(keys)}
				require.Positive(t, row.bytes)
				sides[0].sampled(few, few)
				sides[1].sampled(keys, 2*few)
				for i := range sides[1].sample { // fills caches of each key
					require.NoError(t, tasks[0].run(sides[1], i))
				}
				for _, task := range tasks {
					best, err := medians(e, sides, task)
					require.NoError(t, err, task.name)
					row.took = append(row.took, best[1])
					growth := float64(best[1]) / float64(best[0])
					row.growth = append(row.growth, growth)
					if why := grows[r.name+", "+task.name]; soak() && why == "" && growth > 2 {
						t.Errorf("%s, %s: %.1f times as long with %d keys as with %d", r.name, task.name, growth, keys, few)
					}
				}
				require.NoError(t, sides[0].purge())
				require.NoError(t, sides[1].purge())
				tb.add(t, row)
			}
		})
	}
}
