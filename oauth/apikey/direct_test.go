package apikey_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

func direct(spec *apikey.Spec) { spec.Direct = true }

func fromA() netip.Addr { return addrA }

// direct uses a secret in place of a token.
func (r *rig) direct(secret string) (apikey.DirectUse, error) {
	use, err := r.Direct(context.Background(), apikey.Credentials{Secret: secret}, fromA)
	return use, r.note(err)
}

// logins returns the logins that are written for a key.
func (r *rig) logins(id string) int64 {
	r.t.Helper()
	require.NoError(r.t, r.Flush(context.Background()))
	days, err := r.Usage(context.Background(), admin, id, noon.AddDate(0, 0, -1), noon.AddDate(0, 0, 30))
	require.NoError(r.t, err)
	var sum int64
	for _, day := range days {
		sum += day.Logins
	}
	return sum
}

func TestDirect(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(admin, "team-a", "project.list project.save", direct)
	use, err := r.direct(secret.Reveal())
	require.NoError(t, err)
	require.Equal(t, apikey.DirectUse{
		KeyID: key.ID, Workspace: "team-a", SecretID: key.Credentials[0].ID, Permissions: perms("project.list project.save"),
	}, use)
	_, err = r.Authenticate(t.Context(), apikey.Credentials{Secret: secret.Reveal()})
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials, "B32 a login needs the id")
	_, plain := r.create(admin, "team-a", "project.list")
	_, err = r.direct(plain.Reveal())
	var refused *apikey.RefusedError
	require.ErrorAs(t, err, &refused, "B32 a key that does not allow it")
	require.Equal(t, "direct", refused.Reason)
}

// TestDirectPolicies: policies see that it is direct, and may refuse or narrow.
func TestDirectPolicies(t *testing.T) {
	var asked policy.TokenRequest
	limit := policy.RateLimit(policy.RateLimitConfig{Limit: 1, Per: time.Hour})
	r := newRig(t, func(c *apikey.Config) {
		c.Policy = policy.All(limit, policy.TokenTTL(time.Minute), policy.TokenFunc(func(_ context.Context, q *policy.TokenRequest) error {
			asked = *q
			q.ShortenTo(q.Now.Add(time.Second))
			q.Drop(scope.MustParse("project.save"))
			return nil
		}))
	})
	key, secret := r.create(admin, "team-a", "project.list project.save", direct)
	for range 3 {
		use, err := r.direct(secret.Reveal())
		require.NoError(t, err, "B32 limits on logins do not count here")
		require.Equal(t, "project.list", use.Permissions.String())
		require.Zero(t, use.Expires)
	}
	require.Equal(t, policy.UseDirect, asked.Use)
	require.Equal(t, addrA, asked.Address)
	require.Equal(t, key.ID, asked.Key.ID)
	require.Equal(t, key.Credentials[0].ID, asked.Credential.ID)
	require.Empty(t, asked.Credential.Digest)
	_, err := r.login(key.ID, secret.Reveal())
	require.NoError(t, err, "B32 nor do they count direct uses")
}

// TestDirectUnknownIsNotDelayed: there is no id whose existence the time could show. With
// an id, it is as at the login.
func TestDirectUnknownIsNotDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *apikey.Config) { c.RefuseAfter = time.Second })
		_, other := newRig(t).create(admin, "team-a", "")
		for id, delay := range map[string]time.Duration{"": 0, "some-key": time.Second} {
			start := time.Now()
			_, err := r.Direct(t.Context(), apikey.Credentials{ID: id, Secret: other.Reveal()}, fromA)
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
			require.Equal(t, delay, time.Since(start).Truncate(time.Millisecond))
		}
	})
}

// TestDirectIsCounted: 1,000 uses make one write of last uses and one of counts.
func TestDirectIsCounted(t *testing.T) {
	st, tapped := harness.NewTap()
	r := rigOn(t, st)
	key, secret := r.create(admin, "team-a", "project.list", direct)
	other, otherSecret := r.create(admin, "team-a", "project.list", direct)
	require.NoError(t, r.Flush(t.Context()))
	tapped.Take()
	for range 500 {
		for _, s := range []apikey.Secret{secret, otherSecret} {
			_, err := r.direct(s.Reveal())
			require.NoError(t, err)
		}
		r.clock.Advance(time.Millisecond)
	}
	last := r.Now().Add(-time.Millisecond).Truncate(time.Microsecond)
	calls := tapped.Take()
	require.Equal(t, map[string]int{"Secrets.LookupSecret": 1000}, calls)
	require.NoError(t, r.Flush(t.Context()))
	require.Equal(t, map[string]int{"Upkeep.RecordUses": 1, "Usage.Add": 1}, tapped.Take(), "B32 one write")
	for _, id := range []string{key.ID, other.ID} {
		require.EqualValues(t, 500, r.logins(id))
		k, err := r.Get(t.Context(), admin, id)
		require.NoError(t, err)
		require.Equal(t, last, k.LastUsed)
		require.Equal(t, last, k.Credentials[0].LastUsed)
	}
	require.Zero(t, apikey.SeenSecrets(r.Service), "what was not used since a Flush is forgotten")
}

// TestDirectCountsAreExact: no use is lost, however often Flush runs in between.
func TestDirectCountsAreExact(t *testing.T) {
	r := newRig(t)
	const callers = 64
	uses := harness.Rounds(100, 2000)
	key, secret := r.create(admin, "team-a", "project.list", direct)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range uses {
				if _, err := r.Direct(context.Background(), apikey.Credentials{Secret: secret.Reveal()}, fromA); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		for range 3 { // an idle entry goes
			require.NoError(t, r.Flush(t.Context()))
		}
	}
	require.EqualValues(t, callers*uses, r.logins(key.ID))
	require.NoError(t, r.Flush(t.Context()))
	require.Zero(t, apikey.SeenSecrets(r.Service))
}

// TestDirectUseWaits: a secret that was used directly is in use, before Flush and after.
func TestDirectUseWaits(t *testing.T) {
	for _, flush := range []bool{false, true} {
		r := newRig(t)
		key, secret := r.create(admin, "team-a", "project.list", direct)
		for range 2 {
			_, err := r.direct(secret.Reveal())
			require.NoError(t, err)
			if flush {
				require.NoError(t, r.Flush(t.Context()))
			}
		}
		_, _, err := r.Rotate(t.Context(), admin, key.ID, apikey.Rotation{Replaces: key.Credentials[0].ID})
		var invalid *apikey.InvalidError
		require.ErrorAs(t, err, &invalid)
	}
}

// TestDirectOfAnotherKey: a secret that moved to another key counts for that key.
func TestDirectOfAnotherKey(t *testing.T) {
	r := newRig(t, func(c *apikey.Config) { c.Imported = true })
	key, secret := r.create(admin, "team-a", "project.list", direct)
	for range 3 {
		_, err := r.direct(secret.Reveal())
		require.NoError(t, err)
	}
	require.NoError(t, r.Delete(t.Context(), admin, key.ID, 0))
	moved, err := r.Import(t.Context(), admin, apikey.ImportSpec{
		Spec: apikey.Spec{Workspace: "team-b", Name: "moved", Permissions: perms("project.save"), Direct: true},
		ID:   "moved", Secret: secret.Reveal(), Generated: true,
	})
	require.NoError(t, err)
	for range 2 {
		use, err := r.direct(secret.Reveal())
		require.NoError(t, err)
		require.Equal(t, []string{"moved", "team-b", "project.save"}, []string{use.KeyID, use.Workspace, use.Permissions.String()})
	}
	require.EqualValues(t, 2, r.logins(moved.ID))
	require.NoError(t, r.Flush(t.Context()))
	require.Zero(t, apikey.SeenSecrets(r.Service), "the entry of the first key goes")
	before := apikey.Hashes(r.Service)
	for range 3 {
		_, err := r.direct(secret.Reveal())
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, apikey.Hashes(r.Service)-before, "the second key has an entry of its own")
	require.EqualValues(t, 5, r.logins(moved.ID))
}

// TestDirectDigestChanges: what was verified once is verified again when the record has
// another digest.
func TestDirectDigestChanges(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(admin, "team-a", "project.list", direct)
	for range 3 {
		_, err := r.direct(secret.Reveal())
		require.NoError(t, err)
	}
	found, err := r.store.Keys.Lookup(t.Context(), key.ID)
	require.NoError(t, err)
	right := found.Key.Credentials[0].Digest
	other := right[:len(right)-5] + "AAAAA"
	require.NoError(t, r.store.Upkeep.Rehash(t.Context(), key.ID, key.Credentials[0].ID, right, other))
	_, err = r.direct(secret.Reveal())
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials, "B32")
	require.NoError(t, r.store.Upkeep.Rehash(t.Context(), key.ID, key.Credentials[0].ID, other, right))
	_, err = r.direct(secret.Reveal())
	require.NoError(t, err)
}

// TestDirectOutage: whether the secret is right is not known.
func TestDirectOutage(t *testing.T) {
	st, tapped := harness.NewTap()
	r := rigOn(t, st)
	_, secret := r.create(admin, "team-a", "project.list", direct)
	for range 2 {
		tapped.Before(func(context.Context, string) error { return store.ErrUnavailable })
		_, err := r.direct(secret.Reveal())
		require.ErrorIs(t, err, store.ErrUnavailable)
		tapped.Before(nil)
		_, err = r.direct(secret.Reveal())
		require.NoError(t, err)
	}
}

// TestKeyGivesDirectUse tests that a key that does not allow direct use gives it to no key.
func TestKeyGivesDirectUse(t *testing.T) {
	r := newRig(t)
	parent, _ := r.create(admin, "team-a", "project.list keys.save")
	other, _ := r.create(admin, "team-a", "project.list")
	actor := apikey.ByKey(parent.ID, perms("project.list keys.save"), parent.Credentials[0].ID)
	var forbidden *apikey.ForbiddenError
	_, _, err := r.tryCreate(actor, "team-a", "project.list", direct)
	t.Run("B21 create", func(t *testing.T) { require.ErrorAs(t, err, &forbidden) })
	t.Run("B21 update", func(t *testing.T) {
		_, err := r.Update(t.Context(), actor, other.ID, apikey.Changes{Direct: ptr(true)})
		require.ErrorAs(t, err, &forbidden)
	})
	t.Run("B21 add a credential to a key that allows it", func(t *testing.T) {
		allows, _ := r.create(admin, "team-a", "project.list", direct)
		_, err := r.AddCredential(t.Context(), actor, allows.ID, aPublicKey("laptop"))
		require.ErrorAs(t, err, &forbidden)
	})
	t.Run("B21 rotate", func(t *testing.T) {
		_, _, err := r.Rotate(t.Context(), actor, other.ID, apikey.Rotation{Changes: apikey.Changes{Direct: ptr(true)}})
		require.ErrorAs(t, err, &forbidden)
	})
}
