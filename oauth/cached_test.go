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

// run runs the server until the test ends, and waits for the cache to vouch.
func (w *world) run(cached *cache.Cache) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(ctx) })
	w.t.Cleanup(func() { cancel(); running.Wait() })
	require.Eventually(w.t, cached.Vouched, time.Minute, time.Millisecond)
}

// TestCachedStore: with a cache, logins and guards live on memory as long as
// the stream vouches, and on nothing when neither stream nor store is there.
func TestCachedStore(t *testing.T) {
	t.Parallel()
	st, tapped := harness.NewTap()
	stream := &mortal{from: st.Watch}
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
	stream.kill()
	require.Eventually(t, func() bool { return !cached.Vouched() }, time.Minute, time.Millisecond)
	w.refused(w.post(w.grant()), http.StatusServiceUnavailable, "temporarily_unavailable")
	a := w.send(http.MethodGet, "/any", "", "Authorization", "Bearer "+token)
	require.Equal(t, http.StatusServiceUnavailable, a.StatusCode, "B19 a guard refuses what it cannot check")
	require.NotEmpty(t, a.Header.Get("Retry-After"))

	tapped.Before(nil)
	w.login(w.key.ID, w.secret)
	require.Equal(t, http.StatusOK, w.call(token), "B19 the store alone is enough")
	require.NotZero(t, tapped.Take()["Epochs.Read"])
	stream.revive()
	require.Eventually(t, cached.Vouched, time.Minute, time.Millisecond)
	w.login(w.key.ID, w.secret)
	require.Equal(t, http.StatusOK, w.call(token))
}

// TestCachedReplicas: what one replica ends, the other refuses once it is
// told.
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
	_, err = elsewhere.Keys().Disable(t.Context(), admin, w.key.ID)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return w.call(token) == http.StatusUnauthorized }, time.Minute, time.Millisecond, "B07")
	w.refused(w.post(w.grant()), http.StatusUnauthorized, "invalid_client")
}

// TestCachedRecordsBehindEpochs: keys in one system, whose stream is late, and
// epochs in another. An outdated record must not get a token under the epoch
// of the change that it does not know, nor put its own marks in place of it.
func TestCachedRecordsBehindEpochs(t *testing.T) {
	t.Parallel()
	behind := func(t *testing.T) (here *world, keys *apikey.Service, below store.Store) {
		t.Helper()
		below = memstore.New()
		below.Epochs = memstore.New().Epochs
		late := &lateWatch{}
		cachedStore := below
		cachedStore.Watch = late
		cached, err := cache.New(cachedStore, cache.Config{Bound: time.Minute, Logger: quiet})
		require.NoError(t, err)
		elsewhere, err := oauth.New(below, oauth.Config{Issuer: "https://a.example", Permissions: catalog, Logger: quiet})
		require.NoError(t, err)
		here = newWorld(t, func(s *setup) { s.store = cached.Store(); s.config.Now = time.Now })
		here.run(cached)
		here.login(here.key.ID, here.secret)
		return here, elsewhere.Keys(), below
	}
	t.Run("B07 disabled", func(t *testing.T) {
		w, keys, _ := behind(t)
		_, err := keys.Disable(t.Context(), admin, w.key.ID)
		require.NoError(t, err)
		w.refused(w.post(w.grant()), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("B07 suspended", func(t *testing.T) {
		w, keys, _ := behind(t)
		require.NoError(t, keys.Suspend(t.Context(), admin, "team-a"))
		w.refused(w.post(w.grant()), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("B07 fewer permissions", func(t *testing.T) {
		w, keys, _ := behind(t)
		fewer := scope.MustParse("project.list")
		_, err := keys.Update(t.Context(), admin, w.key.ID, apikey.Changes{Permissions: &fewer})
		require.NoError(t, err)
		require.Equal(t, "project.list", w.post(w.grant()).Member("scope"))
	})
	t.Run("rotated with a grace", func(t *testing.T) {
		w, keys, below := behind(t)
		_, fresh, err := keys.Rotate(t.Context(), admin, w.key.ID, apikey.Rotation{Grace: time.Hour})
		require.NoError(t, err)
		w.login(w.key.ID, w.secret)
		found, err := below.Keys.Lookup(t.Context(), w.key.ID)
		require.NoError(t, err)
		require.Len(t, found.Key.Secrets, 2)
		for _, secret := range found.Key.Secrets {
			state, err := below.Epochs.Read(t.Context(), store.TokenRef{Workspace: "team-a", Key: w.key.ID, Secret: secret.ID})
			require.NoError(t, err)
			require.True(t, state.SecretKnown, "an outdated record replaced the marks")
			require.True(t, state.SecretNotAfter.Equal(secret.NotAfter))
		}
		w.login(w.key.ID, fresh.Reveal())
	})
}

// lateWatch is a stream on which only heartbeats come.
type lateWatch struct{}

// Watch implements store.Watch.
func (lateWatch) Watch(ctx context.Context, ready func(), notice func(store.Notice)) error {
	ready()
	beat := time.NewTicker(store.HeartbeatEvery)
	defer beat.Stop()
	for {
		notice(store.Notice{})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-beat.C:
		}
	}
}
