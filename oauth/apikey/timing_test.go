package apikey_test

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// wrongSecretStates makes a key in every state and returns the ids, by state.
func wrongSecretStates(t *testing.T, r *rig) map[string]string {
	ctx := context.Background()
	ids := map[string]string{"unknown": "2f8a2f64-6a2b-4d55-9a57-3f1f1a1f9a10"}
	for _, state := range []string{"live", "disabled", "expired", "deleted"} {
		key, _ := r.create(admin, "team-a", "project.list", func(s *apikey.Spec) {
			if state == "expired" {
				s.Expiry = apikey.ExpiresAt(noon.Add(time.Second))
			}
		})
		ids[state] = key.ID
		switch state {
		case "disabled":
			_, err := r.Disable(ctx, admin, key.ID)
			require.NoError(t, err)
		case "deleted":
			require.NoError(t, r.Delete(ctx, admin, key.ID))
		}
	}
	r.clock.Add(time.Minute)
	return ids
}

// TestWrongSecretLooksAlike: whatever the id, one error.
func TestWrongSecretLooksAlike(t *testing.T) {
	for name, imported := range map[string]bool{"": false, ", with imports": true} {
		r := newRig(t, func(c *apikey.Config) { c.Imported = imported })
		wrong := apikey.MustSecret(randomFrom("wrong"), "").Reveal()
		for state, id := range wrongSecretStates(t, r) {
			t.Run("B02 "+state+name, func(t *testing.T) {
				login, err := r.Authenticate(t.Context(), apikey.Credentials{ID: id, Secret: wrong})
				require.Nil(t, login)
				require.True(t, err == apikey.ErrInvalidCredentials, "this very error, and none that wraps it")
			})
		}
		for _, reason := range r.reasons() {
			require.Equal(t, "unknown_or_wrong", reason)
		}
	}
}

// TestWrongSecretTakesAsLong compares how long refusals take, by Welch's
// t-test on trimmed means, after Reparaz, Balasch and Verbauwhede (2017).
func TestWrongSecretTakesAsLong(t *testing.T) {
	const bound = 4.5
	unbounded := func(c *apikey.Config) {
		c.Budgets = apikey.Budgets{PerAddress: -1, PerAddressAndKey: -1}
		c.Observer = nil
	}
	over := func(by time.Duration) (*rig, map[string]string) {
		plain := newRig(t, unbounded)
		ids := wrongSecretStates(t, plain)
		st := plain.store
		st.Keys, st.Epochs = slowWithKnown{st.Keys, by}, besides{st.Epochs}
		r := rigOn(t, st, unbounded)
		r.clock.Add(time.Minute)
		return r, ids
	}
	for _, tc := range []struct {
		name    string
		by      time.Duration
		samples int
	}{
		{"B02 a store in memory", 0, soak(40, 20_000)},
		{"B02 a store that takes 0.3 ms longer where there is a key", 300 * time.Microsecond, 150},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, ids := over(tc.by)
			for range 3 { // others may be at work on this machine
				worst := compareStates(r, ids, tc.samples)
				t.Logf("|t| is %.1f", worst)
				if worst < bound {
					return
				}
			}
			t.Error("the states can be told apart in the third round too")
		})
	}
	t.Run("B02 what takes longer than the step of refusals is noticed", func(t *testing.T) {
		r, ids := over(6 * time.Millisecond)
		require.Greater(t, compareStates(r, ids, 40), bound)
	})
}

// slowWithKnown takes longer where a key is found.
type slowWithKnown struct {
	store.Keys
	by time.Duration
}

func (s slowWithKnown) Lookup(ctx context.Context, id string) (store.Found, error) {
	found, err := s.Keys.Lookup(ctx, id)
	if err == nil {
		for start := time.Now(); time.Since(start) < s.by; {
			continue
		}
	}
	return found, err
}

// besides lies beside any keys.
type besides struct{ store.Epochs }

func (besides) With(store.Keys) bool { return true }

// compareStates tries a wrong secret for ids in random order, and returns the
// largest |t| of any state against the unknown id.
func compareStates(r *rig, ids map[string]string, samples int) float64 {
	wrong := apikey.MustSecret(randomFrom("wrong"), "").Reveal()
	states := make([]string, 0, len(ids))
	for state := range ids {
		states = append(states, state)
	}
	took := make(map[string][]float64, len(ids))
	for range samples {
		rand.Shuffle(len(states), func(i, j int) { states[i], states[j] = states[j], states[i] })
		for _, state := range states {
			c := apikey.Credentials{ID: ids[state], Secret: wrong, Address: addrA}
			start := time.Now()
			_, err := r.Authenticate(context.Background(), c)
			took[state] = append(took[state], float64(time.Since(start)))
			if err == nil {
				return math.Inf(1)
			}
		}
	}
	worst := 0.0
	for state, times := range took {
		if state != "unknown" {
			worst = max(worst, math.Abs(welch(times, took["unknown"])))
		}
	}
	return worst
}

// welch returns t of two samples, the slowest tenth of each left out: there it
// is the machine that was busy.
func welch(a, b []float64) float64 {
	trim := func(all []float64) (mean, variance, n float64) {
		kept := slices.SortedFunc(slices.Values(all), cmp.Compare)[:len(all)*9/10]
		for _, x := range kept {
			mean += x / float64(len(kept))
		}
		for _, x := range kept {
			variance += (x - mean) * (x - mean) / float64(len(kept)-1)
		}
		return mean, variance, float64(len(kept))
	}
	meanA, varA, nA := trim(a)
	meanB, varB, nB := trim(b)
	return (meanA - meanB) / math.Sqrt(varA/nA+varB/nB)
}
