package fleet_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// hurtable is a fleet of three: one that nothing stands in the way of, one
// whose stream of changes comes through a proxy, and one that reaches its
// store through a proxy only.
type hurtable struct {
	*testing.T
	here, deaf, far *replica
	stream, all     *servers.Proxy
	worst, best     time.Duration // of what was measured against the bound
}

func newHurtable(t *testing.T, on system) *hurtable {
	t.Helper()
	h := &hurtable{T: t}
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

// at is the fleet as a subtest sees it.
func (h *hurtable) at(t *testing.T) *hurtable {
	there := *h
	there.T, there.best = t, patience
	return &there
}

// hot is a new key with a token that every process has seen.
func (h *hurtable) hot() (made, string) {
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

// within measures against the cache's bound. The full form asks for it; in the
// suite the machine may be busy with other things for a while.
func (h *hurtable) within(took time.Duration, what string) {
	h.Helper()
	limit := bound
	if !soak() {
		limit *= 10
	}
	require.Less(h, took, limit, what)
	h.worst, h.best = max(h.worst, took), min(h.best, took)
}

// again reports whether a test of silence needs another round: drivers give a
// silent stream up after 2 or 3 seconds, and without the cache's own bound
// every round would take that long.
func (h *hurtable) again(round, rounds int) bool {
	const tries = 5
	if round < rounds || round < tries && h.best >= 2*bound {
		return true
	}
	require.Less(h, h.best, 2*bound, "silence is noticed by the driver only")
	return false
}

func (h *hurtable) whole() {
	h.Helper()
	for _, r := range []*replica{h.here, h.deaf, h.far} {
		require.Eventually(h, func() bool { return r.vouched(h.T) }, patience, 5*time.Millisecond, "the cache never came back to use")
	}
}

// TestStreamLost: where the stream of changes is lost, nothing is answered
// from memory for longer than the bound.
func TestStreamLost(t *testing.T) {
	beside(t)
	for _, on := range []system{onRedis, onPostgres} {
		t.Run(on.name, func(t *testing.T) {
			beside(t)
			h := newHurtable(t, on)
			rounds := 1
			if soak() {
				rounds = 50
			}
			t.Run("B07 one notice is dropped", func(t *testing.T) { h.at(t).droppedNotice(rounds) })
			t.Run("B07 the stream is half-open", func(t *testing.T) { h.at(t).frozenStream(rounds) })
			t.Run("B07 everything is half-open", func(t *testing.T) { h.at(t).frozenStore(rounds) })
		})
	}
}

// droppedNotice drops what tells of one change; the connection stays open, and
// whatever follows arrives.
func (h *hurtable) droppedNotice(rounds int) {
	const tries = 10 // for a busy machine may break and open a stream by itself
	for tried := 0; h.stream.Dropped() < rounds; tried++ {
		require.Less(h, tried, tries*rounds, "notices were dropped in %d rounds only", h.stream.Dropped())
		m, token := h.hot()
		h.stream.DropNext(m.Key)
		hammered := swing(h.deaf, m, token)
		hammered.begun(h.T)
		h.here.order(h.T, "disable", order{Key: m.Key})
		ended := time.Now()
		h.within(hammered.refused(h.T, http.StatusUnauthorized).Sub(ended), "the token was taken")
		require.Equal(h, http.StatusUnauthorized, h.deaf.loginStatus(h.T, m))
		h.whole()
	}
	h.Logf("%d rounds: refused at most %.0f ms after the disable returned", rounds, h.worst.Seconds()*1000)
}

// frozenStream loses the stream alone: the store answers what is read.
func (h *hurtable) frozenStream(rounds int) {
	for round := 0; h.again(round, rounds); round++ {
		m, token := h.hot()
		h.stream.Freeze()
		hammered := swing(h.deaf, m, token)
		hammered.begun(h.T)
		h.here.order(h.T, "disable", order{Key: m.Key})
		ended := time.Now()
		h.within(hammered.refused(h.T, http.StatusUnauthorized).Sub(ended), "the token was taken")
		require.False(h, h.deaf.vouched(h.T), "nothing can have told")
		require.Equal(h, http.StatusUnauthorized, h.deaf.loginStatus(h.T, m))
		other := h.here.create(h.T, "team-a")
		require.Equal(h, http.StatusOK, h.deaf.call(h.T, other, h.deaf.login(h.T, other)), "the store alone is enough")
		h.stream.Thaw()
		h.whole()
	}
	h.Logf("%d rounds: refused at most %.0f ms after the disable returned", rounds, h.worst.Seconds()*1000)
}

// frozenStore loses the store altogether.
func (h *hurtable) frozenStore(rounds int) {
	for round := 0; h.again(round, rounds); round++ {
		m, token := h.hot()
		hammered := swing(h.far, m, token)
		hammered.begun(h.T)
		h.all.Freeze()
		frozen := time.Now()
		h.here.order(h.T, "disable", order{Key: m.Key})
		hammered.refused(h.T, http.StatusServiceUnavailable)
		h.within(hammered.lastOK.Sub(frozen), "the last call that was taken began")
		for _, try := range []func() (answer, error){
			func() (answer, error) { return h.far.tryLogin(m) },
			func() (answer, error) { return h.far.tryCall(m, token) },
		} {
			a, err := try()
			require.NoError(h, err)
			require.Equal(h, http.StatusServiceUnavailable, a.status, "B19 what cannot be read is refused")
			require.NotEmpty(h, a.retryAfter)
		}
		h.all.Thaw()
		for {
			// From here on the store may answer, and if it does it knows.
			status := h.far.call(h.T, m, token)
			if status == http.StatusUnauthorized {
				break
			}
			require.Equal(h, http.StatusServiceUnavailable, status)
		}
		h.whole()
	}
	h.Logf("%d rounds: the last call that was taken began at most %.0f ms after the line went dead", rounds, h.worst.Seconds()*1000)
}
