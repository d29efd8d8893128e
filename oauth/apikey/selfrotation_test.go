package apikey_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestKeyRotatesWhatItLoggedInWith tests a key that has a secret and two public keys of some
// programs and a trust of another: each may rotate only its own.
func TestKeyRotatesWhatItLoggedInWith(t *testing.T) {
	const secret, first, second, trust, none, unknown = 0, 1, 2, 3, 4, 5
	for _, tc := range []struct {
		name     string
		with     int
		replaces int
		works    bool
	}{
		{"a secret with the secret", secret, secret, true},
		{"a secret with a public key", first, secret, false},
		{"a secret with a trust", trust, secret, false},
		{"a secret with an unknown credential", unknown, secret, false},
		{"a secret with no credential", none, secret, false},
		{"a public key with it", first, first, true},
		{"a public key with the other", second, first, false},
		{"a public key with the secret", secret, first, false},
		{"a public key with a trust", trust, first, false},
		{"a public key with an unknown credential", unknown, first, false},
		{"a public key with no credential", none, first, false},
	} {
		for _, permission := range []string{"keys.rotate", "keys.save", "admin.keys.save"} {
			t.Run("B21 "+tc.name+" "+permission, func(t *testing.T) {
				r := newRig(t, trusting)
				key, _ := r.create(admin, "team-a", permission, func(s *apikey.Spec) {
					s.Credentials = []apikey.CredentialSpec{keyOf(1), keyOf(2), trustOf(1)}
				})
				ids := []string{key.Credentials[0].ID, key.Credentials[1].ID, key.Credentials[2].ID, key.Credentials[3].ID, "", "x"}
				actor := with(ids[tc.with], key)
				var err error
				if tc.replaces == secret {
					var fresh apikey.Secret
					if _, fresh, err = r.Rotate(t.Context(), actor, key.ID, apikey.Rotation{Grace: time.Hour}); err == nil {
						r.keep(fresh.Reveal())
					}
				} else {
					spec := keyOf(3)
					spec.Replaces = ids[tc.replaces]
					_, err = r.AddCredential(t.Context(), actor, key.ID, spec)
				}
				if tc.works {
					require.NoError(t, err)
					return
				}
				require.ErrorAs(t, r.note(err), new(*apikey.ForbiddenError))
				after, err := r.Get(t.Context(), admin, key.ID)
				require.NoError(t, err)
				require.Equal(t, key.Credentials, after.Credentials)
			})
		}
	}
	t.Run("B21 a secret in its grace gives a new one", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.create(admin, "team-a", "keys.rotate")
		r.rotate(admin, key.ID, apikey.Rotation{Grace: time.Hour})
		now, _ := r.rotate(with(key.Credentials[0].ID, key), key.ID, apikey.Rotation{Grace: time.Hour})
		require.True(t, last(now).NotAfter.IsZero())
	})
}

// TestKeyOutlivesNoCredential tests that what a key gives to others ends no later than the
// public key or the trust that it logged in with.
func TestKeyOutlivesNoCredential(t *testing.T) {
	hour := noon.Add(time.Hour)
	for name, spec := range map[string]apikey.CredentialSpec{"a public key": keyOf(1), "a trust": trustOf(1)} {
		t.Run("B21 "+name, func(t *testing.T) {
			spec.NotAfter = hour
			r := newRig(t, trusting)
			key, _ := r.create(admin, "team-a", "keys.save", func(s *apikey.Spec) { s.Credentials = []apikey.CredentialSpec{spec} })
			other, _ := r.create(admin, "team-a", "keys.save")
			actor := with(last(key).ID, key)
			child, _ := r.create(actor, "team-a", "keys.save")
			require.Equal(t, hour, child.NotAfter)
			_, _, err := r.tryCreate(actor, "team-a", "", func(s *apikey.Spec) { s.Expiry.At = hour.Add(time.Second) })
			require.ErrorAs(t, r.note(err), new(*apikey.ForbiddenError))
			_, err = r.AddCredential(t.Context(), actor, other.ID, keyOf(2))
			require.ErrorAs(t, r.note(err), new(*apikey.ForbiddenError))
		})
	}
	t.Run("a key that ends before", func(t *testing.T) {
		r := newRig(t)
		spec := keyOf(1)
		spec.NotAfter = hour
		key, _ := r.create(admin, "team-a", "keys.save", func(s *apikey.Spec) {
			s.Credentials, s.Expiry.At = []apikey.CredentialSpec{spec}, noon.Add(time.Minute)
		})
		child, _ := r.create(with(last(key).ID, key), "team-a", "")
		require.Equal(t, noon.Add(time.Minute), child.NotAfter)
	})
	t.Run("not a secret in its grace", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.create(admin, "team-a", "keys.save")
		r.rotate(admin, key.ID, apikey.Rotation{Grace: time.Hour})
		child, _ := r.create(with(key.Credentials[0].ID, key), "team-a", "")
		require.Zero(t, child.NotAfter)
	})
}

// TestProgramOfAPersonGivesNoSecret tests that nothing is left of a program once DisableAllBy
// has ended the trust that a person gave.
func TestProgramOfAPersonGivesNoSecret(t *testing.T) {
	p := newPod(t, memstore.New())
	key, _ := p.create(manager, "team-a", "keys.rotate")
	p.add(owner, key.ID, apikey.CredentialSpec{Name: "ci", Trust: &store.Trust{Issuer: "cluster", Claims: []store.Claim{{Name: "sub", Value: "deployer"}}}})
	grant, err := p.logIn(apikey.Credentials{ID: key.ID, Assertion: p.identity(), Address: addrA}, apikey.Request{})
	require.NoError(t, err)
	_, _, err = p.Rotate(t.Context(), apikey.ByKey(key.ID, grant.Permissions, grant.CredentialID), key.ID, apikey.Rotation{Grace: time.Hour})
	require.ErrorAs(t, p.note(err), new(*apikey.ForbiddenError), "B27")
}
