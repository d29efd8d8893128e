package signing_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/signing"
	"github.com/latchkey-go/latchkey/store"
)

// TestRingThatDoesNotOpen tests stored keys that cannot be opened: at start it is
// an error, later the last good keys are used, and no new ring is made.
func TestRingThatDoesNotOpen(t *testing.T) {
	t.Parallel()
	wrong := sealKey(1)
	wrong[0] = 0xff
	for _, tc := range []struct {
		name   string
		change func(*store.Ring)
		config func(*signing.Config) // of the server that starts
		want   string
	}{
		{"a wrong seal key", nil, func(c *signing.Config) { c.SealKeys = []signing.SealKey{{Version: 1, Key: wrong}} }, "Config.SealKeys: seal key 1 has the fingerprint"},
		{"a wrong seal key beside a new one", nil, func(c *signing.Config) { c.SealKeys = append(sealKeys(2), signing.SealKey{Version: 1, Key: wrong}) }, "it is another key under the same name"},
		{"another version only", nil, func(c *signing.Config) { c.SealKeys = sealKeys(2) }, "Config.SealKeys lacks seal key 1"},
		{"another issuer", nil, func(c *signing.Config) { c.Issuer = "https://b.example" }, `made for another issuer than "https://b.example"`},
		{"the first byte, of the nonce", func(r *store.Ring) { r.Keys[0].Sealed[0] ^= 1 }, nil, "seal key 1 does not open"},
		{"a byte of the key", func(r *store.Ring) { r.Keys[1].Sealed[40] ^= 0x80 }, nil, "seal key 1 does not open"},
		{"the last byte, of the tag", func(r *store.Ring) { s := r.Keys[0].Sealed; s[len(s)-1] ^= 1 }, nil, "seal key 1 does not open"},
		{"cut off", func(r *store.Ring) { r.Keys[0].Sealed = r.Keys[0].Sealed[:40] }, nil, "seal key 1 does not open"},
		{"shorter than a nonce", func(r *store.Ring) { r.Keys[0].Sealed = r.Keys[0].Sealed[:5] }, nil, "seal key 1 does not open"},
		{"nothing", func(r *store.Ring) { r.Keys[0].Sealed = nil }, nil, "seal key 1 does not open"},
		{"a longer one", func(r *store.Ring) { r.Keys[0].Sealed = append(r.Keys[0].Sealed, 0) }, nil, "seal key 1 does not open"},
		{"kids swapped", func(r *store.Ring) { r.Keys[0].ID, r.Keys[1].ID = r.Keys[1].ID, r.Keys[0].ID }, nil, "seal key 1 does not open"},
		{"sealed bytes swapped", func(r *store.Ring) { r.Keys[0].Sealed, r.Keys[1].Sealed = r.Keys[1].Sealed, r.Keys[0].Sealed }, nil, "seal key 1 does not open"},
		{"another kid", func(r *store.Ring) { r.Keys[0].ID = "mine" }, nil, "seal key 1 does not open"},
		{"another algorithm", func(r *store.Ring) { r.Keys[0].Algorithm = "HS256" }, nil, "seal key 1 does not open"},
		{"another version of the seal key", func(r *store.Ring) { r.Keys[0].SealKey = 2 }, nil, "Config.SealKeys lacks seal key 2"},
		{"no version", func(r *store.Ring) { r.Keys[0].SealKey = 0 }, nil, "Config.SealKeys lacks seal key 0"},
		{"it begins at another time", func(r *store.Ring) { r.Keys[1].NotBefore = r.Keys[1].NotBefore.Add(-time.Microsecond) }, nil, "seal key 1 does not open"},
		{"it signs for longer", func(r *store.Ring) { r.Keys[0].NotAfter = r.Keys[0].NotAfter.Add(time.Hour) }, nil, "seal key 1 does not open"},
		{"it is published for longer", func(r *store.Ring) { r.Keys[0].PublishUntil = r.Keys[0].PublishUntil.Add(time.Hour) }, nil, "seal key 1 does not open"},
		{"it has no successor any more", func(r *store.Ring) { r.Keys[0].NotAfter, r.Keys[0].PublishUntil = time.Time{}, time.Time{} }, nil, "seal key 1 does not open"},
		{"a key twice", func(r *store.Ring) { r.Keys = append(r.Keys, r.Keys[0]) }, nil, "share the kid"},
		{"a boundary moved", func(r *store.Ring) {
			k := &r.Keys[0]
			k.ID, k.Algorithm = k.ID+k.Algorithm[:1], k.Algorithm[1:]
		}, nil, "seal key 1 does not open"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			srv := f.server()
			f.clock.Advance(30*24*time.Hour - 10*time.Minute)
			require.NoError(t, f.step(srv))
			kid, published := f.kid(srv), f.published(srv)
			require.Len(t, published, 2)
			ring := f.ring()
			if tc.change != nil {
				tc.change(&ring)
				require.NoError(t, f.keys.SetRing(t.Context(), ring))
				ring = f.ring()
			}
			if tc.config == nil {
				require.ErrorContains(t, f.step(srv), tc.want)
				require.Equal(t, kid, f.kid(srv), "the last good keys are used")
				require.Equal(t, published, f.published(srv))
				tc.config = func(*signing.Config) {}
			}
			fresh, err := f.try(tc.config)
			require.ErrorContains(t, err, tc.want)
			require.Nil(t, fresh)
			require.Equal(t, ring, f.ring(), "never a new ring")
		})
	}
}

// TestTimesOnTheRecord tests that the newest key stays and nothing panics, whatever
// times a process with a wrong clock sealed.
func TestTimesOnTheRecord(t *testing.T) {
	t.Parallel()
	far := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, change := range map[string]func(*store.SigningKey){
		"all zero": func(k *store.SigningKey) {
			k.NotBefore, k.NotAfter, k.PublishUntil = time.Time{}, time.Time{}, time.Time{}
		},
		"all far ahead":    func(k *store.SigningKey) { k.NotBefore, k.NotAfter, k.PublishUntil = far, far, far },
		"retired long ago": func(k *store.SigningKey) { k.PublishUntil = start.Add(-time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.server()
			f.clock.Advance(30*24*time.Hour - 10*time.Minute)
			srv := f.server()
			ring := f.ring()
			for i := range ring.Keys {
				ring.Keys[i] = changed(t, ring.Keys[i], change)
			}
			require.NoError(t, f.keys.SetRing(t.Context(), ring))
			require.NoError(t, f.step(srv))
			require.Contains(t, f.published(srv), ring.Keys[1].ID)
			require.Contains(t, f.published(srv), f.kid(srv))
			require.Contains(t, f.published(f.server()), f.kid(srv))
		})
	}
}

// TestOrderOfTheRecords tests records in any order, as a store may return them.
func TestOrderOfTheRecords(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	srv := f.server()
	f.clock.Advance(period - lead)
	require.NoError(t, f.step(srv))
	f.clock.Advance(lead)
	kid, published := f.kid(srv), f.published(srv)
	ring := f.ring()
	slices.Reverse(ring.Keys)
	require.NoError(t, f.keys.SetRing(t.Context(), ring))
	ring = f.ring()
	require.NoError(t, f.step(srv))
	require.Equal(t, kid, f.kid(srv))
	require.Equal(t, published, f.published(srv))
	require.Equal(t, ring, f.ring(), "nothing is due")
}

func TestRingOutage(t *testing.T) {
	t.Parallel()
	down := func(context.Context, string) error { return store.ErrUnavailable }
	readOnly := func(_ context.Context, call string) error {
		if call == "SigningKeys.SetRing" {
			return store.ErrUnavailable
		}
		return nil
	}
	t.Run("B19 at start", func(t *testing.T) {
		f := newFleet(t)
		f.tap.Before(down)
		srv, err := f.try()
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.ErrorContains(t, err, "read the signing keys")
		require.Nil(t, srv)
	})
	t.Run("B19 a store that hangs at start", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t)
			f.tap.Before(harness.Hang)
			began := time.Now()
			_, err := f.try()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 10*time.Second, time.Since(began))
		})
	})
	t.Run("B19 the first key cannot be saved", func(t *testing.T) {
		f := newFleet(t)
		f.tap.Before(readOnly)
		_, err := f.try()
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.ErrorContains(t, err, "save the signing keys")
	})
	t.Run("B19 a change that is due at start cannot be saved", func(t *testing.T) {
		f := newFleet(t)
		first := f.kid(f.server())
		f.clock.Advance(30 * 24 * time.Hour)
		f.tap.Before(readOnly)
		srv := f.server()
		require.Contains(t, f.log.String(), "could not be rotated or sealed again")
		require.Equal(t, []string{first}, f.published(srv))
		f.tap.Before(nil)
		require.NoError(t, f.step(srv))
		require.Len(t, f.published(srv), 2)
	})
	t.Run("B19 at a step the ring stays as it was", func(t *testing.T) {
		f := newFleet(t)
		srv := f.server()
		_, kid := f.login(srv)
		f.clock.Advance(30*24*time.Hour - 10*time.Minute)
		ring := f.ring()
		outages := map[string]func(context.Context, string) error{"down": ringOnly(down), "read only": readOnly}
		for name, disrupt := range outages {
			f.tap.Before(disrupt)
			require.ErrorIs(t, f.step(srv), store.ErrUnavailable, name)
			require.Equal(t, []string{kid}, f.published(srv))
			require.Equal(t, kid, f.kid(srv))
		}
		require.Equal(t, ring, f.ring())
		f.tap.Before(nil)
		require.NoError(t, f.step(srv))
		require.Len(t, f.published(srv), 2)
	})
	t.Run("B19 an unknown key while the store is unavailable is not an invalid token", func(t *testing.T) {
		f := newFleet(t)
		srv := f.server()
		known, _ := f.login(srv)
		other := newFleet(t)
		foreign, _ := other.login(other.server())
		verify := func(token string) error {
			_, err := srv.Verifier().Verify(t.Context(), token)
			return err
		}
		f.clock.Advance(6 * time.Second)
		f.tap.Before(ringOnly(down))
		f.tap.Take()
		for range 3 {
			require.ErrorIs(t, verify(foreign), bearer.ErrUnavailable)
			require.NoError(t, verify(known))
		}
		require.Equal(t, 1, f.tap.Take()["SigningKeys.Ring"])
		f.tap.Before(nil)
		f.clock.Advance(5 * time.Second)
		require.ErrorIs(t, verify(foreign), bearer.ErrInvalid, "it recovers")
	})
	t.Run("B19 a store that hangs delays a request only for a bounded time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t)
			f.config.Now = time.Now
			srv := f.server()
			time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock
			f.tap.Before(ringOnly(harness.Hang))
			began := time.Now()
			token, _ := f.login(srv)
			require.Equal(t, 500*time.Millisecond, time.Since(began))
			f.login(srv)
			require.Len(t, f.published(srv), 1)
			require.Equal(t, 500*time.Millisecond, time.Since(began), "one of them in two minutes")
			_, err := srv.Verifier().Verify(t.Context(), token)
			require.NoError(t, err)
			require.Contains(t, f.log.String(), "the signing keys could not be read again")
		})
	})
	t.Run("B19 an unknown key is not waited for while a step hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, other := newFleet(t), newFleet(t)
			f.config.Now, other.config.Now = time.Now, time.Now
			srv := f.server()
			foreign, _ := other.login(other.server())
			time.Sleep(time.Minute) //nolint:forbidigo // the bubble's clock
			f.tap.Before(ringOnly(harness.Hang))
			stepped := make(chan error, 1)
			go func() { stepped <- f.step(srv) }()
			synctest.Wait()
			began := time.Now()
			_, err := srv.Verifier().Verify(t.Context(), foreign)
			require.ErrorIs(t, err, bearer.ErrUnavailable)
			require.Equal(t, 500*time.Millisecond, time.Since(began))
			require.ErrorIs(t, <-stepped, context.DeadlineExceeded)
		})
	})
	t.Run("other replicas change it all the time", func(t *testing.T) {
		f := newFleet(t)
		srv := f.server()
		kid := f.kid(srv)
		f.clock.Advance(30 * 24 * time.Hour)
		f.tap.Take()
		f.tap.Before(func(_ context.Context, call string) error {
			if call == "SigningKeys.SetRing" {
				return store.ErrConflict
			}
			return nil
		})
		require.ErrorIs(t, f.step(srv), store.ErrConflict)
		require.Equal(t, 10, f.tap.Take()["SigningKeys.SetRing"])
		require.Equal(t, kid, f.kid(srv))
	})
}

// TestReadingTogether tests that requests at the same time share one read of the
// ring.
func TestReadingTogether(t *testing.T) {
	t.Parallel()
	slow := func(context.Context, string) error {
		time.Sleep(100 * time.Millisecond) //nolint:forbidigo // the bubble's clock
		return nil
	}
	begin := func(t *testing.T) (f *fleet, srv *replica, foreign string) {
		t.Helper()
		f, other := newFleet(t), newFleet(t)
		f.config.Now, other.config.Now = time.Now, time.Now
		foreign, _ = other.login(other.server())
		srv = f.server()
		f.tap.Take()
		return f, srv, foreign
	}
	verify := func(t *testing.T, srv *replica, token string) {
		t.Helper()
		var all sync.WaitGroup
		errs := make([]error, 16)
		for i := range errs {
			all.Go(func() { _, errs[i] = srv.Verifier().Verify(t.Context(), token) })
		}
		all.Wait()
		for _, err := range errs {
			require.ErrorIs(t, err, bearer.ErrInvalid)
		}
	}
	t.Run("B17 requests with unknown keys wait for the one that reads", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, srv, foreign := begin(t)
			time.Sleep(5 * time.Second) //nolint:forbidigo // the bubble's clock
			f.tap.Before(ringOnly(slow))
			began := time.Now()
			verify(t, srv, foreign)
			require.Equal(t, 100*time.Millisecond, time.Since(began))
			require.Equal(t, 1, f.tap.Take()["SigningKeys.Ring"])
		})
	})
	t.Run("B17 nor do they wait for a step if it was read just now", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, srv, foreign := begin(t)
			f.tap.Before(ringOnly(harness.Hang))
			done := make(chan error, 1)
			go func() { done <- f.step(srv) }()
			synctest.Wait()
			began := time.Now()
			verify(t, srv, foreign)
			require.Zero(t, time.Since(began))
			require.ErrorIs(t, <-done, context.DeadlineExceeded)
		})
	})
	t.Run("B19 a step that hangs delays a request with an unknown key for half a second", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, srv, foreign := begin(t)
			time.Sleep(5 * time.Second) //nolint:forbidigo // the bubble's clock
			f.tap.Before(ringOnly(harness.Hang))
			done := make(chan error, 2)
			for range 2 {
				go func() { done <- f.step(srv) }()
			}
			synctest.Wait()
			began := time.Now()
			_, err := srv.Verifier().Verify(t.Context(), foreign)
			require.ErrorIs(t, err, bearer.ErrUnavailable)
			require.Equal(t, 500*time.Millisecond, time.Since(began))
			require.ErrorIs(t, <-done, context.DeadlineExceeded)
			require.ErrorIs(t, <-done, context.DeadlineExceeded)
			require.Equal(t, 10*time.Second, time.Since(began), "a second step waits no longer than it may take")
		})
	})
	t.Run("logins go on with the key at hand while one of them reads", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f, srv, _ := begin(t)
			time.Sleep(time.Hour) //nolint:forbidigo // the bubble's clock
			f.tap.Before(ringOnly(slow))
			began := time.Now()
			done := make(chan time.Duration, 2)
			for range 2 {
				go func() {
					srv.Signer(t.Context())
					done <- time.Since(began)
				}()
			}
			require.ElementsMatch(t, []time.Duration{0, 100 * time.Millisecond}, []time.Duration{<-done, <-done})
			require.Equal(t, 1, f.tap.Take()["SigningKeys.Ring"])
		})
	})
}

// ringOnly makes only the ring of a store fail.
func ringOnly(disrupt func(context.Context, string) error) func(context.Context, string) error {
	return func(ctx context.Context, call string) error {
		if strings.HasPrefix(call, "SigningKeys.") {
			return disrupt(ctx, call)
		}
		return nil
	}
}

// TestRingThatWasDeleted tests that new keys are made, and old tokens refused, if
// the ring is deleted from the store.
func TestRingThatWasDeleted(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	one, two := f.server(), f.server()
	token, kid := f.login(one)
	require.NoError(t, f.keys.SetRing(t.Context(), store.Ring{Version: f.ring().Version}))
	f.clock.Advance(3 * time.Minute)
	require.Equal(t, kid, f.kid(one), "the old keys are used until new ones are made")
	require.Equal(t, []string{kid}, f.published(one))
	require.NoError(t, f.step(one))
	require.NoError(t, f.step(two))
	for _, srv := range []*replica{one, two} {
		_, err := srv.Verifier().Verify(t.Context(), token)
		require.ErrorIs(t, err, bearer.ErrInvalid)
	}
	fresh, _ := f.login(one)
	_, err := two.Verifier().Verify(t.Context(), fresh)
	require.NoError(t, err)
}

// TestRingErrorsAreBounded tests that errors repeat only a bounded part of a
// store's content.
func TestRingErrorsAreBounded(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.server()
	ring := f.ring()
	ring.Keys[0].ID = strings.Repeat("x", 1<<16)
	require.NoError(t, f.keys.SetRing(t.Context(), ring))
	_, err := f.try()
	require.Error(t, err)
	require.Less(t, len(err.Error()), 1000)
	require.False(t, errors.Is(err, store.ErrUnavailable))
	given := f.server(func(c *signing.Config) { c.SealKeys, c.Signers = nil, []*jose.Signer{givenKey(t, "given")} })
	require.Equal(t, []string{"given"}, f.published(given))
}
