//go:build timing

package galera_test

import (
	"testing"
	"time"
)

// TestTimingNodeFails checks that the other nodes write again within three seconds.
func TestTimingNodeFails(t *testing.T) { nodeFails(t, 3*time.Second) }
