package signing_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/signing"
	"github.com/latchkey-go/latchkey/store"
)

// TestReplicas moves the clock of two servers on one store through three rotations,
// with tokens of the longest lifetime. One steps every minute, the other every two
// minutes.
func TestReplicas(t *testing.T) {
	t.Parallel()
	const period = 72 * time.Hour
	f := newFleet(t)
	f.config.RotateEvery = period
	f.lifetime = 24 * time.Hour
	f.leeway = 5 * time.Minute
	servers := []*replica{f.server(), f.server()}
	type live struct {
		token   string
		expires time.Time
	}
	var tokens []live
	signed := map[string]time.Time{}
	published := [2]map[string]time.Time{{}, {}}
	for round, moved := 0, time.Duration(0); moved < 3*period+50*time.Hour; round++ {
		now := f.clock.Now()
		for i, srv := range servers {
			if i == 0 || round%2 == 1 {
				require.NoError(t, f.step(srv))
			}
			for _, kid := range f.published(srv) {
				if _, known := published[i][kid]; !known {
					published[i][kid] = now
				}
			}
			token, kid := f.login(srv)
			if _, known := signed[kid]; !known {
				signed[kid] = now
			}
			_, err := servers[1-i].Verifier().Verify(t.Context(), token)
			require.NoError(t, err, "8414-08 no token is refused by the other one")
			if round%5 == i {
				tokens = append(tokens, live{token, now.Add(24*time.Hour + 5*time.Minute)})
			}
		}
		if round%5 == 0 {
			tokens = slices.DeleteFunc(tokens, func(l live) bool { return !now.Before(l.expires) })
			for _, l := range tokens {
				for _, srv := range servers {
					_, err := srv.Verifier().Verify(t.Context(), l.token)
					require.NoError(t, err, "8414-08 no token is refused while it lives")
				}
			}
		}
		// Around a rotation each minute, else each half hour.
		by := 30 * time.Minute
		if near := (moved + 20*time.Minute) % period; near < 40*time.Minute {
			by = time.Minute
		}
		moved += by
		f.clock.Advance(by)
	}
	require.Len(t, signed, 4, "three rotations")
	for kid, first := range signed {
		for i := range servers {
			if first.After(start) {
				require.GreaterOrEqual(t, first.Sub(published[i][kid]), 8*time.Minute,
					"8414-08 published by both before its first use, for longer than a cache keeps the set")
			}
		}
	}
	t.Run("8414-08 a key is retired after its last token, on both", func(t *testing.T) {
		f := f.at(t)
		last := f.published(servers[0])
		require.Len(t, last, 1)
		require.Equal(t, last, f.published(servers[1]))
		require.Len(t, f.ring().Keys, 1)
	})
	t.Run("a restarted server has the same ring", func(t *testing.T) {
		f := f.at(t)
		require.Equal(t, f.published(servers[0]), f.published(f.server()))
	})
	t.Run("one key a rotation", func(t *testing.T) {
		require.EqualValues(t, 4+3, f.written.Swap(0), "four that were made and three that were retired")
	})
}

// TestOneReplicaRotates has many servers make, and then rotate, at once.
func TestOneReplicaRotates(t *testing.T) {
	t.Parallel()
	const replicas = 8
	f := newFleet(t)
	servers := make([]*replica, replicas)
	together := func(act func(i int) error) {
		t.Helper()
		// No server writes before all have read that a change is due.
		var ready atomic.Int32
		begin := make(chan struct{})
		f.tap.Before(func(_ context.Context, call string) error {
			if call == "SigningKeys.SetRing" {
				if ready.Add(1) == replicas {
					close(begin)
				}
				<-begin
			}
			return nil
		})
		errs := make([]error, replicas)
		var all sync.WaitGroup
		for i := range replicas {
			all.Go(func() { errs[i] = act(i) })
		}
		all.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	}
	agree := func(want int) string {
		t.Helper()
		kid, published := f.kid(servers[0]), f.published(servers[0])
		require.Len(t, published, want)
		for _, srv := range servers {
			require.Equal(t, kid, f.kid(srv))
			require.Equal(t, published, f.published(srv))
		}
		return kid
	}
	together(func(i int) (err error) { servers[i], err = f.try(); return err })
	first := agree(1)
	require.EqualValues(t, 1, f.written.Swap(0))
	for rotation := range 3 {
		f.clock.Advance(30*24*time.Hour - 10*time.Minute)
		together(func(i int) error { return f.step(servers[i]) })
		require.EqualValues(t, 1, f.written.Swap(0), "rotation %d", rotation)
		require.Len(t, f.ring().Keys, 2, "exactly one more")
		require.Equal(t, first, agree(2))
		f.clock.Advance(10*time.Minute - time.Nanosecond)
		require.Equal(t, first, agree(2))
		f.clock.Advance(time.Nanosecond)
		second := agree(2) // without a step: the time on the record decides
		require.NotEqual(t, first, second)
		first = second
		f.clock.Advance(25*time.Hour + 5*time.Minute)
		together(func(i int) error { return f.step(servers[i]) })
		require.EqualValues(t, 1, f.written.Swap(0), "retired")
		agree(1)
		f.clock.Advance(-25*time.Hour - 5*time.Minute)
	}
}

// TestReplicaWithoutRun tests that a server that never steps uses the keys that
// others make.
func TestReplicaWithoutRun(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	runs, idle := f.server(), f.server()
	first := f.kid(idle)
	f.clock.Advance(30*24*time.Hour - 10*time.Minute)
	require.NoError(t, f.step(runs))
	t.Run("8414-08 it publishes the next key before its first use", func(t *testing.T) {
		f := f.at(t)
		require.Equal(t, f.published(runs), f.published(idle))
		require.Len(t, f.published(idle), 2)
		require.Equal(t, first, f.kid(idle))
	})
	t.Run("it signs with the new key when its time has come", func(t *testing.T) {
		f := f.at(t)
		f.clock.Advance(10 * time.Minute)
		require.NotEqual(t, first, f.kid(idle))
		require.Equal(t, f.kid(runs), f.kid(idle))
	})
	t.Run("it accepts a token of a key that it had not read", func(t *testing.T) {
		f := f.at(t)
		require.NoError(t, f.keys.SetRing(t.Context(), store.Ring{Version: f.ring().Version})) // deleted by hand
		require.NoError(t, f.step(runs))
		token, _ := f.login(runs)
		f.clock.Advance(6 * time.Second)
		_, err := idle.Verifier().Verify(t.Context(), token)
		require.NoError(t, err)
	})
	t.Run("B17 unknown keys cause a reading at most every 5 seconds", func(t *testing.T) {
		f := f.at(t)
		other := newFleet(t)
		foreign, _ := other.login(other.server())
		f.clock.Advance(6 * time.Second)
		f.tap.Take()
		for range 10 {
			var all sync.WaitGroup
			errs := make([]error, 16)
			for i := range errs {
				all.Go(func() { _, errs[i] = idle.Verifier().Verify(t.Context(), foreign) })
			}
			all.Wait()
			for _, err := range errs {
				require.ErrorIs(t, err, bearer.ErrInvalid)
			}
		}
		require.Equal(t, 1, f.tap.Take()["SigningKeys.Ring"])
		f.clock.Advance(5 * time.Second)
		_, err := idle.Verifier().Verify(t.Context(), foreign)
		require.ErrorIs(t, err, bearer.ErrInvalid)
		require.Equal(t, 1, f.tap.Take()["SigningKeys.Ring"])
	})
	t.Run("known keys cause none", func(t *testing.T) {
		f := f.at(t)
		token, _ := f.login(idle)
		f.clock.Advance(4 * time.Minute)
		f.tap.Take()
		for range 10 {
			_, err := idle.Verifier().Verify(t.Context(), token)
			require.NoError(t, err)
		}
		require.Zero(t, f.tap.Take()["SigningKeys.Ring"])
	})
	t.Run("a clock that was set back does not prevent reads", func(t *testing.T) {
		f := f.at(t)
		f.clock.Advance(-time.Hour)
		require.NoError(t, f.keys.SetRing(t.Context(), store.Ring{Version: f.ring().Version}))
		require.NoError(t, f.step(runs))
		token, _ := f.login(runs)
		_, err := idle.Verifier().Verify(t.Context(), token)
		require.NoError(t, err)
		f.clock.Advance(time.Hour)
	})
	t.Run("a request that ends does not stop the read", func(t *testing.T) {
		f := f.at(t)
		require.NoError(t, f.keys.SetRing(t.Context(), store.Ring{Version: f.ring().Version}))
		require.NoError(t, f.step(runs))
		token, _ := f.login(runs)
		f.clock.Advance(6 * time.Second)
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 { // it may find that it cannot wait, or read all the same
			_, _ = idle.Verifier().Verify(canceled, token)
		}
		_, err := idle.Verifier().Verify(t.Context(), token)
		require.NoError(t, err)
	})
}

func TestRingAlgorithms(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []jose.Algorithm{jose.ES256, jose.EdDSA, jose.RS256, jose.PS256} {
		for _, where := range []string{"in the store", "in the process"} {
			t.Run(string(algorithm)+" "+where, func(t *testing.T) {
				t.Parallel()
				f := newFleet(t)
				f.config.Algorithm = algorithm
				if where == "in the process" {
					f.config.SealKeys = nil
				}
				srv := f.server()
				token, kid := f.login(srv)
				require.Equal(t, string(algorithm), harness.Head(t, token)["alg"])
				require.Equal(t, []string{kid}, f.published(srv))
				_, err := srv.Verifier().Verify(t.Context(), token)
				require.NoError(t, err)
				other := f.server()
				_, err = other.Verifier().Verify(t.Context(), token)
				if where == "in the store" {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, bearer.ErrInvalid)
				require.Zero(t, f.ring(), "nothing is kept")
			})
		}
	}
	t.Run("another algorithm begins with the next key", func(t *testing.T) {
		f := newFleet(t)
		before, first := f.login(f.server())
		srv := f.server(func(c *signing.Config) { c.Algorithm = jose.EdDSA })
		require.Equal(t, first, f.kid(srv))
		f.clock.Advance(30*24*time.Hour - 10*time.Minute)
		require.NoError(t, f.step(srv))
		require.Equal(t, first, f.kid(srv))
		f.clock.Advance(10 * time.Minute)
		token, second := f.login(srv)
		require.NotEqual(t, first, second)
		require.Equal(t, "EdDSA", harness.Head(t, token)["alg"])
		_, err := srv.Verifier().Verify(t.Context(), before)
		require.ErrorIs(t, err, bearer.ErrExpired, "its key is still there")
	})
}

// TestNoKeyForTheAlgorithm tests that no key is written that could not sign.
func TestNoKeyForTheAlgorithm(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []jose.Algorithm{jose.HS256, "none", ""} {
		t.Run(string(algorithm), func(t *testing.T) {
			f := newFleet(t)
			_, err := f.try(func(c *signing.Config) { c.Algorithm = algorithm })
			require.ErrorIs(t, err, jose.ErrKey)
			require.ErrorContains(t, err, "make a signing key")
			require.Zero(t, f.ring())
		})
	}
}

// TestGivenKeys tests that the host's keys do not change, and that the store is not
// read.
func TestGivenKeys(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	given := func(c *signing.Config) {
		c.SealKeys, c.Signers = nil, []*jose.Signer{givenKey(t, "b"), givenKey(t, "a")}
	}
	srv := f.server(given)
	f.clock.Advance(2 * period)
	require.NoError(t, f.step(srv))
	require.Equal(t, "b", f.kid(srv), "the first signs")
	require.Equal(t, []string{"b", "a"}, f.published(srv))
	for _, kid := range []string{"a", "b"} {
		key, err := srv.Key(t.Context(), kid)
		require.NoError(t, err)
		require.Equal(t, kid, key.ID)
	}
	_, err := srv.Key(t.Context(), "c")
	require.ErrorIs(t, err, bearer.ErrUnknownKey)
	require.Empty(t, f.tap.Take())

	_, err = f.try(func(c *signing.Config) {
		c.SealKeys, c.Signers = nil, []*jose.Signer{givenKey(t, "a"), givenKey(t, "a")}
	})
	require.ErrorContains(t, err, `share the kid "a"`)
}

func TestRotateEvery(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.config.RotateEvery = time.Hour
	srv := f.server()
	kids := map[string]bool{}
	for range 60 * 12 {
		require.NoError(t, f.step(srv))
		kids[f.kid(srv)] = true
		require.LessOrEqual(t, len(f.published(srv)), 28, "a day's keys, one for the hour after, and the next")
		f.clock.Advance(5 * time.Minute)
	}
	require.Len(t, kids, 60)
	t.Run("a shorter period takes effect at once", func(t *testing.T) {
		f := newFleet(t)
		first := f.kid(f.server(func(c *signing.Config) { c.RotateEvery = 366 * 24 * time.Hour }))
		f.clock.Advance(48 * time.Hour)
		srv := f.server(func(c *signing.Config) { c.RotateEvery = 24 * time.Hour })
		require.Len(t, f.published(srv), 2)
		require.Equal(t, first, f.kid(srv))
		f.clock.Advance(10 * time.Minute)
		require.NotEqual(t, first, f.kid(srv))
	})
}

// TestReplicaClocks tests replicas whose clocks are wrong.
func TestReplicaClocks(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-90 * 24 * time.Hour, -time.Hour, -time.Minute, time.Minute, 30 * time.Minute} {
		t.Run(fmt.Sprint("another clock is off by ", off), func(t *testing.T) {
			f := newFleet(t)
			right := f.server()
			wrong := f.server(func(c *signing.Config) { c.Now = func() time.Time { return f.clock.Now().Add(off) } })
			require.NoError(t, f.step(wrong))
			require.Equal(t, f.kid(right), f.kid(wrong))
			f.clock.Advance(30*24*time.Hour - 10*time.Minute)
			for range 20 {
				require.NoError(t, f.step(wrong))
				require.NoError(t, f.step(right))
				require.Contains(t, f.published(right), f.kid(wrong))
				require.Contains(t, f.published(wrong), f.kid(right))
				require.Len(t, f.ring().Keys, 2)
				f.clock.Advance(time.Minute)
			}
		})
	}
}
