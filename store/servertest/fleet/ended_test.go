package fleet_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// measureRevocation measures how long the other processes accept a token after its key
// was disabled in one process.
func measureRevocation(t *testing.T, fleet []*replica, rounds int) {
	t.Helper()
	var sinceEnd, sinceStart []time.Duration
	taken := 0
	for round := range rounds {
		here := fleet[round%3]
		others := []*replica{fleet[(round+1)%3], fleet[(round+2)%3]}
		m := here.create(t, fmt.Sprint("team-", round%10))
		token := here.login(t, m)
		for _, r := range fleet {
			require.Equal(t, http.StatusOK, r.call(t, m, token), "the token of a new key")
		}
		var hammers []*hammer
		for _, r := range others {
			hammers = append(hammers, startHammer(r, m, token))
		}
		for _, h := range hammers {
			h.begun(t)
		}
		began := time.Now()
		here.order(t, "disable", order{Key: m.Key})
		returned := time.Now()
		require.Equal(t, http.StatusUnauthorized, here.call(t, m, token), "the process that disabled the key")
		for _, h := range hammers {
			refused := h.refused(t, http.StatusUnauthorized)
			taken += h.taken
			sinceEnd = append(sinceEnd, max(0, refused.Sub(returned)))
			sinceStart = append(sinceStart, refused.Sub(began))
		}
		for _, r := range fleet {
			require.Equal(t, http.StatusUnauthorized, r.call(t, m, token), "the token was refused and then accepted again")
			require.Equal(t, http.StatusUnauthorized, r.loginStatus(t, m), "the login")
		}
	}
	t.Logf("%d rounds, %d calls: refused after the disable returned: %s; after it began: %s",
		rounds, taken, spread(sinceEnd), spread(sinceStart))
	limit := 200 * time.Millisecond
	if !soak() {
		limit *= 10
	}
	require.Less(t, quantile(sinceEnd, 0.99), limit)
}

// hammer calls one replica with a token repeatedly until it is refused.
type hammer struct {
	first   chan struct{}
	done    chan struct{}
	taken   int
	status  int
	err     error
	lastOK  time.Time // when the last accepted call began
	longest time.Duration
	at      time.Time
}

func startHammer(r *replica, m made, token string) *hammer {
	h := &hammer{first: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(h.done)
		until := time.Now().Add(patience)
		for time.Now().Before(until) {
			began := time.Now()
			a, err := r.tryCall(m, token)
			h.status, h.err, h.at = a.status, err, time.Now()
			h.longest = max(h.longest, h.at.Sub(began))
			if err != nil || a.status != http.StatusOK {
				return
			}
			h.lastOK = began
			if h.taken++; h.taken == 1 {
				close(h.first)
			}
		}
	}()
	return h
}

// begun waits for the first call.
func (h *hammer) begun(t *testing.T) {
	t.Helper()
	select {
	case <-h.first:
	case <-h.done:
		require.NoError(t, h.err)
		t.Fatalf("the first call was answered %d", h.status)
	}
}

// refused waits for the first call that is not accepted, and returns the time of its
// answer.
func (h *hammer) refused(t *testing.T, status int) time.Time {
	t.Helper()
	<-h.done
	require.NoError(t, h.err)
	require.Equal(t, status, h.status)
	return h.at
}

func quantile(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func spread(all []time.Duration) string {
	ms := func(q float64) string { return fmt.Sprintf("%.1f ms", float64(quantile(all, q).Microseconds())/1000) }
	return "p50 " + ms(0.5) + ", p99 " + ms(0.99) + ", max " + ms(1)
}
