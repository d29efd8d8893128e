package fleet_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// perHour is how many logins of one key all processes together allow in an hour. All of
// them may come at once.
const perHour = 60

// once checks that one-time ids and limits hold over all processes.
func once(t *testing.T, fleet []*replica) {
	t.Helper()
	attempts := 100
	if soak() {
		attempts = 5000
	}
	t.Run("B18 one-time ids", func(t *testing.T) {
		// Servers remove expired ids by their own clocks.
		now := time.Now()
		ids := order{Workspace: "jti", Now: now, Attempts: attempts, Workers: 8}
		require.Equal(t, attempts, together(t, fleet, "spend", ids))
		ids.Now = now.Add(time.Hour - time.Second)
		require.Zero(t, together(t, fleet, "spend", ids), "spent, and not expired")
		t.Logf("%d ids, each tried by %d processes: each was spent once", attempts, len(fleet))
	})
	t.Run("B18 attempts under a limit", func(t *testing.T) {
		limit := attempts / 2
		passed := together(t, fleet, "advance", order{Workspace: "client", Now: start, Attempts: attempts, Allowed: limit, Workers: 8})
		require.Equal(t, limit, passed)
		t.Logf("%d attempts by each of %d processes against a limit of %d: %d passed", attempts, len(fleet), limit, passed)
	})
	t.Run("B32 requests under a limit", func(t *testing.T) {
		passed := together(t, fleet, "request", order{Workspace: "team-a", Key: "key-1", Attempts: attempts, Workers: 8})
		require.Equal(t, perHour/2, passed)
	})
	t.Run("B18 logins under a limit", func(t *testing.T) {
		m := fleet[0].create(t, "team-a")
		statuses := make([]int, 2*perHour)
		var clients sync.WaitGroup
		for i := range statuses {
			clients.Go(func() {
				a, _ := fleet[i%len(fleet)].tryLogin(m)
				statuses[i] = a.status
			})
		}
		clients.Wait()
		counts := map[int]int{}
		for _, status := range statuses {
			counts[status]++
		}
		require.Equal(t, map[int]int{http.StatusOK: perHour, http.StatusTooManyRequests: perHour}, counts)
	})
}

// together sends all processes the same order at once, and returns the sum of their
// answers.
func together(t *testing.T, fleet []*replica, name string, o order) int {
	t.Helper()
	counts, errs := make([]int, len(fleet)), make([]error, len(fleet))
	var working sync.WaitGroup
	for i, r := range fleet {
		working.Go(func() { _, errs[i] = r.tell(context.Background(), name, o, &counts[i]) })
	}
	working.Wait()
	sum := 0
	for i := range fleet {
		require.NoError(t, errs[i])
		sum += counts[i]
	}
	return sum
}
