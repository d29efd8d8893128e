package apikey_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// wrongSecretStates makes a key in every state and returns the ids and the
// secrets, by state.
func wrongSecretStates(t *testing.T, r *rig) (map[string]string, map[string]apikey.Secret) {
	ctx := context.Background()
	secrets := map[string]apikey.Secret{}
	ids := map[string]string{"unknown": "2f8a2f64-6a2b-4d55-9a57-3f1f1a1f9a10"}
	for _, state := range []string{"live", "disabled", "expired", "deleted"} {
		key, secret := r.create(admin, "team-a", "project.list", func(s *apikey.Spec) {
			if state == "expired" {
				s.Expiry = apikey.Expiry{At: noon.Add(time.Second)}
			}
		})
		ids[state], secrets[state] = key.ID, secret
		switch state {
		case "disabled":
			_, err := r.Disable(ctx, admin, key.ID, 0)
			require.NoError(t, err)
		case "deleted":
			require.NoError(t, r.Delete(ctx, admin, key.ID, 0))
		}
	}
	r.clock.Advance(time.Minute)
	return ids, secrets
}

// TestWrongSecretLooksAlike tests that the error for a wrong secret is the same for
// every id.
func TestWrongSecretLooksAlike(t *testing.T) {
	for name, imported := range map[string]bool{"": false, ", with imports": true} {
		r := newRig(t, func(c *apikey.Config) { c.Imported = imported })
		wrong := apikey.MustSecret(randomFrom("wrong"), "").Reveal()
		ids, _ := wrongSecretStates(t, r)
		for state, id := range ids {
			t.Run("B02 "+state+name, func(t *testing.T) {
				login, err := r.Authenticate(t.Context(), apikey.Credentials{ID: id, Secret: wrong})
				require.Nil(t, login)
				require.True(t, err == apikey.ErrInvalidCredentials, "exactly this error, not one that wraps it")
			})
		}
		for _, reason := range r.reasons() {
			require.Equal(t, "unknown_or_wrong", reason)
		}
	}
}

// shared pretends that it shares a database with any Keys.
type shared struct{ store.Epochs }

func (shared) With(store.Keys) bool { return true }
