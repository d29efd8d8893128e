//go:build timing

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
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

// TestTimingWrongSecret compares how long refusals take, by Welch's
// t-test on trimmed means, after Reparaz, Balasch and Verbauwhede (2017).
func TestTimingWrongSecret(t *testing.T) {
	const bound = 4.5
	unbounded := func(c *apikey.Config) {
		c.Budgets = apikey.Budgets{PerAddress: -1, PerAddressAndKey: -1}
		c.Observer, c.RefuseAfter = nil, 0
	}
	over := func(by time.Duration) (*rig, map[string]string) {
		plain := newRig(t, unbounded)
		ids, _ := wrongSecretStates(t, plain)
		st := plain.store
		st.Keys, st.Epochs = slowWithKnown{st.Keys, by}, shared{st.Epochs}
		r := rigOn(t, st, unbounded)
		r.clock.Advance(time.Minute)
		return r, ids
	}
	for _, tc := range []struct {
		name    string
		by      time.Duration
		samples int
	}{
		{"B02 a store in memory", 0, harness.Rounds(40, 2_000)},
		{"B02 a store that takes 0.3 ms longer where there is a key", 300 * time.Microsecond, 150},
		{"B02 a store that takes 10 ms longer where there is a key", 10 * time.Millisecond, 40},
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
			t.Error("the states can be distinguished in the third round too")
		})
	}
	t.Run("B02 what takes longer than Config.RefuseAfter is noticed", func(t *testing.T) {
		r, ids := over(30 * time.Millisecond)
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
