package apikey_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// busyGate has both turns taken, by keys of no interest.
func busyGate(t *testing.T) apikey.SlowGate {
	t.Helper()
	gate := apikey.NewSlowGate()
	require.NoError(t, gate.Enter(t.Context(), "busy-1"))
	require.NoError(t, gate.Enter(t.Context(), "busy-2"))
	return gate
}

func TestSlowGate(t *testing.T) {
	t.Run("two run, sixteen wait, the next is turned away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gate := apikey.NewSlowGate()
			require.NoError(t, gate.Enter(t.Context(), "a"))
			require.NoError(t, gate.Enter(t.Context(), "b"))
			entered := make(chan error, 16)
			for range 16 {
				go func() { entered <- gate.Enter(t.Context(), "a") }()
			}
			synctest.Wait()
			require.Empty(t, entered, "nobody overtakes")
			require.ErrorIs(t, gate.Enter(t.Context(), "a"), store.ErrUnavailable)
			_, err := gate.Verify(t.Context(), "a", bcryptOf(t, "s"), "s")
			require.ErrorIs(t, err, store.ErrUnavailable)
			gate.Leave("b")
			for i := range 17 {
				require.Len(t, entered, min(i, 16), "one of a key at a time")
				gate.Leave("a")
				synctest.Wait()
			}
			for range 16 {
				require.NoError(t, <-entered)
			}
			require.True(t, gate.Idle())
			require.NoError(t, gate.Enter(t.Context(), "a"), "free again")
		})
	})
	t.Run("64 keys run or wait, the next is turned away", func(t *testing.T) {
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
				require.NoError(t, apikey.CheckImported(digest))
			}
			gate = busyGate(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := gate.Hash(ctx, rand.Reader, "hunter2")
			require.ErrorIs(t, err, store.ErrUnavailable)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	})
	t.Run("who stops waiting makes room", func(t *testing.T) {
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
	t.Run("who stops waiting when the turn comes passes it on", func(t *testing.T) {
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
	t.Run("a refused digest takes no place", func(t *testing.T) {
		gate := apikey.NewSlowGate()
		for range 5 {
			_, err := gate.Verify(t.Context(), "a", "$2a$", "s")
			require.Error(t, err)
		}
		ok, err := gate.Verify(t.Context(), "a", bcryptOf(t, "s"), "s")
		require.NoError(t, err)
		require.True(t, ok)
	})
	t.Run("whatever the answer, the place is free again", func(t *testing.T) {
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

// TestSlowGateIsFair plays turns: each ends when the test says so. Before each
// of them an attacker asks for as many turns of key A as there is room for, and
// in vain for more.
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

		// The owner of A comes when there is room.
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
	t.Run("who waits looks again", func(t *testing.T) {
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

// TestSlowLoginsOfOthers: guesses from many networks at one imported key keep
// no other key out, nor its own owner once he has logged in.
func TestSlowLoginsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, imports)
		attacked := []string{"A", "B", "C", "D"}
		for _, id := range attacked {
			_, err := r.Import(t.Context(), owner, importSpec(id, func(s *apikey.ImportSpec) { s.Digest = bcryptOf(t, weak+id) }))
			require.NoError(t, err)
		}
		_, err := r.login("A", weak+"A")
		require.NoError(t, err)

		gate := apikey.GateOf(r.Service)
		require.NoError(t, gate.Enter(t.Context(), "busy-1"))
		require.NoError(t, gate.Enter(t.Context(), "busy-2"))
		const guesses = 256
		refused, passed := make(chan error, guesses), make(chan error, 3*10)
		for i := range guesses {
			go func() {
				_, err := r.Authenticate(t.Context(), apikey.Credentials{ID: "A", Secret: "wrong", Address: netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})})
				refused <- err
			}()
		}
		synctest.Wait()
		require.Len(t, refused, guesses-16, "turned away")
		_, err = r.login("A", weak+"A")
		require.NoError(t, err, "B04 while no turn is free")
		for _, id := range attacked[1:] {
			for range 10 {
				go func() {
					_, err := r.Authenticate(t.Context(), apikey.Credentials{ID: id, Secret: weak + id, Address: addrB})
					passed <- err
				}()
			}
		}
		synctest.Wait()
		require.Empty(t, passed)
		gate.Leave("busy-1")
		gate.Leave("busy-2")
		for range 3 * 10 {
			require.NoError(t, <-passed, "B04 10 of 10")
		}
		turnedAway := 0
		for range guesses {
			if err := <-refused; err != apikey.ErrInvalidCredentials {
				require.ErrorIs(t, err, store.ErrUnavailable)
				turnedAway++
			}
		}
		require.Equal(t, guesses-16, turnedAway)
		synctest.Wait()
		require.True(t, gate.Idle())
	})
}

// TestGuessesAtSlowDigests: what spends the budget of an imported key with a
// slow digest, and that what is remembered answers nobody beyond it.
func TestGuessesAtSlowDigests(t *testing.T) {
	var throttled *apikey.ThrottledError
	fresh := func(t *testing.T) *rig {
		t.Helper()
		r := newRig(t, imports)
		for _, id := range []string{"A", "B", "C"} {
			_, err := r.Import(t.Context(), owner, importSpec(id, func(s *apikey.ImportSpec) { s.Digest = bcryptOf(t, weak) }))
			require.NoError(t, err)
		}
		return r
	}
	for name, id := range map[string]string{"of unknown ids": "unknown", "of a generated secret": ""} {
		t.Run("B04 failures "+name+" keep no imported key out", func(t *testing.T) {
			r := fresh(t)
			if id == "" {
				key, _ := r.create(owner, "team-a", "")
				id = key.ID
			}
			for range 200 {
				require.Error(t, errOf(r.login(id, "wrong")))
			}
			require.ErrorAs(t, errOf(r.login(id, "wrong")), &throttled)
			require.NoError(t, errOf(r.login("A", weak)))
		})
	}
	t.Run("B04 guesses at one imported key leave the others of its address theirs, up to the address's", func(t *testing.T) {
		r := fresh(t)
		for range 200 {
			require.Error(t, errOf(r.login("B", "wrong")))
		}
		require.ErrorAs(t, errOf(r.login("B", weak)), &throttled)
		require.NoError(t, errOf(r.login("A", weak)))
		for range 60 {
			require.Error(t, errOf(r.login("C", "wrong")))
		}
		require.ErrorAs(t, errOf(r.login("A", weak)), &throttled)
	})
	for name, guess := range map[string]func(*testing.T, *rig){
		"wrong ones": func(t *testing.T, r *rig) {
			require.ErrorIs(t, errOf(r.login("A", "wrong")), apikey.ErrInvalidCredentials)
		},
		"those that the gate turns away": func(t *testing.T, r *rig) {
			require.ErrorIs(t, errOf(r.login("A", "wrong")), store.ErrUnavailable)
		},
	} {
		t.Run("B04 sixty guesses a minute: "+name, func(t *testing.T) {
			r := fresh(t)
			require.NoError(t, errOf(r.login("A", weak)))
			if name != "wrong ones" {
				apikey.FillSlowGate(r.Service)
			}
			for range 60 {
				guess(t, r)
			}
			require.ErrorAs(t, errOf(r.login("A", "wrong")), &throttled)
			require.ErrorAs(t, errOf(r.login("A", weak)), &throttled, "though it is remembered")
			r.clock.Advance(throttled.RetryAfter)
			require.NoError(t, errOf(r.login("A", weak)))
		})
	}
	t.Run("B04 one login is one guess, however many digests it is compared with", func(t *testing.T) {
		r := fresh(t)
		found, err := r.store.Keys.Lookup(t.Context(), "A")
		require.NoError(t, err)
		second := found.Key.Clone()
		second.Secrets = append(second.Secrets, store.Secret{ID: "second", Digest: bcryptOf(t, "second"), Created: noon})
		require.NoError(t, r.store.Keys.Update(t.Context(), second, store.Change{Now: noon}))
		for range 70 {
			require.NoError(t, errOf(r.login("A", "second")), "a right one is none")
		}
		for range 60 {
			require.ErrorIs(t, errOf(r.login("A", "wrong")), apikey.ErrInvalidCredentials)
		}
		require.ErrorAs(t, errOf(r.login("A", "wrong")), &throttled)
	})
}
