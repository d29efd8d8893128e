package memstore_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// caller is a service that uses the store, and whose clock is ahead of the process's.
type caller struct {
	t testing.TB
	store.Store
	ahead time.Duration
	calls *int
}

func (c caller) now() time.Time { return time.Now().Add(c.ahead) }

// addIDs revokes the token with the given id, and spends that id as a one-time id. Both
// expire at until.
func (c caller) addIDs(id string, until time.Time) {
	c.t.Helper()
	require.NoError(c.t, c.Epochs.Revoke(context.Background(), id, until, c.now()))
	once := store.OnceID{Space: "jti", ID: id, Value: "first", Expires: until}
	require.NoError(c.t, c.OnceIDs.Spend(context.Background(), once, c.now()))
}

// callOften makes enough calls that all expired ids are removed.
func (c caller) callOften() {
	c.t.Helper()
	for range 100 {
		*c.calls++
		c.addIDs(fmt.Sprint("call ", *c.calls), c.now().Add(time.Minute))
	}
}

func (c caller) revoked(id string) bool {
	c.t.Helper()
	state, err := c.Epochs.Read(context.Background(), store.TokenRef{Workspace: realisticKey(1).Workspace, Key: realisticKey(1).ID, TokenID: id})
	require.NoError(c.t, err)
	return state.Revoked
}

func (c caller) requireHolds(id string) {
	c.t.Helper()
	require.True(c.t, c.revoked(id), "revocation of %s", id)
	again := store.OnceID{Space: "jti", ID: id, Value: "second", Expires: c.now().Add(time.Hour)}
	require.ErrorIs(c.t, c.OnceIDs.Spend(context.Background(), again, c.now()), store.ErrExists)
	found, err := c.OnceIDs.Find(context.Background(), "jti", id, c.now())
	require.NoError(c.t, err)
	require.Equal(c.t, "first", found.Value)
}

// wait advances the bubble's clock.
func wait(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's clock
}

// callers returns two services on one store with a key: one with the right clock, and one
// whose clock is ahead.
func callers(t testing.TB, ahead time.Duration) (right, wrong caller) {
	t.Helper()
	s := memstore.New()
	require.NoError(t, s.Keys.Create(context.Background(), realisticKey(1), store.NoLimit, store.Change{}))
	calls := new(int)
	return caller{t, s, 0, calls}, caller{t, s, ahead, calls}
}

// Expired one-time ids and revocations are removed when new ones are added, whatever the
// callers' time is.
func TestExpiredIDsAreRemoved(t *testing.T) {
	for _, years := range []int{0, 30, -300} {
		t.Run(fmt.Sprint("callers ", years, " years ahead"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, c := callers(t, time.Duration(years)*365*24*time.Hour)
				before := heap()
				for i := range 30_000 {
					c.addIDs(strconv.Itoa(i), c.now().Add(time.Minute))
					wait(time.Minute)
				}
				require.Less(t, heap()-before, int64(1_000_000))
				c.addIDs("last", c.now().Add(time.Minute))
				c.requireHolds("last")
			})
		})
	}
}

func TestAWrongClockRemovesNothingOfOthers(t *testing.T) {
	for _, ahead := range []time.Duration{2 * time.Hour, 48 * time.Hour, 2 * 365 * 24 * time.Hour} {
		for _, tc := range []struct {
			name string
			run  func(right, wrong caller)
		}{
			{"one call between others", func(right, wrong caller) {
				right.addIDs("before", right.now().Add(time.Hour))
				wrong.callOften()
				right.addIDs("after", right.now().Add(time.Hour))
				right.callOften()
				right.requireHolds("before")
				right.requireHolds("after")
			}},
			{"a first call", func(right, wrong caller) {
				wrong.callOften()
				right.addIDs("after", right.now().Add(time.Hour))
				wrong.callOften()
				right.requireHolds("after")
			}},
			{"a first call after a long silence", func(right, wrong caller) {
				right.addIDs("before", right.now().Add(90*24*time.Hour))
				wait(60 * 24 * time.Hour)
				wrong.callOften()
				right.requireHolds("before")
			}},
			{"many calls over a long time", func(right, wrong caller) {
				right.addIDs("before", right.now().Add(20*24*time.Hour))
				for range 19 {
					wait(23 * time.Hour)
					wrong.callOften()
					right.requireHolds("before")
					right.callOften()
				}
			}},
			{"its revocation holds for the others", func(right, wrong caller) {
				wrong.addIDs("token", right.now().Add(5*time.Hour))
				right.requireHolds("token")
				for range 9 {
					wait(30 * time.Minute)
					wrong.callOften()
					right.callOften()
					right.requireHolds("token")
				}
			}},
			{"an id that has expired by its clock stays for the others", func(right, wrong caller) {
				wrong.addIDs("token", right.now().Add(5*time.Minute))
				wrong.callOften()
				right.requireHolds("token")
				wait(5*time.Minute - time.Microsecond)
				wrong.callOften()
				right.requireHolds("token")
			}},
		} {
			t.Run(fmt.Sprintf("B29 %s ahead: %s", ahead, tc.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					right, wrong := callers(t, ahead)
					tc.run(right, wrong)
				})
			})
		}
	}
}

// An expired id stays for ten minutes, for callers whose clocks are behind.
func TestExpiredIDsStayForAMargin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		right, slow := callers(t, -10*time.Minute)
		right.addIDs("token", right.now().Add(time.Minute))
		wait(11*time.Minute - time.Microsecond)
		right.callOften()
		slow.requireHolds("token")
		wait(time.Microsecond)
		right.callOften()
		require.False(t, right.revoked("token"))
	})
}

// A long revocation is not shortened when a caller with a wrong clock revokes the same
// token.
func TestARevocationIsNotShortened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		right, wrong := callers(t, 365*24*time.Hour)
		end := right.now().Add(30 * 24 * time.Hour)
		right.addIDs("token", end)
		require.NoError(t, wrong.Epochs.Revoke(context.Background(), "token", end, wrong.now()))
		for range 29 {
			wait(24 * time.Hour)
			right.callOften()
		}
		require.True(t, right.revoked("token"))
	})
}

// An id that is spent again stays until its new expiry, although the old one has passed.
func TestAnIDSpentAgainIsNotRemovedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := callers(t, 0)
		ctx, start := context.Background(), c.now()
		end := start.AddDate(1, 0, 0)
		c.addIDs("again", start.Add(time.Minute))
		wait(time.Minute)
		require.NoError(t, c.OnceIDs.Spend(ctx, store.OnceID{Space: "jti", ID: "again", Value: "first", Expires: end}, c.now()))
		require.NoError(t, c.Epochs.Revoke(ctx, "again", end, c.now()))
		require.NoError(t, c.Epochs.Revoke(ctx, "again", start, c.now()), "the later end stays")
		for range 3 {
			wait(24 * time.Hour)
			c.callOften()
		}
		c.requireHolds("again")
	})
}

// Epochs rise while the clock stands still.
func TestEpochsRiseWithoutTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := callers(t, 0)
		ctx, key := context.Background(), realisticKey(1)
		last := int64(0)
		for version := range int64(3) {
			found, err := c.Keys.Lookup(ctx, key.ID)
			require.NoError(t, err)
			require.Greater(t, found.Key.Epoch, last)
			last, key.Version = found.Key.Epoch, version+1
			require.NoError(t, c.Keys.Update(ctx, key, store.Change{RevokeTokens: true}))
		}
	})
}
