package apikey_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// countedSecrets counts the look-ups by secret, and waits before each.
type countedSecrets struct {
	store.Secrets
	n     atomic.Int64
	delay func(ctx context.Context) error
}

func (c *countedSecrets) LookupSecret(ctx context.Context, id string) (store.Found, error) {
	c.n.Add(1)
	if c.delay != nil {
		if err := c.delay(ctx); err != nil {
			return store.Found{}, err
		}
	}
	return c.Secrets.LookupSecret(ctx, id)
}

func countingSecrets(st store.Store) (store.Store, *countedSecrets) {
	counted := &countedSecrets{Secrets: st.Secrets}
	st.Secrets = counted
	return st, counted
}

var onGitHub = apikey.Leak{Scanner: "api.github.com", URL: "https://github.com/o/r/blob/1/.env", Source: "commit"}

// TestReportLeak tests that a leaked secret ends with its tokens, whatever the state of
// its key, and that all further reports of it are still true.
func TestReportLeak(t *testing.T) {
	for name, do := range map[string]func(*rig, apikey.Key){
		"live": func(*rig, apikey.Key) {},
		"disabled": func(r *rig, k apikey.Key) {
			_, err := r.Disable(t.Context(), owner, k.ID, 0)
			require.NoError(r.t, err)
		},
		"expired": func(r *rig, _ apikey.Key) { r.clock.Advance(3 * time.Hour) },
		"suspended": func(r *rig, _ apikey.Key) {
			require.NoError(r.t, r.SetSuspended(t.Context(), admin, "team-a", true))
		},
	} {
		t.Run("B33 "+name, func(t *testing.T) {
			r := newRig(t)
			key, leaked := r.create(owner, "team-a", "project.list", func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: noon.Add(2 * time.Hour)} })
			token := r.mustLogin(key.ID, leaked)
			_, other := r.rotate(owner, key.ID, apikey.Rotation{Grace: 24 * time.Hour})
			unaffected := r.mustLogin(key.ID, other)
			do(r, key)
			epoch := func() int64 {
				found, err := r.store.Keys.Lookup(t.Context(), key.ID)
				require.NoError(t, err)
				return found.Key.Epoch
			}
			before := epoch()
			for range 3 {
				l, err := r.ReportLeak(t.Context(), leaked.Reveal(), onGitHub)
				require.NoError(t, err)
				want := onGitHub
				want.Key, want.Workspace, want.SecretID, want.Hint = key.ID, "team-a", key.Credentials[0].ID, leaked.Hint()
				require.Equal(t, want, l)
				require.True(t, r.revoked(token))
				require.ErrorIs(t, errOf(r.login(key.ID, leaked.Reveal())), apikey.ErrInvalidCredentials)
			}
			if name == "live" {
				require.False(t, r.revoked(unaffected), "the token of another secret")
				r.mustLogin(key.ID, other)
				require.Equal(t, before, epoch())
			}
			events := r.events(store.EventQuery{Action: audit.Leak})
			require.Len(t, events, 1, "a repeated report writes no event")
			require.Equal(t, store.ActorRef{Kind: "scanner", ID: "api.github.com"}, events[0].Actor)
			require.Equal(t, "https://github.com/o/r/blob/1/.env commit", events[0].Note)
			require.Equal(t, [3]string{"team-a", key.ID, "ci"}, [3]string{events[0].Workspace, events[0].Key, events[0].KeyName})
			require.Equal(t, "secrets", events[0].Changes[0].Field)

			elsewhere := onGitHub
			elsewhere.URL = "https://github.com/o/fork\n" + strings.Repeat("x", 2000)
			r.clock.Advance(time.Hour)
			l, err := r.ReportLeak(t.Context(), leaked.Reveal(), elsewhere)
			require.NoError(t, err)
			require.NotContains(t, l.URL, "\n")
			events = r.events(store.EventQuery{Action: audit.Leak})
			require.Len(t, events, 2, "another hour, another event")
			require.Empty(t, events[1].Changes)
			require.LessOrEqual(t, len(events[1].Note), 1024)
			require.NotContains(t, events[1].Note, "\n")

			for range 2 {
				_, err = r.ReportLeak(t.Context(), other.Reveal(), onGitHub)
				require.NoError(t, err)
			}
			require.Greater(t, epoch(), before, "with the last secret the epoch of the key rises")
		})
	}
	t.Run("B33 only noted, and then retired", func(t *testing.T) {
		r := newRig(t)
		key, leaked := r.create(owner, "team-a", "project.list")
		token := r.mustLogin(key.ID, leaked)
		noted := onGitHub
		noted.NoteOnly = true
		for range 2 {
			l, err := r.ReportLeak(t.Context(), leaked.Reveal(), noted)
			require.NoError(t, err)
			require.True(t, l.NoteOnly)
		}
		require.False(t, r.revoked(token))
		r.mustLogin(key.ID, leaked)
		require.Len(t, r.events(store.EventQuery{Action: audit.Leak}), 1)
		r.clock.Advance(time.Minute)
		_, err := r.ReportLeak(t.Context(), leaked.Reveal(), onGitHub)
		require.NoError(t, err)
		require.True(t, r.revoked(token))
		events := r.events(store.EventQuery{Action: audit.Leak})
		require.Len(t, events, 2, "the end of the secret has an event, although the URL was noted before")
		require.NotEmpty(t, events[1].Changes)
	})
	t.Run("B33 after a rotation the ended secret is unknown", func(t *testing.T) {
		r := newRig(t)
		key, leaked := r.create(owner, "team-a", "project.list")
		_, err := r.ReportLeak(t.Context(), leaked.Reveal(), onGitHub)
		require.NoError(t, err)
		rotated, _ := r.rotate(owner, key.ID, apikey.Rotation{Grace: time.Hour})
		require.Len(t, rotated.Credentials, 1)
		_, err = r.ReportLeak(t.Context(), leaked.Reveal(), onGitHub)
		require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
	})
	t.Run("B33 a clock that is behind", func(t *testing.T) {
		r := newRig(t)
		key, leaked := r.create(owner, "team-a", "project.list")
		r.clock.Advance(time.Hour)
		_, err := r.ReportLeak(t.Context(), leaked.Reveal(), onGitHub)
		require.NoError(t, err)
		r.clock.Advance(-time.Hour)
		require.ErrorIs(t, errOf(r.login(key.ID, leaked.Reveal())), apikey.ErrInvalidCredentials)
	})
}

// TestReportLeakReads counts what a report costs.
func TestReportLeakReads(t *testing.T) {
	var tap storetest.Tap
	r := rigOn(t, tap.Over(memstore.New()))
	_, leaked := r.create(owner, "team-a", "project.list")
	unknown := apikey.MustSecret(randomFrom("unknown"), "").Reveal()
	for _, tc := range []struct {
		name, secret string
		found        bool
		calls        map[string]int
	}{
		{"B33 malformed: no read", unknown[:len(unknown)-1], false, map[string]int{}},
		{"B33 a wrong checksum: no read", unknown[:len(unknown)-1] + "!", false, map[string]int{}},
		{"B33 empty: no read", "", false, map[string]int{}},
		{"B33 unknown: one read", unknown, false, map[string]int{"Secrets.LookupSecret": 1}},
		{"B33 real", leaked.Reveal(), true, map[string]int{"Secrets.LookupSecret": 1, "Keys.Lookup": 1, "Keys.Update": 1}},
		{"B33 real again", leaked.Reveal(), true, map[string]int{"Secrets.LookupSecret": 1, "Keys.Lookup": 1, "Events.Append": 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tap.Take()
			_, err := r.ReportLeak(t.Context(), tc.secret, onGitHub)
			if tc.found {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
			}
			require.Equal(t, tc.calls, tap.Take())
		})
	}
	require.Equal(t, observe.LeakReport, r.seen[len(r.seen)-1].Use)
}

// TestReportLeakRace tests that reports of one secret at once end it once.
func TestReportLeakRace(t *testing.T) {
	r := newRig(t)
	key, leaked := r.create(owner, "team-a", "project.list")
	var group sync.WaitGroup
	var found atomic.Int64
	for range 16 {
		group.Go(func() {
			if _, err := r.ReportLeak(context.Background(), leaked.Reveal(), onGitHub); err == nil {
				found.Add(1)
			}
		})
	}
	group.Wait()
	require.Positive(t, found.Load())
	require.Len(t, r.events(store.EventQuery{Action: audit.Leak}), 1, "B33")
	shown, err := r.Get(t.Context(), owner, key.ID)
	require.NoError(t, err)
	require.Equal(t, key.Version+1, shown.Version)
}

// TestRevokeSecretAlone tests RevokeSecret without an id.
func TestRevokeSecretAlone(t *testing.T) {
	unknown := func(n int) string { return apikey.MustSecret(randomFrom(fmt.Sprint("unknown", n)), "").Reveal() }
	revoke := func(r *rig, secret string) error {
		return r.note(r.RevokeSecret(t.Context(), apikey.Credentials{Secret: secret, Address: addrA}))
	}
	t.Run("B33 a real one", func(t *testing.T) {
		r := newRig(t)
		key, leaked := r.create(owner, "team-a", "project.list")
		token := r.mustLogin(key.ID, leaked)
		require.NoError(t, revoke(r, leaked.Reveal()))
		require.True(t, r.revoked(token))
		events := r.events(store.EventQuery{Action: audit.Revoke})
		require.Len(t, events, 1)
		require.Equal(t, store.ActorRef{Kind: "holder", ID: key.ID}, events[0].Actor)
		require.Equal(t, addrA.String(), events[0].Address)
		require.NoError(t, revoke(r, leaked.Reveal()), "again: the same result")
		require.NoError(t, revoke(r, unknown(0)), "an unknown one: the same result")
		require.Len(t, r.events(store.EventQuery{Action: audit.Revoke}), 1)
	})
	t.Run("B33 malformed: refused without a read, and without cost", func(t *testing.T) {
		st, reads := countingSecrets(memstore.New())
		r := rigOn(t, st, func(c *apikey.Config) { c.Budgets.PerAddress = 3 })
		for range 10 {
			require.ErrorIs(t, revoke(r, unknown(0)[1:]), apikey.ErrInvalidCredentials)
			require.ErrorIs(t, revoke(r, ""), apikey.ErrInvalidCredentials)
		}
		require.Zero(t, reads.n.Load())
		require.NoError(t, revoke(r, unknown(0)))
	})
	t.Run("B33 unknown ones alone spend a budget of their own", func(t *testing.T) {
		st, reads := countingSecrets(memstore.New())
		r := rigOn(t, st, func(c *apikey.Config) { c.Budgets.PerAddress = 3 })
		first, leaked := r.create(owner, "team-a", "project.list")
		for range 1000 {
			_, secret, err := r.Create(t.Context(), owner, apikey.Spec{Workspace: "team-a", Name: "ci", Permissions: perms("project.list")})
			require.NoError(t, err)
			require.NoError(t, revoke(r, secret.Reveal()))
		}
		for n := range 3 {
			require.NoError(t, revoke(r, unknown(n)))
		}
		reads.n.Store(0)
		var throttled *apikey.ThrottledError
		require.ErrorAs(t, revoke(r, unknown(4)), &throttled)
		require.Positive(t, throttled.RetryAfter)
		require.ErrorAs(t, revoke(r, leaked.Reveal()), &throttled, "a real one gets the same result")
		require.Zero(t, reads.n.Load(), "the store is not asked")
		require.NoError(t, r.RevokeSecret(t.Context(), apikey.Credentials{Secret: unknown(5), Address: addrB}), "another address")
		// Logins behind the address do not notice.
		require.ErrorIs(t, errOf(r.login(first.ID, unknown(6))), apikey.ErrInvalidCredentials)
		r.mustLogin(first.ID, leaked)
		r.clock.Advance(throttled.RetryAfter)
		require.NoError(t, revoke(r, leaked.Reveal()))
	})
	t.Run("B33 wrong logins do not spend it", func(t *testing.T) {
		r := newRig(t, func(c *apikey.Config) { c.Budgets.PerAddress = 3 })
		key, _ := r.create(owner, "team-a", "project.list")
		for n := range 5 {
			require.Error(t, errOf(r.login(key.ID, unknown(n))))
		}
		require.NoError(t, revoke(r, unknown(9)))
	})
	for name, took := range map[string]time.Duration{"in no time": 0, "in 10 ms": 10 * time.Millisecond, "in 24.7 ms": 24700 * time.Microsecond} {
		t.Run("B33 the same time for known and unknown, with a store that looks up "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, reads := countingSecrets(memstore.New())
				r := rigOn(t, st, func(c *apikey.Config) { c.RefuseAfter = 0 })
				_, leaked := r.create(owner, "team-a", "project.list")
				reads.delay = func(context.Context) error {
					time.Sleep(took) //nolint:forbidigo // the bubble's clock
					return nil
				}
				for _, secret := range []string{leaked.Reveal(), unknown(0)} {
					start := time.Now()
					require.NoError(t, r.RevokeSecret(t.Context(), apikey.Credentials{Secret: secret, Address: addrA}))
					require.Equal(t, 25*time.Millisecond, time.Since(start))
				}
			})
		})
	}
	t.Run("B33 an outage is none of these", func(t *testing.T) {
		st, reads := countingSecrets(memstore.New())
		r := rigOn(t, st, func(c *apikey.Config) { c.Budgets.PerAddress = 1 })
		reads.delay = func(context.Context) error { return errDown }
		for range 3 {
			require.ErrorIs(t, revoke(r, unknown(0)), store.ErrUnavailable)
			require.ErrorIs(t, errOf(r.ReportLeak(t.Context(), unknown(0), onGitHub)), store.ErrUnavailable)
		}
		reads.delay = nil
		require.NoError(t, revoke(r, unknown(0)), "it spends nothing")
	})
}
