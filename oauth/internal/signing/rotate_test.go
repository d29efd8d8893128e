package signing_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/signing"
	"github.com/latchkey-go/latchkey/store"
)

// requireAccepted requires that each replica accepts the tokens.
func (f *fleet) requireAccepted(tokens []string, replicas ...*replica) {
	f.t.Helper()
	for _, srv := range replicas {
		for _, token := range tokens {
			_, err := srv.Verifier().Verify(f.t.Context(), token)
			require.NoError(f.t, err)
		}
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.lifetime = 24 * time.Hour
	one, two := f.server(), f.server()
	token, first := f.login(one)
	require.NoError(t, one.Rotate(t.Context(), false))
	require.Len(t, f.published(one), 2, "published at once")
	require.NoError(t, f.step(two))
	require.Equal(t, f.published(one), f.published(two))
	f.clock.Advance(lead - time.Nanosecond)
	require.Equal(t, first, f.kid(one), "it does not sign before verifiers know it")
	version := f.ring().Version
	require.NoError(t, two.Rotate(t.Context(), false))
	require.Equal(t, version, f.ring().Version, "a next key is published already")
	f.clock.Advance(time.Nanosecond)
	second := f.kid(two)
	require.NotEqual(t, first, second)
	require.Equal(t, second, f.kid(one))
	f.requireAccepted([]string{token}, one, two)
	f.clock.Advance(25*time.Hour + 5*time.Minute)
	require.NoError(t, f.step(one))
	require.Equal(t, []string{second}, f.published(one), "the key before it retires as after any rotation")

	f.clock.Advance(period - lead - 25*time.Hour - 5*time.Minute)
	require.NoError(t, f.step(one))
	require.Len(t, f.published(one), 2, "rotation counts from the new key")
}

func TestRotateNow(t *testing.T) {
	t.Parallel()
	for name, pending := range map[string]bool{"alone": false, "before a key that is published already": true} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			one, two := f.server(), f.server()
			token, first := f.login(one)
			f.clock.Advance(time.Second)
			var next string
			if pending {
				require.NoError(t, one.Rotate(t.Context(), false))
				next = f.published(one)[1]
				f.clock.Advance(lead / 2)
			}
			require.NoError(t, one.Rotate(t.Context(), true))
			fresh, now := f.login(one)
			require.NotContains(t, []string{first, next}, now, "it signs at once")
			for _, k := range f.ring().Keys {
				switch k.ID {
				case first:
					require.True(t, k.NotAfter.Equal(f.clock.Now().Truncate(time.Microsecond)), "it signs no longer")
				case next:
					require.Zero(t, k.PublishUntil, "it has no successor")
				case now:
					require.Equal(t, pending, !k.PublishUntil.IsZero())
				}
			}
			require.NoError(t, f.step(two))
			require.Equal(t, now, f.kid(two))
			f.requireAccepted([]string{token, fresh}, one, two)
			f.clock.Advance(lead)
			require.NoError(t, f.step(two))
			want := now
			if pending {
				want = next
			}
			require.Equal(t, want, f.kid(one))
			require.Equal(t, want, f.kid(two))
			f.clock.Advance(26*time.Hour + lead)
			require.NoError(t, f.step(two))
			require.Equal(t, []string{want}, f.published(two))
		})
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	one, two := f.server(), f.server()
	require.NoError(t, one.Rotate(t.Context(), false)) // one that signs, and one that will
	f.clock.Advance(lead)
	before, _ := f.login(two)
	require.NoError(t, one.Rotate(t.Context(), false))
	old := f.published(one)
	require.Len(t, old, 3)
	require.NoError(t, f.step(two))

	require.NoError(t, one.Revoke(t.Context()))
	fresh, kid := f.login(one)
	require.Equal(t, []string{kid}, f.published(one))
	require.NotContains(t, old, kid)
	require.Len(t, f.ring().Keys, 1, "and none is left in the store")
	_, err := one.Verifier().Verify(t.Context(), before)
	require.ErrorIs(t, err, bearer.ErrInvalid, "old tokens end here at once")
	f.requireAccepted([]string{fresh}, one)
	t.Run("on other replicas with the next step", func(t *testing.T) {
		f := f.at(t)
		require.NoError(t, f.step(two))
		require.Equal(t, []string{kid}, f.published(two))
		require.Equal(t, kid, f.kid(two))
		_, err := two.Verifier().Verify(t.Context(), before)
		require.ErrorIs(t, err, bearer.ErrInvalid)
		f.requireAccepted([]string{fresh}, two)
	})
	t.Run("in the memory of a process", func(t *testing.T) {
		f := newFleet(t)
		srv := f.server(func(c *signing.Config) { c.SealKeys = nil })
		before, first := f.login(srv)
		require.NoError(t, srv.Revoke(t.Context()))
		require.NotContains(t, f.published(srv), first)
		_, err := srv.Verifier().Verify(t.Context(), before)
		require.ErrorIs(t, err, bearer.ErrInvalid)
	})
	t.Run("a ring that was deleted meanwhile", func(t *testing.T) {
		f := newFleet(t)
		srv := f.server()
		require.NoError(t, f.keys.SetRing(t.Context(), store.Ring{Version: f.ring().Version}))
		require.NoError(t, srv.Revoke(t.Context()))
		require.Len(t, f.ring().Keys, 1)
	})
}

// TestRevokeAtOnce tests that replicas that revoke, rotate and step at the same
// time end with the same ring, without any of the old keys.
func TestRevokeAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	servers := make([]*replica, 8)
	for i := range servers {
		servers[i] = f.server()
	}
	old := f.published(servers[0])
	errs := make([]error, len(servers))
	var all sync.WaitGroup
	for i, srv := range servers {
		all.Go(func() {
			errs[i] = []func() error{
				func() error { return srv.Revoke(t.Context()) },
				func() error { return srv.Rotate(t.Context(), i == 1) },
				func() error { return srv.Step(t.Context()) },
			}[i%3]()
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	var tokens []string
	for _, srv := range servers {
		require.NoError(t, f.step(srv))
		token, _ := f.login(srv)
		tokens = append(tokens, token)
	}
	f.requireAccepted(tokens, servers...)
	for _, srv := range servers {
		require.Equal(t, f.published(servers[0]), f.published(srv))
		require.False(t, slices.ContainsFunc(f.published(srv), func(kid string) bool { return slices.Contains(old, kid) }))
	}
}

// TestRotateRefuses tests that a rotation that is not possible is an error, and
// writes nothing.
func TestRotateRefuses(t *testing.T) {
	t.Parallel()
	calls := map[string]func(*replica, context.Context) error{
		"rotate":     func(r *replica, ctx context.Context) error { return r.Rotate(ctx, false) },
		"rotate now": func(r *replica, ctx context.Context) error { return r.Rotate(ctx, true) },
		"revoke":     func(r *replica, ctx context.Context) error { return r.Revoke(ctx) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			clock := &storeClock{Upkeep: f.store.Upkeep, known: true, now: f.clock.Now}
			f.store.Upkeep = clock
			srv := f.server()
			ring, published := f.ring(), f.published(srv)
			given := f.server(func(c *signing.Config) {
				c.SealKeys, c.Signers = nil, []*jose.Signer{givenKey(t, "given")}
			})
			require.ErrorContains(t, call(given, t.Context()), "Config.Signers")
			require.ErrorContains(t, call(f.ahead(time.Hour), t.Context()), "the clock of this process differs from the store's", "B29")
			f.tap.Before(func(_ context.Context, call string) error {
				if call == "SigningKeys.SetRing" {
					return store.ErrUnavailable
				}
				return nil
			})
			require.ErrorIs(t, call(srv, t.Context()), store.ErrUnavailable, "B19")
			require.Equal(t, ring, f.ring())
			require.Equal(t, published, f.published(srv))
		})
	}
}
