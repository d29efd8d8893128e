package oauth_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// run runs the server until the test ends, and waits until the cache may be used.
func (w *world) run(cached *cache.Cache) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(ctx) })
	w.t.Cleanup(func() { cancel(); running.Wait() })
	require.Eventually(w.t, cached.Usable, time.Minute, time.Millisecond)
}

// TestCachedStore tests that with a cache, logins and guards use memory as long as
// the stream of changes works, and are refused if both the stream and the store are
// down.
func TestCachedStore(t *testing.T) {
	t.Parallel()
	st, tapped := harness.NewTap()
	stream := &breakingStream{from: st.Watch}
	st.Watch = stream
	cached, err := cache.New(st, cache.Config{Bound: time.Minute, Logger: quiet})
	require.NoError(t, err)
	w := newWorld(t, func(s *setup) { s.store = cached.Store() })
	w.run(cached)
	down := func(context.Context, string) error { return store.ErrUnavailable }

	token := w.login(w.key.ID, w.secret)
	require.Equal(t, http.StatusOK, w.call(token))
	tapped.Take()
	for range 10 {
		w.login(w.key.ID, w.secret)
		require.Equal(t, http.StatusOK, w.call(token))
	}
	counts := tapped.Take()
	require.Zero(t, counts["Keys.Lookup"]+counts["Epochs.Read"]+counts["Settings.Instance"]+counts["Settings.Workspace"], "%v", counts)

	tapped.Before(down)
	stream.breakOff()
	require.Eventually(t, func() bool { return !cached.Usable() }, time.Minute, time.Millisecond)
	w.refused(w.post(w.grant()), http.StatusServiceUnavailable, "temporarily_unavailable")
	a := w.send(http.MethodGet, "/any", "", "Authorization", "Bearer "+token)
	require.Equal(t, http.StatusServiceUnavailable, a.StatusCode, "B19 a guard refuses what it cannot check")
	require.NotEmpty(t, a.Header.Get("Retry-After"))

	tapped.Before(nil)
	w.login(w.key.ID, w.secret)
	require.Equal(t, http.StatusOK, w.call(token), "B19 the store alone is enough")
	require.NotZero(t, tapped.Take()["Epochs.Read"])
	stream.restore()
	require.Eventually(t, cached.Usable, time.Minute, time.Millisecond)
	w.login(w.key.ID, w.secret)
	require.Equal(t, http.StatusOK, w.call(token))
}

// TestCachedReplicas tests that one replica refuses a token after the notification
// that another replica revoked it.
func TestCachedReplicas(t *testing.T) {
	t.Parallel()
	below := memstore.New()
	elsewhere := newWorld(t, func(s *setup) { s.store = below })
	cached, err := cache.New(below, cache.Config{Logger: quiet})
	require.NoError(t, err)
	w := newWorld(t, func(s *setup) { s.store = cached.Store() })
	w.run(cached)
	token := w.login(w.key.ID, w.secret)
	require.Equal(t, http.StatusOK, w.call(token))
	_, err = elsewhere.APIKeys().Disable(t.Context(), admin, w.key.ID, 0)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return w.call(token) == http.StatusUnauthorized }, time.Minute, time.Millisecond, "B07")
	w.refused(w.post(w.grant()), http.StatusUnauthorized, "invalid_client")
}

// TestCachedRecordsThatAreBehind tests a login with an outdated record, which the
// cache may use while the stream is late. Its token has the epochs of that record,
// so a server that reads the store refuses it.
func TestCachedRecordsThatAreBehind(t *testing.T) {
	t.Parallel()
	fewer := scope.MustParse("project.list")
	for _, tc := range []struct {
		name  string
		act   func(*testing.T, *apikey.Service, string) error
		lives bool
	}{
		{"B07 disabled", func(t *testing.T, keys *apikey.Service, id string) error {
			_, err := keys.Disable(t.Context(), admin, id, 0)
			return err
		}, false},
		{"B07 suspended", func(t *testing.T, keys *apikey.Service, _ string) error {
			return keys.SetSuspended(t.Context(), admin, "team-a", true)
		}, false},
		{"B07 fewer permissions", func(t *testing.T, keys *apikey.Service, id string) error {
			_, err := keys.Update(t.Context(), admin, id, apikey.Changes{Permissions: &fewer})
			return err
		}, false},
		{"rotated with a grace", func(t *testing.T, keys *apikey.Service, id string) error {
			_, _, err := keys.Rotate(t.Context(), admin, id, apikey.Rotation{Grace: time.Hour})
			return err
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, edKey, _ := testKeys()
			shared := func(s *setup) {
				s.config.Issuer, s.config.Signers, s.config.Now = "https://a.example", []oauth.SigningKey{{Key: edKey}}, time.Now
			}
			below := memstore.New()
			late := below
			late.Watch = lateWatch{}
			cached, err := cache.New(late, cache.Config{Bound: time.Minute, Logger: quiet})
			require.NoError(t, err)
			elsewhere := newWorld(t, shared, func(s *setup) { s.store = below })
			w := newWorld(t, shared, func(s *setup) { s.store = cached.Store() })
			w.run(cached)
			require.Equal(t, http.StatusOK, elsewhere.call(w.login(w.key.ID, w.secret)))
			require.NoError(t, tc.act(t, elsewhere.APIKeys(), w.key.ID))
			want := http.StatusUnauthorized
			if tc.lives {
				want = http.StatusOK
			}
			require.Equal(t, want, elsewhere.call(w.login(w.key.ID, w.secret)))
		})
	}
}

// lateWatch is a stream that delivers only heartbeats.
type lateWatch struct{}

// Watch implements store.Watch.
func (lateWatch) Watch(ctx context.Context, ready func(), notify func(store.Notification)) error {
	ready()
	ticker := time.NewTicker(store.HeartbeatEvery)
	defer ticker.Stop()
	for {
		notify(store.Notification{})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
