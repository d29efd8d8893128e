package apikey_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// busyGate is a gate of which both turns are taken, by other keys.
func busyGate(t *testing.T) apikey.SlowGate {
	t.Helper()
	gate := apikey.NewSlowGate()
	require.NoError(t, gate.Enter(t.Context(), "busy-1"))
	require.NoError(t, gate.Enter(t.Context(), "busy-2"))
	return gate
}

func TestSlowGate(t *testing.T) {
	t.Run("two run, fifteen wait, the next is refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gate := apikey.NewSlowGate()
			require.NoError(t, gate.Enter(t.Context(), "a"))
			require.NoError(t, gate.Enter(t.Context(), "b"))
			entered := make(chan error, 15)
			for range 15 {
				go func() { entered <- gate.Enter(t.Context(), "a") }()
			}
			synctest.Wait()
			require.Empty(t, entered, "in the order of arrival")
			require.ErrorIs(t, gate.Enter(t.Context(), "a"), store.ErrUnavailable)
			_, err := gate.Verify(t.Context(), "a", bcryptOf(t, "s"), "s")
			require.ErrorIs(t, err, store.ErrUnavailable)
			gate.Leave("b")
			for i := range 16 {
				require.Len(t, entered, min(i, 15), "one of a key at a time")
				gate.Leave("a")
				synctest.Wait()
			}
			for range 15 {
				require.NoError(t, <-entered)
			}
			require.True(t, gate.Idle())
			require.NoError(t, gate.Enter(t.Context(), "a"), "free again")
		})
	})
	t.Run("64 keys run or wait, the next is refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gate := busyGate(t)
			entered := make(chan string, 62)
			for i := range 62 {
				go func() {
					key := fmt.Sprint("key-", i)
					if gate.Enter(t.Context(), key) == nil {
						entered <- key
					}
				}()
			}
			synctest.Wait()
			require.ErrorIs(t, gate.Enter(t.Context(), "one more"), store.ErrUnavailable)
			gate.Leave("busy-1")
			gate.Leave("busy-2")
			for range 62 {
				gate.Leave(<-entered)
			}
			require.True(t, gate.Idle())
		})
	})
	t.Run("hashing waits for its turn as well", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gate := apikey.NewSlowGate()
			for range 3 {
				digest, err := gate.Hash(t.Context(), rand.Reader, "hunter2")
				require.NoError(t, err)
				require.True(t, strings.HasPrefix(digest, "$argon2id$"))
			}
			gate = busyGate(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := gate.Hash(ctx, rand.Reader, "hunter2")
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	})
	t.Run("a caller that stops waiting frees its place", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gate := busyGate(t)
			for range 40 {
				ctx, cancel := context.WithCancel(t.Context())
				result := make(chan error, 1)
				go func() { result <- gate.Enter(ctx, "a") }()
				synctest.Wait()
				cancel()
				err := <-result
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, store.ErrUnavailable)
				require.NotContains(t, err.Error(), "too many")
			}
			gate.Leave("busy-1")
			gate.Leave("busy-2")
			require.True(t, gate.Idle())
		})
	})
	t.Run("a caller that stops waiting when its turn comes passes it on", func(t *testing.T) {
		for range 200 {
			synctest.Test(t, func(t *testing.T) {
				gate := busyGate(t)
				ctx, cancel := context.WithCancel(t.Context())
				result := make(chan error, 1)
				go func() { result <- gate.Enter(ctx, "a") }()
				synctest.Wait()
				cancel()
				gate.Leave("busy-1") // mostly before the other runs
				if <-result == nil {
					gate.Leave("a")
				}
				gate.Leave("busy-2")
				require.True(t, gate.Idle())
			})
		}
	})
	t.Run("a refused digest takes no turn", func(t *testing.T) {
		gate := apikey.NewSlowGate()
		for range 5 {
			_, err := gate.Verify(t.Context(), "a", "$2a$", "s")
			require.Error(t, err)
		}
		ok, err := gate.Verify(t.Context(), "a", bcryptOf(t, "s"), "s")
		require.NoError(t, err)
		require.True(t, ok)
	})
	t.Run("the turn is free again whatever the result", func(t *testing.T) {
		gate, ctx := apikey.NewSlowGate(), t.Context()
		for range 3 {
			ok, err := gate.Verify(ctx, "a", bcryptOf(t, "s"), "wrong")
			require.NoError(t, err)
			require.False(t, ok)
		}
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		require.NoError(t, gate.Enter(ctx, "a"), "no need to wait")
		require.NoError(t, gate.Enter(ctx, "b"), "no need to wait")
	})
}

// TestSlowGateIsFair takes turns that end when the test says so. Before each of
// them an attacker requests as many turns of key A as allowed, and more, which are
// refused.
func TestSlowGateIsFair(t *testing.T) {
	const logins = 20
	synctest.Test(t, func(t *testing.T) {
		gate := apikey.NewSlowGate()
		type turn struct{ key, of string }
		entered := make(chan turn, 1000)
		ask := func(key, of string) {
			go func() {
				if gate.Enter(t.Context(), key) == nil {
					entered <- turn{key, of}
				}
			}()
			synctest.Wait()
		}
		attack := func() {
			for range 20 {
				ask("A", "attacker")
			}
		}
		var running []turn
		var begun []string // whose turns
		// step ends the oldest turn and returns those that begin.
		step := func() []turn {
			if len(running) > 0 {
				gate.Leave(running[0].key)
				running = running[1:]
			}
			synctest.Wait()
			var started []turn
			for len(entered) > 0 {
				started = append(started, <-entered)
				begun = append(begun, started[len(started)-1].of)
			}
			running = append(running, started...)
			return started
		}
		attack()
		step()
		asked := map[string]int{}
		passed := map[string]int{}
		for _, key := range []string{"B", "C"} {
			asked[key] = len(begun)
			ask(key, key)
		}
		for range 4 * logins {
			attack()
			for _, started := range step() {
				if started.of == "attacker" {
					continue
				}
				passed[started.of]++
				require.LessOrEqual(t, len(begun)-1-asked[started.of], 2, "at most one turn of each other key")
				asked[started.of] = len(begun)
				ask(started.key, started.of)
			}
		}
		require.GreaterOrEqual(t, passed["B"], logins)
		require.GreaterOrEqual(t, passed["C"], logins)

		// The owner of A requests a turn when a place is free.
		from := len(begun)
		for mine := false; !mine; {
			step()
			ask("A", "owner")
			attack()
			for _, of := range begun[from:] {
				mine = mine || of == "owner"
			}
			require.Less(t, len(begun)-from, 100)
		}
	})
}

func TestSlowGateRemembers(t *testing.T) {
	right, other := bcryptOf(t, "s"), bcryptOf(t, "s")
	gate := busyGate(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	gate.Leave("busy-1")
	ok, err := gate.Verify(t.Context(), "a", right, "s")
	require.NoError(t, err)
	require.True(t, ok)
	ok, err = gate.Verify(t.Context(), "a", right, "wrong")
	require.NoError(t, err)
	require.False(t, ok)
	require.NoError(t, gate.Enter(t.Context(), "busy-1"))
	for _, tc := range []struct {
		name, stored, secret string
		known                bool
	}{
		{"what matched", right, "s", true},
		{"a wrong secret", right, "wrong", false},
		{"another digest of the secret", other, "s", false},
		{"the two, cut elsewhere", right + "s", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ok, err := gate.Verify(ended, "a", tc.stored, tc.secret)
			require.Equal(t, tc.known, ok)
			require.Equal(t, tc.known, err == nil)
		})
	}
	t.Run("a caller that has waited checks for a match again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gate, result := busyGate(t), make(chan bool, 16)
			for range 16 {
				go func() {
					ok, err := gate.Verify(t.Context(), "a", right, "never computed")
					result <- ok && err == nil
				}()
			}
			synctest.Wait()
			gate.Remember(right, "never computed")
			gate.Leave("busy-1")
			for range 16 {
				require.True(t, <-result)
			}
		})
	})
	t.Run("bounded", func(t *testing.T) {
		for i := range 17_000 {
			gate.Remember(right, fmt.Sprint(i))
		}
		require.Equal(t, 16_384, gate.Matches())
		ok, err := gate.Verify(ended, "a", right, "16999")
		require.NoError(t, err)
		require.True(t, ok)
	})
}

// TestSlowGateCancelled tests that a login that ends while it waits to run passes
// its key's turn to the next login of the key.
func TestSlowGateCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := apikey.NewSlowGate()
		require.NoError(t, gate.Enter(t.Context(), "busy-1"))
		require.NoError(t, gate.Enter(t.Context(), "busy-2"))
		ctx, cancel := context.WithCancel(t.Context())
		first, next := make(chan error, 1), make(chan error, 1)
		go func() { first <- gate.Enter(ctx, "A") }()
		synctest.Wait()
		go func() { next <- gate.Enter(t.Context(), "A") }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-first, store.ErrUnavailable)
		gate.Leave("busy-1")
		synctest.Wait()
		require.Len(t, next, 1, "B04 the next one runs")
		gate.Leave("busy-2")
		gate.Leave("A")
		require.True(t, gate.Idle())
	})
}
