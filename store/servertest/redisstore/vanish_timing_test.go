//go:build timing

package redisstore_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A frozen client does not delay other clients: a look-up takes less than a second, a
// change less than three.
func TestTimingVanished(t *testing.T) {
	for _, change := range vanishings {
		t.Run("B28 "+change.name, func(t *testing.T) {
			v := newVanished(t, change)
			v.betweenRequests()
			t.Log(v.slowest)
			for name, took := range v.slowest {
				bound := 3 * time.Second
				if slices.Contains([]string{"look up", "read epochs"}, name) {
					bound = time.Second
				}
				require.Less(t, took, bound, name)
			}
		})
	}
}
