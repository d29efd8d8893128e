package trust_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

// wait moves the clock and gives the world's token the times of then.
func (w *world) wait(d time.Duration) {
	w.clock.Advance(d)
	now := w.clock.Now().Unix()
	w.claims["iat"], w.claims["exp"] = now, now+600
}

// madeUp logs in with many kids that no issuer has, on several goroutines.
func (w *world) madeUp(l *trust.List, n int) (refused, outages int64) {
	w.t.Helper()
	tokens := make([]string, n)
	for i := range tokens {
		w.header["kid"] = "made-up-" + strconv.Itoa(i)
		tokens[i] = w.token()
	}
	w.header["kid"] = "k1"
	var counts [2]atomic.Int64
	var group sync.WaitGroup
	for g := range 16 {
		group.Go(func() {
			for i := g; i < n; i += 16 {
				_, _, err := find(context.Background(), l, tokens[i], []store.Trust{w.trust})
				if store.IsOutage(err) {
					counts[1].Add(1)
				} else if err != nil {
					counts[0].Add(1)
				}
			}
		})
	}
	group.Wait()
	return counts[0].Load(), counts[1].Load()
}

func TestUnknownKidsCauseOneFetchAMinute(t *testing.T) {
	w := newWorld(t)
	s := w.serve()
	l := w.list()
	require.NoError(t, w.find(l))
	require.EqualValues(t, 2, s.hits.Load(), "metadata and keys")
	for minute := range int64(3) {
		t.Run(fmt.Sprintf("B17 minute %d", minute), func(t *testing.T) {
			w.wait(30 * time.Second)
			refused, outages := w.madeUp(l, 1000)
			require.Equal(t, [2]int64{1000, 0}, [2]int64{refused, outages})
			require.Equal(t, 2+2*minute, s.hits.Load())
			w.wait(30 * time.Second)
			refused, outages = w.madeUp(l, 1000)
			require.Equal(t, [2]int64{1000, 0}, [2]int64{refused, outages})
			require.Equal(t, 4+2*minute, s.hits.Load())
		})
	}
	t.Run("B17 while the issuer fails, they are outages and known keys work", func(t *testing.T) {
		s.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		before := s.hits.Load()
		for n := range int64(2) {
			w.wait(time.Minute)
			refused, outages := w.madeUp(l, 1000)
			require.Equal(t, [2]int64{0, 1000}, [2]int64{refused, outages})
			require.Equal(t, before+n+1, s.hits.Load())
			require.NoError(t, w.find(l))
		}
	})
}

// Without any keys, every kid is unknown. The bound is the same.
func TestAnIssuerThatWasNeverReached(t *testing.T) {
	w := newWorld(t)
	keys := w.entry.JWKS
	s := w.serve()
	s.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	l := w.list()
	for n := range int64(3) {
		refused, outages := w.madeUp(l, 500)
		require.Equal(t, [2]int64{0, 500}, [2]int64{refused, outages}, "B17")
		w.wait(time.Minute - time.Nanosecond)
		require.ErrorIs(t, w.find(l), store.ErrUnavailable)
		require.Equal(t, n+1, s.hits.Load(), "B17")
		w.wait(time.Nanosecond)
	}
	s.answer(metadata(map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/jwks"}, keys))
	require.NoError(t, w.find(l), "B17 a minute later it is asked again")
}

func TestKnownKeysGoOnForMaxStale(t *testing.T) {
	w := newWorld(t)
	w.entry.MaxStale = 2 * time.Hour
	s := w.serve()
	l := w.list()
	require.NoError(t, w.find(l))
	s.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	w.wait(2*time.Hour - time.Second)
	require.NoError(t, w.find(l))
	w.wait(time.Second)
	err := w.find(l)
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.NotErrorIs(t, err, trust.ErrRefused)
}

func TestANewKeyIsFound(t *testing.T) {
	w := newWorld(t)
	s := w.serve()
	l := w.list()
	require.NoError(t, w.find(l))
	next := newSigner(t, jose.ES256, "k2")
	s.answer(metadata(map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/new"}, keySet(t, next.public)))
	old := w.signer
	w.signer, w.header["kid"] = next, "k2"
	w.wait(time.Minute - time.Nanosecond)
	require.ErrorIs(t, w.find(l), trust.ErrRefused, "within the minute")
	w.wait(time.Nanosecond)
	require.NoError(t, w.find(l), "the metadata is read again")
	w.signer, w.header["kid"] = old, "k1"
	require.ErrorIs(t, w.find(l), trust.ErrRefused, "a key that was taken away")
}

// With Run, a login with a known key never waits for the issuer.
func TestKnownKeysDoNotWait(t *testing.T) { synctest.Test(t, knownKeysDoNotWait) }

// The time of its bubble stands still, because the server's goroutines wait for the network.
// So the fetch does not end by itself, however long the test takes.
func knownKeysDoNotWait(t *testing.T) {
	w := newWorld(t)
	s := w.serve()
	hanging, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	l := w.list()
	require.NoError(t, w.find(l))
	s.answer(func(http.ResponseWriter, *http.Request) {
		once.Do(func() { close(hanging) })
		<-release
	})
	defer close(release)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	w.wait(6 * time.Minute)
	go func() { l.Run(ctx); close(ended) }()
	<-hanging // Run fetches
	for range 1000 {
		require.NoError(t, w.find(l), "B17")
	}
	// One that waits for the issuer does not hold up the others.
	w.header["kid"] = "new"
	unknown := w.token()
	w.header["kid"] = "k1"
	waiting, hangUp := context.WithCancel(t.Context())
	waits := make(chan error, 1)
	go func() {
		_, _, err := find(waiting, l, unknown, []store.Trust{w.trust})
		waits <- err
	}()
	for range 1000 {
		require.NoError(t, w.find(l), "B17")
	}
	hangUp()
	err := <-waits
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorIs(t, err, context.Canceled)
	require.EqualValues(t, 3, s.hits.Load(), "one fetch hangs")
	stop()
	<-ended
}

// An issuer that hangs does not disturb another, nor keys that are static.
func TestIssuersAreIndependent(t *testing.T) {
	w := newWorld(t)
	static := w.entry
	static.Name, static.Issuer = "static", issuer
	s := w.serve()
	release := make(chan struct{})
	defer close(release)
	s.answer(func(http.ResponseWriter, *http.Request) { <-release })
	l := w.list(static)
	w.claims["iss"] = issuer
	w.trust.Issuer = "static"
	_, _, err := find(t.Context(), l, w.token(), []store.Trust{trusts("ci", "project", "42"), w.trust})
	require.NoError(t, err)
	require.Zero(t, s.hits.Load(), "B34 only the entry whose Issuer is the token's is asked")
}

// An entry whose server hangs does not stop a login of another with the same Issuer.
func TestAHangingEntryDoesNotStopAnother(t *testing.T) {
	w := newWorld(t)
	second := w.entry
	second.Name = "second"
	s := w.serve()
	second.Issuer = s.URL
	release := make(chan struct{})
	defer close(release)
	s.answer(func(http.ResponseWriter, *http.Request) { <-release })
	var failures lines
	cfg := w.config()
	cfg.Logger = slog.New(slog.NewTextHandler(&failures, nil))
	l, err := trust.New([]trust.Issuer{w.entry, second}, cfg)
	require.NoError(t, err)
	at, _, err := find(t.Context(), l, w.token(), []store.Trust{trusts("ci", "project", "42"), trusts("second", "project", "42")})
	require.NoError(t, err, "B34")
	require.Equal(t, 1, at)
	require.Zero(t, failures.Load(), "B34 the fetch has not ended")
}

// lines counts what is logged.
type lines struct{ atomic.Int64 }

func (l *lines) Write(line []byte) (int, error) { l.Add(1); return len(line), nil }

// An issuer that was reached and has no keys any more has withdrawn them. An answer that is
// not a key set is an outage.
func TestWithdrawnKeys(t *testing.T) {
	for name, c := range map[string]struct {
		set       string
		withdrawn bool
	}{
		"B34 an empty set":            {`{"keys":[]}`, true},
		"B34 only an unsupported key": {`{"keys":[{"kty":"EC","crv":"P-384","kid":"k2","alg":"ES384","x":"AA","y":"AA"}]}`, true},
		"B34 not a set":               {`{}`, false},
		"B34 not JSON":                {`{"keys":[]`, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.serve()
			l := w.list()
			require.NoError(t, w.find(l))
			s.answer(metadata(map[string]any{"issuer": s.URL, "jwks_uri": s.URL + "/jwks"}, []byte(c.set)))
			for _, d := range []time.Duration{6 * time.Minute, 17 * time.Hour} {
				w.wait(d)
				if err := w.find(l); c.withdrawn {
					require.ErrorIs(t, err, trust.ErrRefused)
				} else {
					require.NoError(t, err)
				}
			}
		})
	}
}

// An outage of one entry wins over the refusal of another, which may be wrong.
func TestAnOutageIsNotARefusal(t *testing.T) {
	w := newWorld(t)
	second := w.entry
	second.Name = "second"
	s := w.serve()
	second.Issuer = s.URL
	second.JWKS = keySet(t, newSigner(t, jose.ES256, "k2").public)
	s.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	l := w.list(second)
	for name, list := range map[string][]store.Trust{
		"outage first": {trusts("ci", "project", "42"), trusts("second", "project", "42")},
		"outage last":  {trusts("second", "project", "42"), trusts("ci", "project", "42")},
	} {
		t.Run("B34 "+name, func(t *testing.T) {
			_, _, err := find(t.Context(), l, w.token(), list)
			require.ErrorIs(t, err, store.ErrUnavailable)
		})
	}
	t.Run("B34 another entry accepts it", func(t *testing.T) {
		second.Name, second.JWKS = "third", keySet(t, w.signer.public)
		at, _, err := find(t.Context(), w.list(second), w.token(), []store.Trust{trusts("ci", "project", "42"), trusts("third", "project", "42")})
		require.NoError(t, err)
		require.Equal(t, 1, at)
	})
}

// Sixteen trusts of one entry cost one verification.
func TestEachEntryVerifiesOnce(t *testing.T) {
	w := newWorld(t)
	s := w.serve()
	l := w.list()
	list := make([]store.Trust, 16)
	for i := range list {
		list[i] = trusts("ci", "project", strconv.Itoa(i))
	}
	allocations := func(list []store.Trust) float64 {
		token := w.token()
		return testing.AllocsPerRun(20, func() { _, _, _ = find(t.Context(), l, token, list) })
	}
	require.NoError(t, w.find(l))
	one, sixteen := allocations(list[:1]), allocations(list)
	require.Less(t, sixteen, one+16*8, "no second verification")
	require.EqualValues(t, 2, s.hits.Load())
}
