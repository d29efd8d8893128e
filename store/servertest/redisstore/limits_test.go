package redisstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// wrongClocks returns the times of several processes. At most one is right.
func wrongClocks() []time.Time {
	now := time.Now()
	return []time.Time{noon, now, now.Add(-time.Hour), now.Add(5 * time.Hour), now.AddDate(2, 0, 0), now.AddDate(-2, 0, 0), {}}
}

// limited is a pair of processes that share limits.
type limited struct {
	*testing.T
	client *redis.Client
	prefix string
	stores [2]store.Store
}

func newLimited(t *testing.T) *limited {
	t.Helper()
	l := &limited{T: t, client: sharedClient(t)}
	l.prefix = newPrefix(t, l.client)
	for i := range l.stores {
		l.stores[i] = newDriver(t, sharedClient(t), redisstore.Config{Prefix: l.prefix}).Store()
	}
	return l
}

func (l *limited) name(id string) string { return l.prefix + ":limit:" + id }

func (l *limited) now() time.Time {
	l.Helper()
	now, err := l.client.Time(context.Background()).Result()
	require.NoError(l, err)
	return now
}

// store writes an arrival that is ahead of the server's clock.
func (l *limited) store(id string, ahead time.Duration) {
	l.Helper()
	at := l.now().Add(ahead)
	require.NoError(l, l.client.Set(context.Background(), l.name(id), fmt.Sprint(at.Unix(), " ", at.Nanosecond()), max(ahead, 0)+time.Hour).Err())
}

// stored returns how far an arrival is ahead of the server's clock.
func (l *limited) stored(id string) time.Duration {
	l.Helper()
	text, err := l.client.Get(context.Background(), l.name(id)).Result()
	require.NoError(l, err)
	var seconds, rest int64
	_, err = fmt.Sscan(text, &seconds, &rest)
	require.NoError(l, err)
	return time.Unix(seconds, rest).Sub(l.now())
}

// near checks a distance to the server's clock, which has advanced since.
func near(t *testing.T, want, got time.Duration) {
	t.Helper()
	require.LessOrEqual(t, got, want)
	require.Greater(t, got, want-patience)
}

// B29: processes whose clocks differ share one limit, which uses the server's clock.
func TestLimitsUseTheServersClock(t *testing.T) {
	ctx := context.Background()
	const window, step = time.Hour, 15 * time.Minute
	l := newLimited(t)
	advance := func(process int, id string, now time.Time, by time.Duration) (time.Duration, bool) {
		t.Helper()
		ahead, moved, err := l.stores[process].Limiter.Advance(ctx, id, now, by, window)
		require.NoError(t, err)
		return ahead, moved
	}
	t.Run("B29 wrong clocks", func(t *testing.T) {
		ahead, moved := advance(0, "shared", noon, 0)
		require.Zero(t, ahead)
		require.False(t, moved)
		require.Zero(t, l.client.Exists(ctx, l.name("shared")).Val(), "a call that only reads stores nothing")
		var all []bool
		for i, now := range wrongClocks() {
			ahead, moved := advance(i%2, "shared", now, step)
			near(t, min(time.Duration(i+1)*step, window), ahead)
			ahead, _ = advance((i+1)%2, "shared", now, 0)
			near(t, min(time.Duration(i+1)*step, window), ahead)
			near(t, min(time.Duration(i+1)*step, window), l.stored("shared"))
			all = append(all, moved)
		}
		require.Equal(t, []bool{true, true, true, true, false, false, false}, all)
		ahead, moved = advance(0, "shared", noon, window+1)
		near(t, window, ahead)
		require.False(t, moved)
	})
	t.Run("B29 two processes whose clocks differ by hours get equal shares", func(t *testing.T) {
		passed := [2]int{}
		for range 50 {
			for process, now := range []time.Time{noon, noon.Add(5 * time.Hour)} {
				_, moved, err := l.stores[process].Limiter.Advance(ctx, "turns", now, 1000*time.Hour/10, 1000*time.Hour)
				require.NoError(t, err)
				if moved {
					passed[process]++
				}
			}
		}
		require.Equal(t, [2]int{5, 5}, passed)
	})
	t.Run("an arrival in the past", func(t *testing.T) {
		l.store("past", -2*window)
		ahead, moved := advance(0, "past", noon, step)
		require.True(t, moved)
		near(t, step, ahead)
	})
	// The server's clock was ahead, or has been set back.
	for name, by := range map[string]time.Duration{"moves": step, "reads": 0, "cannot-move": 2 * window} {
		t.Run("B29 far ahead, a call that "+name, func(t *testing.T) {
			l.store(name, 1000*window)
			ahead, moved := advance(0, name, noon, by)
			require.False(t, moved)
			require.Equal(t, window, ahead)
			near(t, window, l.stored(name))
			require.LessOrEqual(t, l.client.PTTL(ctx, l.name(name)).Val(), window+2*time.Second)
		})
	}
	t.Run("an arrival slightly beyond the window is not reset", func(t *testing.T) {
		l.store("late", window+900*time.Millisecond)
		before, err := l.client.Get(ctx, l.name("late")).Result()
		require.NoError(t, err)
		_, moved := advance(0, "late", noon, step)
		require.False(t, moved)
		require.Equal(t, before, l.client.Get(ctx, l.name("late")).Val())
	})
	t.Run("stored arrivals expire", func(t *testing.T) {
		for n := 1; n <= 5; n++ {
			ahead, _ := advance(n%2, "ends", noon, step)
			left, err := l.client.PTTL(ctx, l.name("ends")).Result()
			require.NoError(t, err)
			require.Positive(t, left)
			near(t, min(time.Duration(n)*step, window), ahead)
			require.LessOrEqual(t, left, ahead+2*time.Second)
			require.Greater(t, left, ahead-patience, "not before it is in the past")
		}
		_, moved, err := l.stores[0].Limiter.Advance(ctx, "short", noon, 1, time.Millisecond)
		require.NoError(t, err)
		require.True(t, moved)
		require.Eventually(t, func() bool { return l.client.Exists(ctx, l.name("short")).Val() == 0 }, patience, 10*time.Millisecond)
	})
}

// However many calls come at once, a limit allows exactly its number. Each refused call
// gets a time to wait.
func TestLimitsAreExact(t *testing.T) {
	t.Run("concurrently", func(t *testing.T) {
		const window, calls, allowed = 1000 * time.Hour, 200, 8
		l, clocks := newLimited(t), wrongClocks()
		var passed [calls]bool
		var waits [calls]time.Duration
		var errs [calls]error
		var calling sync.WaitGroup
		for i := range calls {
			calling.Go(func() {
				waits[i], passed[i], errs[i] = l.stores[i%2].Limiter.Advance(context.Background(), "id", clocks[i%len(clocks)], window/allowed, window)
			})
		}
		calling.Wait()
		n := 0
		for i := range calls {
			require.NoError(t, errs[i])
			if passed[i] {
				n++
			} else {
				require.Greater(t, waits[i], window-window/allowed)
			}
			require.LessOrEqual(t, waits[i], window)
		}
		require.Equal(t, allowed, n)
	})
	for _, try := range []struct {
		window  time.Duration
		allowed int
	}{
		{10 * time.Second, 3}, {10 * time.Second, 7}, {time.Second, 3}, {time.Minute, 13}, {time.Hour, 7}, {24 * time.Hour, 11}, {100 * 24 * time.Hour, 3},
	} {
		t.Run(fmt.Sprintf("%d in %s, a step that is not a whole number", try.allowed, try.window), func(t *testing.T) {
			l, step := newLimited(t), try.window/time.Duration(try.allowed)
			begun := l.now()
			passed := 0
			for i := range 4 * try.allowed {
				ahead, moved, err := l.stores[i%2].Limiter.Advance(context.Background(), "id", noon, step, try.window)
				require.NoError(t, err)
				require.LessOrEqual(t, ahead, try.window)
				if moved {
					passed++
				}
			}
			// The server's clock has advanced meanwhile, which may allow more.
			require.GreaterOrEqual(t, passed, try.allowed)
			require.LessOrEqual(t, passed, int((try.window+l.now().Sub(begun))/step))
		})
	}
}
