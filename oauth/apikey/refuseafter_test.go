package apikey_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestRefuseAfter measures refusals by the clock of a synctest bubble, where only
// waiting takes time.
func TestRefuseAfter(t *testing.T) {
	const ms = time.Millisecond
	wrong := apikey.MustSecret(randomFrom("wrong"), "").Reveal()
	var throttled *apikey.ThrottledError
	for _, tc := range []struct {
		name   string
		config time.Duration
		id     string // of a state of wrongSecretStates
		secret string // empty: a wrong one
		store  time.Duration
		ends   time.Duration // of the request's context
		over   bool          // the budget was used up before
		down   bool
		want   any
		after  time.Duration
	}{
		{name: "B02 an unknown id", id: "unknown", want: apikey.ErrInvalidCredentials, after: 25 * ms},
		{name: "B02 a wrong secret", id: "live", want: apikey.ErrInvalidCredentials, after: 25 * ms},
		{name: "B02 of a disabled key", id: "disabled", want: apikey.ErrInvalidCredentials, after: 25 * ms},
		{name: "B02 a store that takes 10 ms", id: "unknown", store: 10 * ms, want: apikey.ErrInvalidCredentials, after: 25 * ms},
		{name: "B02 a fraction of a millisecond", id: "live", store: 300 * time.Microsecond, want: apikey.ErrInvalidCredentials, after: 25 * ms},
		{name: "a store that takes longer", id: "live", store: 40 * ms, want: apikey.ErrInvalidCredentials, after: 40 * ms},
		{name: "B02 beyond the budget, after a read", id: "live", store: 10 * ms, over: true, want: &throttled, after: 25 * ms},
		{name: "B02 beyond the budget, an unknown id", id: "unknown", over: true, want: &throttled, after: 25 * ms},
		{name: "a malformed secret", id: "live", secret: "nonsense", store: 10 * ms, want: apikey.ErrInvalidCredentials},
		{name: "a malformed secret beyond the budget", id: "live", secret: "nonsense", over: true, want: &throttled},
		{name: "longer", config: time.Second, id: "live", want: apikey.ErrInvalidCredentials, after: time.Second},
		{name: "off", config: -1, id: "live", store: ms, want: apikey.ErrInvalidCredentials, after: ms},
		{name: "the request ends", id: "live", ends: 10 * ms, want: apikey.ErrInvalidCredentials, after: 10 * ms},
		{name: "an outage", id: "live", down: true, want: store.ErrUnavailable},
		{name: "a store that hangs", id: "live", store: 40 * ms, ends: 10 * ms, want: store.ErrUnavailable, after: 10 * ms},
		{name: "a right secret", id: "live", secret: "right", store: ms, after: ms},
		{name: "a right secret of a disabled key", id: "disabled", secret: "right", want: new(*apikey.RefusedError)},
	} {
		for call, do := range map[string]func(context.Context, *rig, apikey.Credentials) error{
			"Authenticate": func(ctx context.Context, r *rig, c apikey.Credentials) error { return errOf(r.Authenticate(ctx, c)) },
			"RevokeSecret": func(ctx context.Context, r *rig, c apikey.Credentials) error { return r.RevokeSecret(ctx, c) },
		} {
			if tc.secret == "right" && call == "RevokeSecret" {
				continue
			}
			t.Run(tc.name+", "+call, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var delay time.Duration
					var fails error
					st := harness.Tapped(memstore.New(), func(ctx context.Context, _ string) error {
						select {
						case <-time.After(delay):
							return fails
						case <-ctx.Done():
							return ctx.Err()
						}
					}, "Keys.Lookup")
					r := rigOn(t, st, func(c *apikey.Config) {
						c.RefuseAfter = tc.config
						if tc.over {
							c.Budgets.PerAddress = 1
						}
					})
					ids, secrets := wrongSecretStates(t, r)
					c := apikey.Credentials{ID: ids[tc.id], Secret: tc.secret, Address: addrA}
					switch tc.secret {
					case "":
						c.Secret = wrong
					case "right":
						c.Secret = secrets[tc.id].Reveal()
					}
					if tc.over {
						require.Error(t, errOf(r.Authenticate(t.Context(), c)))
					}
					ctx := t.Context()
					if tc.ends > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, tc.ends)
						defer cancel()
					}
					delay = tc.store
					if tc.down {
						fails = errDown
					}
					start := time.Now()
					err := do(ctx, r, c)
					require.Equal(t, tc.after, time.Since(start))
					delay, fails = 0, nil
					switch want := tc.want.(type) {
					case nil:
						require.NoError(t, err)
					case error:
						require.ErrorIs(t, err, want)
					default:
						require.ErrorAs(t, err, want)
					}
				})
			})
		}
	}
}
