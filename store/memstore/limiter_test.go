package memstore_test

import (
	"context"
	"math"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestLimiterIsBounded(t *testing.T) {
	t.Run("B04 a million distinct ids take no more than the table", func(t *testing.T) {
		const entries = 1 << 14
		before := heap()
		limiter := memstore.NewLimiter(entries)
		for i := range 1_000_000 {
			_, moved, err := limiter.Advance(context.Background(), strconv.Itoa(i), start, time.Second, time.Minute)
			require.NoError(t, err)
			require.True(t, moved)
		}
		used := heap() - before
		t.Logf("%d bytes", used)
		require.Less(t, used, int64(64*entries+16<<10))
		runtime.KeepAlive(limiter)
	})
	t.Run("B04 other ids do not evict an id that has used up its window", func(t *testing.T) {
		limiter := memstore.NewLimiter(1024)
		ctx := context.Background()
		for range 10 {
			_, moved, err := limiter.Advance(ctx, "guesser", start, time.Second, 10*time.Second)
			require.NoError(t, err)
			require.True(t, moved)
		}
		for i := range 100_000 {
			_, _, err := limiter.Advance(ctx, strconv.Itoa(i), start, time.Second, 10*time.Second)
			require.NoError(t, err)
		}
		arrival, moved, err := arrives(ctx, limiter, "guesser", start, time.Second, 10*time.Second)
		require.NoError(t, err)
		require.False(t, moved)
		require.Equal(t, start.Add(10*time.Second), arrival)
	})
}

// The limiter remembers as many ids as it was made for, except a few.
func TestLimiterRemembers(t *testing.T) {
	const entries = 1 << 15
	limiter, ctx := memstore.NewLimiter(entries), context.Background()
	for i := range entries {
		_, _, err := limiter.Advance(ctx, strconv.Itoa(i), start, time.Second, time.Second)
		require.NoError(t, err)
	}
	forgotten := 0
	for i := range entries {
		arrival, _, err := arrives(ctx, limiter, strconv.Itoa(i), start, 0, time.Second)
		require.NoError(t, err)
		if arrival.Equal(start) {
			forgotten++
		}
	}
	t.Logf("%d of %d forgotten", forgotten, entries)
	require.Less(t, forgotten, entries/50)
}

// The limiter evicts no id while it grows.
func TestLimiterForgetsNothingAsItGrows(t *testing.T) {
	limiter, ctx := memstore.NewLimiter(1<<16), context.Background()
	for i := range 2000 {
		_, moved, err := limiter.Advance(ctx, strconv.Itoa(i), start, time.Second, time.Second)
		require.NoError(t, err)
		require.True(t, moved)
	}
	forgotten := 0
	for i := range 2000 {
		_, moved, err := limiter.Advance(ctx, strconv.Itoa(i), start, time.Second, time.Second)
		require.NoError(t, err)
		if moved {
			forgotten++
		}
	}
	require.Zero(t, forgotten)
}

// A call with a future time, or a clock that is set back, blocks an id for one window at
// most, and Advance returns no later arrival time.
func TestAWrongClockBlocksForOneWindow(t *testing.T) {
	const step, window = time.Second, 10 * time.Second
	for _, ahead := range []time.Duration{window + 1, time.Minute, time.Hour, 366 * 24 * time.Hour, 200 * 366 * 24 * time.Hour} {
		for _, tc := range []struct {
			name  string
			tries time.Duration // time between two calls
			by    time.Duration
		}{
			{"one call after a window", window, step},
			{"a call every second", time.Second, step},
			{"a read every second", time.Second, 0},
		} {
			t.Run("B29 "+ahead.String()+" ahead: "+tc.name, func(t *testing.T) {
				limiter, ctx := memstore.NewLimiter(1024), context.Background()
				for range 20 {
					_, _, err := limiter.Advance(ctx, "id", start.Add(ahead), step, window)
					require.NoError(t, err)
				}
				used := 0
				for after := time.Duration(0); after < window; after += tc.tries {
					now := start.Add(after)
					arrival, moved, err := arrives(ctx, limiter, "id", now, tc.by, window)
					require.NoError(t, err)
					require.False(t, arrival.After(now.Add(window)), "%s after %s", arrival, now)
					require.False(t, arrival.Before(start.Add(window)), "the id was not removed")
					if moved {
						used++
					}
				}
				require.LessOrEqual(t, used, int(window/step)-1)
				passed := 0
				for range 20 {
					_, moved, err := limiter.Advance(ctx, "id", start.Add(window), step, window)
					require.NoError(t, err)
					if moved {
						passed++
					}
				}
				require.Equal(t, int(window/step)-used, passed, "the whole window is available again")
			})
		}
	}
}

// For a call by a clock that is behind, the arrival time is lowered to one window ahead of
// that clock. Calls by the right clock then get that lower arrival time, too.
func TestAClockBehindIsRefusedForOneWindow(t *testing.T) {
	limiter, ctx := memstore.NewLimiter(1024), context.Background()
	advance := func(now time.Time, want time.Time, moves bool) {
		t.Helper()
		arrival, moved, err := arrives(ctx, limiter, "id", now, time.Second, 2*time.Second)
		require.NoError(t, err)
		require.Equal(t, want, arrival)
		require.Equal(t, moves, moved)
	}
	behind := start.Add(-time.Minute)
	advance(start, start.Add(time.Second), true)
	advance(start, start.Add(2*time.Second), true)
	advance(behind, behind.Add(2*time.Second), false)
	advance(behind.Add(time.Second-1), behind.Add(2*time.Second), false)
	advance(behind.Add(time.Second), behind.Add(3*time.Second), true)
	advance(start, start.Add(time.Second), true)
}

// A call that took longer than others passes an earlier time than they did. It must not
// give back what they used.
func TestALateCallGivesNothingBack(t *testing.T) {
	const late, step = 900 * time.Millisecond, 50 * time.Millisecond
	for _, window := range []time.Duration{step, time.Second, time.Minute} {
		t.Run("B04 "+window.String(), func(t *testing.T) {
			limiter, ctx := memstore.NewLimiter(1024), context.Background()
			passed := 0
			for range 2_000 {
				for _, now := range []time.Time{start, start.Add(-late)} {
					arrival, moved, err := arrives(ctx, limiter, "id", now, step, window)
					require.NoError(t, err)
					require.False(t, arrival.After(now.Add(window)), "%s after %s", arrival, now)
					if moved {
						passed++
					}
				}
			}
			require.Equal(t, int(window/step), passed)
		})
	}
}

func TestLimiterEvictsPassedArrivals(t *testing.T) {
	limiter, ctx := memstore.NewLimiter(1024), context.Background()
	for i := range 100_000 {
		now := start.Add(time.Duration(i) * 10 * time.Millisecond)
		_, moved, err := limiter.Advance(ctx, strconv.Itoa(i), now, time.Second, time.Second)
		require.NoError(t, err)
		require.True(t, moved)
		// The ids of the last second must not have been evicted.
		if i%1000 == 999 {
			for j := i - 90; j <= i; j++ {
				_, moved, err = limiter.Advance(ctx, strconv.Itoa(j), now, time.Second, time.Second)
				require.NoError(t, err)
				require.False(t, moved, "id %d of %d", j, i)
			}
		}
	}
}

func TestLimiterRefusesInvalidArguments(t *testing.T) {
	limiter, ctx := memstore.NewLimiter(0), context.Background()
	for _, try := range []struct {
		name       string
		now        time.Time
		by, window time.Duration
	}{
		{"a negative step", start, -1, time.Second},
		{"the zero time", time.Time{}, 1, time.Second},
		{"a time beyond nanoseconds", start.AddDate(400, 0, 0), 1, time.Second},
	} {
		t.Run(try.name, func(t *testing.T) {
			_, moved, err := limiter.Advance(ctx, "id", try.now, try.by, try.window)
			require.Error(t, err)
			require.False(t, moved)
		})
	}
	t.Run("the widest step and window do not wrap around", func(t *testing.T) {
		passed := 0
		for range 5 {
			arrival, moved, err := arrives(ctx, limiter, "wide", start, math.MaxInt64/2, math.MaxInt64)
			require.NoError(t, err)
			require.False(t, arrival.Before(start))
			if moved {
				passed++
			}
		}
		require.LessOrEqual(t, passed, 2)
		_, moved, err := limiter.Advance(ctx, "narrow", start, math.MaxInt64, math.MinInt64)
		require.NoError(t, err)
		require.False(t, moved)
	})
}

// arrives calls Advance, and returns the arrival time as an instant.
func arrives(ctx context.Context, l store.Limiter, id string, now time.Time, by, window time.Duration) (time.Time, bool, error) {
	ahead, moved, err := l.Advance(ctx, id, now, by, window)
	return now.Add(ahead), moved, err
}

// An arrival time that does not fit into nanoseconds since 1970 is refused.
func TestAnArrivalOutOfRange(t *testing.T) {
	l := memstore.NewLimiter(0)
	const month = 30 * 24 * time.Hour
	now := time.Date(2261, 12, 31, 0, 0, 0, 0, time.UTC)
	_, moved, err := l.Advance(context.Background(), "id", now, 5*month, 6*month)
	require.NoError(t, err)
	require.False(t, moved)
	_, moved, err = l.Advance(context.Background(), "id", now, month, 6*month)
	require.NoError(t, err)
	require.True(t, moved)
}
