//go:build timing && !race

package oauth_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTimingScaling tests that 64 callers on two processors seldom wait for a mutex.
// It only logs how many more calls they make than on one processor, since this
// process cannot measure how much of the second one a hypervisor gives it.
// TestNoLockDuringCalls tests that no caller waits for another.
func TestTimingScaling(t *testing.T) {
	p := newPair(t, "ES256")
	handler, verifier := p.server.Token(), p.server.Verifier()
	token := p.token(t)
	login := func() func() error {
		c := newCall(p.login)
		return func() error { return c.to(handler) }
	}
	check := func() func() error {
		return func() error {
			_, err := verifier.Verify(context.Background(), token)
			return err
		}
	}
	for name, tc := range map[string]struct {
		caller func() func() error
		calls  int
	}{
		"login":        {login, 1 << 12},
		"bearer check": {check, 1 << 19},
	} {
		t.Run(name, func(t *testing.T) {
			rate := func(processors int) (float64, float64) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
				best, busy := 0.0, 0.0
				for range 5 {
					begin, used := time.Now(), processorTime()
					together(t, 64, tc.calls, tc.caller)
					took := time.Since(begin)
					if r := float64(tc.calls) / took.Seconds(); r > best {
						best, busy = r, float64(processorTime()-used)/float64(took)
					}
				}
				return best, busy
			}
			one, _ := rate(1)
			two, busy := rate(2)
			t.Logf("%.0f a second on one processor, %.0f on two: x%.2f, with x%.2f of one processor's time", one, two, two/one, busy)

			defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
			waits := mutexWaits()
			together(t, 64, tc.calls, tc.caller)
			waits = mutexWaits() - waits
			t.Logf("%d calls waited %d times for a mutex", tc.calls, waits)
			require.Less(t, waits, int64(tc.calls/20))
		})
	}
}

// together makes calls from that many goroutines, one caller each.
func together(t *testing.T, goroutines, calls int, caller func() func() error) {
	t.Helper()
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			call := caller()
			for range calls / goroutines {
				if err := call(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// mutexWaits is how often Latchkey's code has waited for a mutex while the
// profile was on.
func mutexWaits() int64 {
	n, _ := runtime.MutexProfile(nil)
	records := make([]runtime.BlockProfileRecord, n+100) // more may come in the meantime
	n, _ = runtime.MutexProfile(records)
	var waits int64
	for _, r := range records[:min(n, len(records))] {
		frames := runtime.CallersFrames(r.Stack())
		for {
			frame, more := frames.Next()
			if strings.Contains(frame.Function, "latchkey/oauth.") || strings.Contains(frame.Function, "latchkey/oauth/") {
				waits += r.Count
				break
			}
			if !more {
				break
			}
		}
	}
	return waits
}
