package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// reluctant fails to write last uses, counts and events while down.
type reluctant struct{ down bool }

func reluctantStore() (store.Store, *reluctant) {
	f := &reluctant{}
	return harness.Tapped(memstore.New(), harness.While(&f.down, errDown), "Upkeep.RecordUses", "Upkeep.Rehash", "Upkeep.Purge", "Events.Append", "Events.Prune"), f
}

func TestLastUse(t *testing.T) {
	st, f := reluctantStore()
	r := rigOn(t, st)
	key, secret := r.create(owner, "team-a", "")
	stored := func() store.Key {
		found, err := st.Keys.Lookup(t.Context(), key.ID)
		require.NoError(t, err)
		return found.Key
	}
	shown := func() apikey.Key {
		k, err := r.Get(t.Context(), owner, key.ID)
		require.NoError(t, err)
		return k
	}
	require.Zero(t, shown().LastUsed)
	r.mustLogin(key.ID, secret)
	r.clock.Advance(time.Second)
	r.mustLogin(key.ID, secret)
	require.Zero(t, stored().LastUsed, "a login writes nothing")

	f.down = true
	err := r.Flush(t.Context())
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.Zero(t, stored().LastUsed)
	f.down = false
	require.NoError(t, r.Flush(t.Context()), "what could not be written is kept")
	require.Equal(t, noon.Add(time.Second), shown().LastUsed)
	require.Equal(t, noon.Add(time.Second), stored().LastUsed)
	require.Equal(t, noon.Add(time.Second), stored().Credentials[0].LastUsed)
	require.Equal(t, key.Version, stored().Version, "a use is no change")
	require.NoError(t, r.Flush(t.Context()), "with nothing to do")
	require.Len(t, r.seen, 2)

	// A refused login is no use.
	_, err = r.loginFor(key.ID, secret.Reveal(), perms("project.list"))
	require.Error(t, err)
	_, err = r.login(key.ID, apikey.MustSecret(randomFrom("wrong"), "").Reveal())
	require.Error(t, err)
	require.NoError(t, r.Flush(t.Context()))
	require.Equal(t, noon.Add(time.Second), stored().LastUsed)
}

func TestRefusalEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, f := reluctantStore()
		r := rigOn(t, st)
		replica := rigOn(t, st)
		key, secret := r.create(owner, "team-a", "")
		wrong := apikey.MustSecret(randomFrom("wrong"), "").Reveal()
		refused := func() []string {
			require.NoError(t, r.Flush(t.Context()))
			require.NoError(t, replica.Flush(t.Context()))
			var notes []string
			for _, e := range r.events(store.EventQuery{Action: audit.Refuse}) {
				require.Equal(t, key.ID, e.Key)
				require.Equal(t, "team-a", e.Workspace)
				require.Equal(t, store.ActorRef{Kind: "key", ID: key.ID}, e.Actor)
				notes = append(notes, e.Note)
			}
			return notes
		}
		for range 10 {
			_, _ = r.login("no-such-key", wrong)
			_, _ = r.login(key.ID, "not a secret")
		}
		require.Empty(t, refused(), "none for unknown ids or malformed secrets")
		for range 5 {
			_, _ = r.login(key.ID, wrong)
			_, _ = replica.login(key.ID, wrong)
		}
		require.Equal(t, []string{"unknown_or_wrong"}, refused(), "one for each key, reason and hour, from all processes")
		_, _ = r.loginFor(key.ID, secret.Reveal(), perms("project.list"))
		require.ElementsMatch(t, []string{"unknown_or_wrong", "scope"}, refused(), "another reason")
		r.clock.Advance(59 * time.Minute)
		replica.clock.Advance(59 * time.Minute)
		_, _ = r.login(key.ID, wrong)
		require.Len(t, refused(), 2, "the same hour")
		r.clock.Advance(time.Minute)
		f.down = true
		_, _ = r.login(key.ID, wrong)
		require.ErrorIs(t, r.Flush(t.Context()), store.ErrUnavailable)
		f.down = false
		require.Len(t, refused(), 3, "the next hour; what could not be written is kept")
		_, err := r.Disable(t.Context(), owner, key.ID, 0)
		require.NoError(t, err)
		_, _ = r.login(key.ID, secret.Reveal())
		require.ElementsMatch(t, []string{"unknown_or_wrong", "scope", "unknown_or_wrong", "disabled"}, refused())
		r.clock.Advance(-30 * time.Minute)
		_, _ = r.login(key.ID, secret.Reveal())
		require.Len(t, refused(), 4, "B08 a clock that steps back logs nothing twice")
		right := r.clock.Now()
		r.clock.Set(right.AddDate(2, 0, 0))
		_, _ = r.login(key.ID, secret.Reveal())
		require.Len(t, refused(), 5)
		r.clock.Set(right.Add(2 * time.Hour))
		_, _ = r.login(key.ID, secret.Reveal())
		require.Len(t, refused(), 6, "B29 a clock that was ahead suppresses nothing")
	})
}

func TestObserver(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(owner, "team-a", "")
	r.mustLogin(key.ID, secret)
	_, _ = r.login(key.ID, apikey.MustSecret(randomFrom("wrong"), "").Reveal())
	_, _ = r.login(key.ID, "nonsense")
	_, err := r.Disable(t.Context(), owner, key.ID, 0)
	require.NoError(t, err)
	_, _ = r.login(key.ID, secret.Reveal())
	require.Equal(t, []observe.Decision{
		{Time: noon, Use: observe.Login, ClientID: key.ID, KeyID: key.ID, Workspace: "team-a", CredentialID: key.Credentials[0].ID, Address: addrA},
		{Time: noon, Use: observe.Login, Reason: "unknown_or_wrong", ClientID: key.ID, Address: addrA},
		{Time: noon, Use: observe.Login, Reason: "malformed_secret", ClientID: key.ID, Address: addrA},
		{Time: noon, Use: observe.Login, Reason: "disabled", ClientID: key.ID, KeyID: key.ID, Workspace: "team-a", CredentialID: key.Credentials[0].ID, Address: addrA},
	}, r.seen)
}

func TestPrune(t *testing.T) {
	day := 24 * time.Hour
	for _, tc := range []struct {
		retention time.Duration
		keepsAt   time.Duration
		goneAt    time.Duration // 0: never
	}{
		{0, 400 * day, 400*day + time.Microsecond},
		{time.Hour, time.Hour, time.Hour + time.Microsecond},
		{-1, 4000 * day, 0},
	} {
		t.Run(tc.retention.String(), func(t *testing.T) {
			r := newRig(t, func(c *apikey.Config) { c.EventRetention = tc.retention })
			r.create(owner, "team-a", "")
			r.clock.Set(noon.Add(tc.keepsAt))
			require.NoError(t, r.Prune(t.Context()))
			require.Len(t, r.events(store.EventQuery{}), 1)
			if tc.goneAt > 0 {
				r.clock.Set(noon.Add(tc.goneAt))
				require.NoError(t, r.Prune(t.Context()))
				require.Empty(t, r.events(store.EventQuery{}))
			}
		})
	}
	t.Run("tombstones outlive every token", func(t *testing.T) {
		r := newRig(t, func(c *apikey.Config) { c.Imported = true })
		spec := apikey.ImportSpec{Spec: apikey.Spec{Workspace: "team-a", Name: "old"}, ID: "legacy", Digest: bcryptOf(t, "x")}
		_, err := r.Import(t.Context(), owner, spec)
		require.NoError(t, err)
		require.NoError(t, r.Delete(t.Context(), owner, "legacy", 0))
		r.clock.Advance(48 * time.Hour)
		require.NoError(t, r.Prune(t.Context()))
		_, err = r.Import(t.Context(), owner, spec)
		require.ErrorIs(t, err, store.ErrExists)
		r.clock.Advance(time.Microsecond)
		require.NoError(t, r.Prune(t.Context()))
		_, err = r.Import(t.Context(), owner, spec)
		require.NoError(t, err)
	})
	t.Run("a failure is returned", func(t *testing.T) {
		st, f := reluctantStore()
		r := rigOn(t, st)
		f.down = true
		err := r.Prune(t.Context())
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.ErrorContains(t, err, "prune events")
		require.ErrorContains(t, err, "purge tombstones")
	})
}

// TestOutage tests that a failure of the store is never reported as a wrong secret,
// a missing key or a forbidden action.
func TestOutage(t *testing.T) {
	for _, cause := range []error{errDown, errors.New("driver: connection reset"), context.DeadlineExceeded} {
		st, f := reluctantStore()
		f.down = true
		fail := func(context.Context, string) error { return cause }
		r := rigOn(t, harness.Tapped(st, fail, "Keys.", "Settings."), func(c *apikey.Config) { c.Imported = true })
		_, secret, err := newRig(t).tryCreate(admin, "team-a", "")
		require.NoError(t, err)
		r.keep(secret.Reveal())
		target := apikey.Key{ID: "some-key", Workspace: "team-a", Credentials: []store.Credential{{ID: "s"}}}
		for _, act := range acts {
			if act.name == "Events" {
				continue // events are there
			}
			for name, actor := range map[string]apikey.Actor{"admin": admin, "key": apikey.ByKey("some-key", catalog.All(), "")} {
				t.Run(fmt.Sprintf("B19 %s by %s: %v", act.name, name, cause), func(t *testing.T) {
					err := r.note(act.do(r, actor, target))
					require.ErrorIs(t, err, cause)
					require.NotErrorIs(t, err, store.ErrNotFound)
					require.False(t, isForbidden(err))
				})
			}
		}
		for name, try := range map[string]func(string) error{
			"login": func(s string) error { _, err := r.login("some-key", s); return err },
			"revoke": func(s string) error {
				return r.RevokeSecret(t.Context(), apikey.Credentials{ID: "some-key", Secret: s})
			},
		} {
			for _, presented := range []string{secret.Reveal(), "an imported secret"} {
				t.Run(fmt.Sprintf("B19 %s: %v", name, cause), func(t *testing.T) {
					err := r.note(try(presented))
					require.ErrorIs(t, err, store.ErrUnavailable)
					require.NotErrorIs(t, err, apikey.ErrInvalidCredentials)
				})
			}
		}
		require.Equal(t, []string{"unavailable", "unavailable", "unavailable", "unavailable"}, r.reasons())
	}
}

func TestRehashFailureIsNoReasonToRefuse(t *testing.T) {
	st, f := reluctantStore()
	key, secret := rigOn(t, st).create(admin, "team-a", "")
	f.down = true
	r := rigOn(t, st, func(c *apikey.Config) { c.Peppers = []apikey.Pepper{pepper3, pepper1} })
	r.keep(secret.Reveal())
	r.mustLogin(key.ID, secret)
	require.Contains(t, r.logs.String(), "the first use of the secret after this clock hour tries again")
}
