//go:build timing

package redisstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/redisstore"
)

// The time that a look-up costs this process, beyond the client's bare round trip, is
// bounded. The documented value is 30 us; the test allows ten times that.
func TestTimingLookup(t *testing.T) {
	client := sharedClient(t)
	s := newDriver(t, client, redisstore.Config{Prefix: newPrefix(t, client)}).Store()
	create(t, s, "team-a", "key-1")
	ctx := context.Background()
	fastest := func(do func() error) time.Duration {
		best := time.Hour
		for range 50 {
			begun := time.Now()
			for range 20 {
				require.NoError(t, do())
			}
			best = min(best, time.Since(begun)/20)
		}
		return best
	}
	trip := fastest(func() error { return client.Ping(ctx).Err() })
	whole := fastest(func() error { _, err := s.Keys.Lookup(ctx, "key-1"); return err })
	t.Logf("a look-up takes %s, a bare round trip %s", whole, trip)
	require.Less(t, whole-trip, 300*time.Microsecond)
	allocations := testing.AllocsPerRun(100, func() { _, _ = s.Keys.Lookup(ctx, "key-1") })
	t.Logf("%.0f allocations", allocations)
}

// The loss of the last notification shows within 5 s. A stream whose connection is half
// open sends nothing more after 2 s.
func TestTimingWatch(t *testing.T) {
	t.Run("B07 a lost notification", func(t *testing.T) {
		through, direct, proxy := proxied(t)
		w := listen(t, through)
		create(t, direct, "team-a", "key-1")
		_, gap := w.until(t, aboutKey("key-1"))
		require.False(t, gap)
		proxy.DropNext("key-lost")
		create(t, direct, "team-a", "key-lost")
		begun := time.Now()
		_, gap = w.until(t, aboutKey("key-lost"))
		require.True(t, gap)
		t.Logf("the loss of the last notification showed after %s", time.Since(begun))
		require.Less(t, time.Since(begun), 5*time.Second)
	})
	t.Run("B07 a half-open connection", func(t *testing.T) {
		through, _, proxy := proxied(t)
		w := listen(t, through)
		w.next(t)
		proxy.Freeze()
		begun, last := time.Now(), time.Now()
		for ended := false; !ended; {
			select {
			case <-w.notifications:
				last = time.Now()
			case err := <-w.ended:
				require.Error(t, err)
				ended = true
			case <-time.After(patience):
				t.Fatal("the stream sent nothing and did not end")
			}
		}
		t.Logf("last notification after %s, ended after %s", last.Sub(begun), time.Since(begun))
		require.Less(t, last.Sub(begun), 2*time.Second)
	})
}
