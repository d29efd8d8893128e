package apikey_test

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// TestSlowLoginsOfOthers tests that guesses from many networks at one imported key
// do not keep other keys from logging in, nor its owner once the owner has logged
// in.
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

// TestGuessesAtSlowDigests tests what spends the budget of an imported key with a
// slow digest, and that a remembered match does not count once the budget is spent.
func TestGuessesAtSlowDigests(t *testing.T) {
	var throttled *apikey.ThrottledError
	fresh := func(t *testing.T) *rig {
		t.Helper()
		r := newRig(t, imports, func(c *apikey.Config) { c.Budgets = apikey.Budgets{PerAddress: 6, PerAddressAndKey: 3} })
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
			for range 9 {
				require.Error(t, errOf(r.login(id, "wrong")))
			}
			require.ErrorAs(t, errOf(r.login(id, "wrong")), &throttled)
			require.NoError(t, errOf(r.login("A", weak)))
		})
	}
	t.Run("B04 guesses at one imported key do not spend the budget of other keys from the address, up to the address's budget", func(t *testing.T) {
		r := fresh(t)
		for range 9 {
			require.Error(t, errOf(r.login("B", "wrong")))
		}
		require.ErrorAs(t, errOf(r.login("B", weak)), &throttled)
		require.NoError(t, errOf(r.login("A", weak)))
		for range 3 {
			require.Error(t, errOf(r.login("C", "wrong")))
		}
		require.ErrorAs(t, errOf(r.login("A", weak)), &throttled)
	})
	for name, want := range map[string]error{
		"wrong ones": apikey.ErrInvalidCredentials, "those that the gate turns away": store.ErrUnavailable,
	} {
		t.Run("B04 a budget of guesses: "+name, func(t *testing.T) {
			r := fresh(t)
			require.NoError(t, errOf(r.login("A", weak)))
			if want == store.ErrUnavailable {
				apikey.FillSlowGate(r.Service)
			}
			for range 3 {
				require.ErrorIs(t, errOf(r.login("A", "wrong")), want)
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
		second.Credentials = append(second.Credentials, store.Credential{ID: "second", Digest: bcryptOf(t, "second"), Created: noon})
		require.NoError(t, r.store.Keys.Update(t.Context(), second, store.Change{Now: noon}))
		for range 9 {
			require.NoError(t, errOf(r.login("A", "second")), "a correct secret is no guess")
		}
		for range 3 {
			require.ErrorIs(t, errOf(r.login("A", "wrong")), apikey.ErrInvalidCredentials)
		}
		require.ErrorAs(t, errOf(r.login("A", "wrong")), &throttled)
	})
}
