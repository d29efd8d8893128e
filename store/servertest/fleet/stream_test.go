package fleet_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// faultyFleet is a fleet of three processes: one without a proxy, one whose stream of changes
// goes through a proxy, and one whose connections all go through a proxy.
type faultyFleet struct {
	*testing.T
	here, deaf, far *replica
	stream, all     *servers.Proxy
	worst, best     time.Duration // of the durations that are compared with the bound
}

func newFaultyFleet(t *testing.T, on system) *faultyFleet {
	t.Helper()
	h := &faultyFleet{T: t}
	s := on.spec(t)
	proxy := func() *servers.Proxy {
		p, err := servers.NewProxy(s.Keys.server(t))
		require.NoError(t, err)
		t.Cleanup(p.Close)
		return p
	}
	h.stream, h.all = proxy(), proxy()
	deaf, far := s, s
	deaf.Keys.Stream = s.Keys.through(t, h.stream.Addr())
	far.Keys.Source = s.Keys.through(t, h.all.Addr())
	fleet := launch(t, s, deaf, far)
	h.here, h.deaf, h.far = fleet[0], fleet[1], fleet[2]
	return h
}

// at returns the fleet for a subtest.
func (h *faultyFleet) at(t *testing.T) *faultyFleet {
	there := *h
	there.T, there.best = t, patience
	return &there
}

// acceptedToken returns a new key with a token that every process has accepted.
func (h *faultyFleet) acceptedToken() (made, string) {
	h.Helper()
	m := h.here.create(h.T, "team-a")
	token := h.here.login(h.T, m)
	for range 2 {
		for _, r := range []*replica{h.here, h.deaf, h.far} {
			require.Equal(h, http.StatusOK, r.call(h.T, m, token))
		}
	}
	return m, token
}

// within compares a duration with the cache's bound. Only the full form requires the
// bound, since otherwise the machine may be busy.
func (h *faultyFleet) within(took time.Duration, what string) {
	h.Helper()
	limit := bound
	if !soak() {
		limit *= 10
	}
	require.Less(h, took, limit, what)
	h.worst, h.best = max(h.worst, took), min(h.best, took)
}

// again reports whether a test with a frozen connection needs another round. Drivers end
// a stream after 2 or 3 seconds without an answer. Without the cache's own bound every
// round would take that long.
func (h *faultyFleet) again(round, rounds int) bool {
	const tries = 5
	if round < rounds || round < tries && h.best >= 2*bound {
		return true
	}
	require.Less(h, h.best, 2*bound, "only the driver noticed that the stream is frozen")
	return false
}

func (h *faultyFleet) waitForCaches() {
	h.Helper()
	for _, r := range []*replica{h.here, h.deaf, h.far} {
		require.Eventually(h, func() bool { return r.cacheUsable(h.T) }, patience, 5*time.Millisecond, "the cache was not used again")
	}
}

// TestStreamLost checks that without the stream of changes a process does not answer from
// its cache for longer than the bound.
func TestStreamLost(t *testing.T) {
	parallelUnlessTimed(t)
	for _, on := range []system{onRedis, onPostgres} {
		t.Run(on.name, func(t *testing.T) {
			parallelUnlessTimed(t)
			h := newFaultyFleet(t, on)
			rounds := 1
			if soak() {
				rounds = 50
			}
			t.Run("B07 one notification is dropped", func(t *testing.T) { h.at(t).droppedNotification(rounds) })
			t.Run("B07 the stream is half-open", func(t *testing.T) { h.at(t).frozenStream(rounds) })
			t.Run("B07 everything is half-open", func(t *testing.T) { h.at(t).frozenStore(rounds) })
		})
	}
}

// droppedNotification drops the notification of one change. The connection stays open,
// and later notifications arrive.
func (h *faultyFleet) droppedNotification(rounds int) {
	const tries = 10 // on a busy machine a stream may break and open again by itself
	for tried := 0; h.stream.Dropped() < rounds; tried++ {
		require.Less(h, tried, tries*rounds, "notifications were dropped in only %d rounds", h.stream.Dropped())
		m, token := h.acceptedToken()
		h.stream.DropNext(m.Key)
		hammered := startHammer(h.deaf, m, token)
		hammered.begun(h.T)
		h.here.order(h.T, "disable", order{Key: m.Key})
		ended := time.Now()
		h.within(hammered.refused(h.T, http.StatusUnauthorized).Sub(ended), "the token was still accepted")
		require.Equal(h, http.StatusUnauthorized, h.deaf.loginStatus(h.T, m))
		h.waitForCaches()
	}
	h.Logf("%d rounds: refused at most %.0f ms after the disable returned", rounds, h.worst.Seconds()*1000)
}

// frozenStream freezes only the stream. The store still answers reads.
func (h *faultyFleet) frozenStream(rounds int) {
	for round := 0; h.again(round, rounds); round++ {
		m, token := h.acceptedToken()
		h.stream.Freeze()
		hammered := startHammer(h.deaf, m, token)
		hammered.begun(h.T)
		h.here.order(h.T, "disable", order{Key: m.Key})
		ended := time.Now()
		h.within(hammered.refused(h.T, http.StatusUnauthorized).Sub(ended), "the token was still accepted")
		require.False(h, h.deaf.cacheUsable(h.T), "the cache is used without a stream")
		require.Equal(h, http.StatusUnauthorized, h.deaf.loginStatus(h.T, m))
		other := h.here.create(h.T, "team-a")
		require.Equal(h, http.StatusOK, h.deaf.call(h.T, other, h.deaf.login(h.T, other)), "the call is answered from the store")
		h.stream.Thaw()
		h.waitForCaches()
	}
	h.Logf("%d rounds: refused at most %.0f ms after the disable returned", rounds, h.worst.Seconds()*1000)
}

// frozenStore freezes all connections to the store.
func (h *faultyFleet) frozenStore(rounds int) {
	for round := 0; h.again(round, rounds); round++ {
		m, token := h.acceptedToken()
		hammered := startHammer(h.far, m, token)
		hammered.begun(h.T)
		h.all.Freeze()
		frozen := time.Now()
		h.here.order(h.T, "disable", order{Key: m.Key})
		hammered.refused(h.T, http.StatusServiceUnavailable)
		h.within(hammered.lastOK.Sub(frozen), "the last accepted call began")
		for _, try := range []func() (answer, error){
			func() (answer, error) { return h.far.tryLogin(m) },
			func() (answer, error) { return h.far.tryCall(m, token) },
		} {
			a, err := try()
			require.NoError(h, err)
			require.Equal(h, http.StatusServiceUnavailable, a.status, "B19 a call is refused if the store cannot be read")
			require.NotEmpty(h, a.retryAfter)
		}
		h.all.Thaw()
		for {
			// From here on the store may answer, with current data.
			status := h.far.call(h.T, m, token)
			if status == http.StatusUnauthorized {
				break
			}
			require.Equal(h, http.StatusServiceUnavailable, status)
		}
		h.waitForCaches()
	}
	h.Logf("%d rounds: the last accepted call began at most %.0f ms after the connections froze", rounds, h.worst.Seconds()*1000)
}
