package oauth_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestDirectEnds: what ends the tokens of a key ends the direct use of its secret: at the
// next request on a replica without a cache, and on one with a cache when the
// notification has come.
func TestDirectEnds(t *testing.T) {
	t.Parallel()
	settings := func(change func(*store.Instance)) func(*testing.T, *world, *apikey.Key) error {
		return func(t *testing.T, w *world, _ *apikey.Key) error {
			saved, err := w.APIKeys().Settings(t.Context(), admin)
			require.NoError(t, err)
			change(&saved.Instance)
			_, err = w.APIKeys().SaveSettings(t.Context(), admin, saved)
			return err
		}
	}
	no, fewer := false, scope.MustParse("project.read")
	update := func(changes apikey.Changes) func(*testing.T, *world, *apikey.Key) error {
		return func(t *testing.T, w *world, k *apikey.Key) error {
			_, err := w.APIKeys().Update(t.Context(), admin, k.ID, changes)
			return err
		}
	}
	for _, tc := range []struct {
		name   string
		end    func(t *testing.T, w *world, k *apikey.Key) error
		status int
	}{
		{"B32 disable", func(t *testing.T, w *world, k *apikey.Key) error {
			_, err := w.APIKeys().Disable(t.Context(), admin, k.ID, 0)
			return err
		}, 401},
		{"B32 delete", func(t *testing.T, w *world, k *apikey.Key) error {
			return w.APIKeys().Delete(t.Context(), admin, k.ID, 0)
		}, 401},
		{"B32 retire", func(t *testing.T, w *world, k *apikey.Key) error {
			if _, _, err := w.APIKeys().Rotate(t.Context(), admin, k.ID, apikey.Rotation{Grace: time.Hour}); err != nil {
				return err
			}
			_, err := w.APIKeys().Retire(t.Context(), admin, k.ID, k.Credentials[0].ID, 0)
			return err
		}, 401},
		{"B32 rotate", func(t *testing.T, w *world, k *apikey.Key) error {
			_, _, err := w.APIKeys().Rotate(t.Context(), admin, k.ID, apikey.Rotation{})
			return err
		}, 401},
		{"B32 the end of a grace", func(t *testing.T, w *world, k *apikey.Key) error {
			_, _, err := w.APIKeys().Rotate(t.Context(), admin, k.ID, apikey.Rotation{Grace: time.Minute})
			w.clock.Advance(time.Minute)
			return err
		}, 401},
		{"B32 the key is no longer direct", update(apikey.Changes{Direct: &no}), 401},
		{"B32 fewer permissions", update(apikey.Changes{Permissions: &fewer}), 403},
		{"B32 direct use is switched off", settings(func(i *store.Instance) { i.DirectOff = true }), 401},
		{"B32 keys are switched off", settings(func(i *store.Instance) { i.KeysOff = true }), 401},
		{"B32 the workspace is suspended", func(t *testing.T, w *world, k *apikey.Key) error {
			return w.APIKeys().SetSuspended(t.Context(), admin, k.Workspace, true)
		}, 401},
		{"B32 the workspace is deleted", func(t *testing.T, w *world, k *apikey.Key) error {
			return w.APIKeys().DeleteWorkspace(t.Context(), admin, k.Workspace)
		}, 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			below := memstore.New()
			here := newWorld(t, func(s *setup) { s.store = below })
			oneClock := func(s *setup) { s.config.Now = here.clock.Now }
			plain := newWorld(t, oneClock, func(s *setup) { s.store = below })
			cached, err := cache.New(below, cache.Config{Logger: quiet})
			require.NoError(t, err)
			remote := newWorld(t, oneClock, func(s *setup) { s.store = cached.Store() })
			remote.run(cached)
			key, secret := here.newDirect("team-a", "project.list")
			status := func(w *world) int {
				return w.directly(projectsOfA, "Authorization", "Bearer "+secret).StatusCode
			}
			for range 3 {
				for _, w := range []*world{here, plain, remote} {
					require.Equal(t, http.StatusOK, status(w))
				}
			}
			require.NoError(t, tc.end(t, here, &key))
			require.Equal(t, tc.status, status(here))
			require.Equal(t, tc.status, status(plain), "at the next request without a cache")
			require.Eventually(t, func() bool { return status(remote) == tc.status }, time.Minute, time.Millisecond, "at the notification with one")
			for range 3 {
				require.Equal(t, tc.status, status(remote), "and from then on")
			}
		})
	}
}

// TestDirectRacesDisable: no request that begins after Disable has returned passes.
func TestDirectRacesDisable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range harness.Rounds(20, 200) {
		key, secret := w.newDirect("team-a", "project.list")
		var callers sync.WaitGroup
		ended := make(chan struct{})
		for range 4 {
			callers.Go(func() {
				for over := false; !over; {
					select {
					case <-ended:
						over = true
					default:
					}
					v := w.Verifier()
					_, err := v.AuthorizeAny(t.Context(), secret, v.Require("project.list").OrSecret())
					if over && err == nil {
						t.Error("B32 accepted after Disable had returned")
					}
				}
			})
		}
		_, err := w.APIKeys().Disable(t.Context(), admin, key.ID, 0)
		close(ended)
		callers.Wait()
		require.NoError(t, err)
	}
}
