package oauth_test

import (
	"errors"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

// status logs in without a network.
func (w *world) status(id, secret string) (int, string) {
	r := harness.Incoming(http.MethodPost, "/api/login", cc, "Content-Type", form)
	r.SetBasicAuth(id, secret)
	a := harness.Serve(w.Token(), r)
	return a.StatusCode, a.Token()
}

// work delays the caller by a different time in each round, while a login runs.
func (w *world) work(round int) {
	for range round % 4 {
		w.status(w.key.ID, "nonsense")
		runtime.Gosched()
	}
}

func unbounded(s *setup) {
	s.config.APIKeys.Budgets = apikey.Budgets{PerAddress: -1, PerAddressAndKey: -1}
}

// TestLoginWhileRotating tests B22: at every moment the old or the new secret logs
// in, and there is no other response.
func TestLoginWhileRotating(t *testing.T) {
	t.Parallel()
	w := newWorld(t, unbounded)
	const grace = time.Hour
	t.Run("B22 with grace both log in, all the time", func(t *testing.T) {
		var current atomic.Pointer[[2]string]
		current.Store(&[2]string{w.secret, w.secret})
		var stop atomic.Bool
		var logins, late, neither atomic.Int64
		var group sync.WaitGroup
		for worker := range 4 {
			group.Go(func() {
				for !stop.Load() {
					secret := current.Load()[worker%2]
					status, _ := w.status(w.key.ID, secret)
					logins.Add(1)
					switch now := current.Load(); {
					case status == http.StatusOK:
					case secret == now[0] || secret == now[1]:
						neither.Add(1)
					default: // retired meanwhile
						late.Add(1)
					}
					runtime.Gosched() // lets the rotation run
				}
			})
		}
		for range harness.Rounds(200, 10_000) {
			for before := logins.Load(); logins.Load() == before; { // each runs during the rotation
				runtime.Gosched()
			}
			old := current.Load()[1]
			_, fresh, err := w.APIKeys().Rotate(t.Context(), admin, w.key.ID, apikey.Rotation{Grace: grace})
			var full *apikey.InvalidError
			if errors.As(err, &full) { // it holds as many as it can: all but the last two go
				key, err := w.APIKeys().Get(t.Context(), admin, w.key.ID)
				require.NoError(t, err)
				for _, s := range key.Credentials[:len(key.Credentials)-2] {
					_, err = w.APIKeys().Retire(t.Context(), admin, w.key.ID, s.ID, 0)
					require.NoError(t, err)
				}
				continue
			}
			require.NoError(t, err)
			current.Store(&[2]string{old, fresh.Reveal()})
		}
		stop.Store(true)
		group.Wait()
		require.Positive(t, logins.Load())
		require.Zero(t, neither.Load(), "a secret was refused in its time")
		t.Logf("%d logins, %d of them with a secret retired meanwhile", logins.Load(), late.Load())
		status, _ := w.status(w.key.ID, current.Load()[1])
		require.Equal(t, http.StatusOK, status)
	})
	t.Run("B22 without grace one of them logs in, and dead tokens stay dead", func(t *testing.T) {
		w := newWorld(t, unbounded)
		secret := w.secret
		var oldWon, newWon int
		for round := range harness.Rounds(60, 10_000) {
			var before int
			var token string
			var group sync.WaitGroup
			group.Go(func() { before, token = w.status(w.key.ID, secret) })
			w.work(round)
			_, fresh, err := w.APIKeys().Rotate(t.Context(), admin, w.key.ID, apikey.Rotation{})
			require.NoError(t, err)
			group.Wait()
			switch before {
			case http.StatusOK:
				oldWon++
				_, err := w.Verifier().Verify(t.Context(), token)
				require.Error(t, err, "a token of the old secret outlived the rotation")
			case http.StatusUnauthorized:
				newWon++
			default:
				t.Fatalf("another response: %d", before)
			}
			status, _ := w.status(w.key.ID, secret)
			require.Equal(t, http.StatusUnauthorized, status, "the old secret after the rotation")
			status, token = w.status(w.key.ID, fresh.Reveal())
			require.Equal(t, http.StatusOK, status, "the new secret after the rotation")
			_, err = w.Verifier().Verify(t.Context(), token)
			require.NoError(t, err)
			secret = fresh.Reveal()
		}
		t.Logf("the old secret won %d times, the rotation %d times", oldWon, newWon)
	})
}

// TestTwoRotations tests B22: of two rotations at once with the same version, one
// succeeds.
func TestTwoRotations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, unbounded)
	for range harness.Rounds(100, 10_000) {
		key, err := w.APIKeys().Get(t.Context(), admin, w.key.ID)
		require.NoError(t, err)
		var won, lost atomic.Int64
		var secret atomic.Pointer[apikey.Secret]
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				_, fresh, err := w.APIKeys().Rotate(t.Context(), admin, key.ID, apikey.Rotation{Changes: apikey.Changes{Version: key.Version}})
				switch {
				case err == nil:
					won.Add(1)
					secret.Store(&fresh)
				case errors.Is(err, store.ErrConflict):
					lost.Add(1)
				}
			})
		}
		group.Wait()
		require.Equal(t, [2]int64{1, 1}, [2]int64{won.Load(), lost.Load()}, "B22")
		status, _ := w.status(key.ID, secret.Load().Reveal())
		require.Equal(t, http.StatusOK, status)
	}
}

// TestRevokeWhileLoggingIn tests B22: once Disable has returned, no token of a
// login at the same time is accepted.
func TestRevokeWhileLoggingIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, unbounded)
	issued, useless := 0, 0
	for round := range harness.Rounds(200, 10_000) {
		tokens := make([]string, 3)
		var group sync.WaitGroup
		for i := range tokens {
			group.Go(func() { _, tokens[i] = w.status(w.key.ID, w.secret) })
		}
		w.work(round)
		_, err := w.APIKeys().Disable(t.Context(), admin, w.key.ID, 0)
		require.NoError(t, err)
		status, _ := w.status(w.key.ID, w.secret)
		require.Equal(t, http.StatusUnauthorized, status, "a login that began after the act")
		group.Wait()
		for _, token := range tokens {
			if token == "" {
				useless++
				continue
			}
			issued++
			_, err := w.Verifier().Verify(t.Context(), token)
			require.Error(t, err, "B22 a token works after its key was disabled")
		}
		_, err = w.APIKeys().Enable(t.Context(), admin, w.key.ID, 0)
		require.NoError(t, err)
	}
	t.Logf("%d tokens issued in the race, %d logins refused", issued, useless)
}
