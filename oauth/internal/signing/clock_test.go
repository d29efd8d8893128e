package signing_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/signing"
	"github.com/latchkey-go/latchkey/store"
)

// requireRotates checks that a new key signs within a period and the lead, that it
// is published before, and that the old keys are removed.
func (f *fleet) requireRotates(srv *replica, published int) {
	f.t.Helper()
	first := f.kid(srv)
	for range 3 {
		f.clock.Advance(period)
		require.NoError(f.t, f.step(srv))
		f.clock.Advance(lead)
		require.NoError(f.t, f.step(srv))
		next := f.kid(srv)
		require.NotEqual(f.t, first, next)
		first = next
		f.clock.Advance(26*time.Hour + lead)
		require.NoError(f.t, f.step(srv))
		require.Len(f.t, f.published(srv), published)
	}
}

// TestKeysMadeAheadOfTime tests that rotation goes on after a process with a clock
// two years ahead made signing keys.
func TestKeysMadeAheadOfTime(t *testing.T) {
	t.Parallel()
	const ahead = 2 * 365 * 24 * time.Hour
	t.Run("B29 one key of the ring", func(t *testing.T) {
		f := newFleet(t)
		right := f.server()
		f.ahead(ahead) // its start rotates
		require.Len(t, f.ring().Keys, 2)
		require.NoError(t, f.step(right))
		f.requireRotates(right, 2)
	})
	t.Run("B29 the clock of one process was ahead for a while", func(t *testing.T) {
		f := newFleet(t)
		off := time.Duration(0)
		srv := f.server(func(c *signing.Config) { c.Now = func() time.Time { return f.clock.Now().Add(off) } })
		off = ahead
		require.NoError(t, f.step(srv))
		off += lead
		wrong := f.kid(srv)
		off = 0
		require.NotEqual(t, wrong, f.kid(srv), "it goes on with the key that others use")
		f.requireRotates(srv, 2)
	})
	t.Run("B29 all keys of a ring that nobody shares", func(t *testing.T) {
		f := newFleet(t)
		off := ahead
		srv := f.server(func(c *signing.Config) {
			c.SealKeys = nil
			c.Now = func() time.Time { return f.clock.Now().Add(off) }
		})
		off = 0
		require.NoError(t, f.step(srv))
		f.requireRotates(srv, 2)
	})
	for name, known := range map[string]bool{"B29 all keys, and the store has a clock": true, "all keys, and the store has none": false} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.ahead(ahead)
			clock := &storeClock{Upkeep: f.store.Upkeep, known: known, now: f.clock.Now}
			f.store.Upkeep = clock
			right := f.server()
			if !known { // perhaps this clock lags
				require.Len(t, f.ring().Keys, 1)
				clock.err = store.ErrUnavailable
				require.ErrorIs(t, f.step(right), store.ErrUnavailable)
				return
			}
			require.Len(t, f.ring().Keys, 2)
			f.requireRotates(right, 2)
		})
	}
}

// storeClock is a store with a clock.
type storeClock struct {
	store.Upkeep
	known bool
	now   func() time.Time
	err   error
}

func (c *storeClock) Clock(context.Context) (time.Time, error) {
	if !c.known {
		return time.Time{}, c.err
	}
	return c.now(), c.err
}

// TestNoRotationByAWrongClock tests that a server whose clock differs from the
// store's does not change the ring, logs that, and signs with the present keys.
func TestNoRotationByAWrongClock(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"B29 an hour ahead": time.Hour, "B29 two years ahead": 2 * 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			clock := &storeClock{Upkeep: f.store.Upkeep, known: true, now: f.clock.Now}
			f.store.Upkeep = clock
			right := f.server()
			first := f.kid(right)
			f.clock.Advance(period - ahead%period)
			wrong := f.ahead(ahead)
			before := f.ring()
			require.NoError(t, f.step(wrong))
			require.Equal(t, before, f.ring())
			require.Equal(t, first, f.kid(wrong))
			require.Contains(t, f.log.String(), "the clock of this process differs from the store's")

			clock.err = store.ErrUnavailable
			require.ErrorIs(t, f.step(wrong), store.ErrUnavailable)
			require.Equal(t, before, f.ring())
			clock.err = nil
			f.clock.Advance(period)
			require.NoError(t, f.step(right))
			require.Len(t, f.ring().Keys, len(before.Keys)+1)
		})
	}
	t.Run("the first key is still made", func(t *testing.T) {
		f := newFleet(t)
		f.store.Upkeep = &storeClock{Upkeep: f.store.Upkeep, known: true, now: f.clock.Now}
		f.ahead(time.Hour)
		require.Len(t, f.ring().Keys, 1)
	})
}

// TestRotationAfterAPause tests that after a pause of the process the next key is
// published for 10 minutes before it signs, and that a clock that goes back removes
// no key.
func TestRotationAfterAPause(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.config.SealKeys, f.lifetime = nil, 24*time.Hour
	srv := f.server()
	kid := func() string { return f.kid(srv) }
	published := func() []string { return f.published(srv) }
	first := kid()
	f.clock.Advance(400 * 24 * time.Hour)
	require.NoError(t, f.step(srv))
	require.Equal(t, first, kid())
	require.Len(t, published(), 2)
	f.clock.Advance(10*time.Minute - time.Second)
	token, old := f.login(srv)
	require.Equal(t, first, old, "the last second of the old key")
	f.clock.Advance(time.Second)
	second := kid()
	require.NotEqual(t, first, second, "its time has come, even without a step")
	require.NoError(t, f.step(srv))
	require.Contains(t, published(), first)

	f.clock.Advance(-48 * time.Hour)
	require.NoError(t, f.step(srv))
	require.Equal(t, second, kid(), "a clock set back")
	require.Len(t, published(), 2)

	f.clock.Advance(48*time.Hour + 24*time.Hour - 2*time.Second)
	require.NoError(t, f.step(srv))
	_, err := srv.Verifier().Verify(t.Context(), token)
	require.NoError(t, err, "signed with the old key, and in its own last second")
	f.clock.Advance(time.Second)
	require.NoError(t, f.step(srv))
	require.Len(t, published(), 2, "not before leeway and lag are over as well")
	f.clock.Advance(time.Hour + 5*time.Minute - time.Second)
	require.NoError(t, f.step(srv))
	require.Len(t, published(), 2, "not before leeway and lag are over as well")
	f.clock.Advance(2 * time.Second)
	require.NoError(t, f.step(srv))
	require.Equal(t, []string{second}, published())
}
