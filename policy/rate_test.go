package policy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestRateNarrow(t *testing.T) {
	perMinute := func(n int) policy.Rate { return policy.Rate{Limit: n, Per: time.Minute} }
	fast := policy.Rate{Limit: 10, Per: time.Second, Burst: 5}
	for _, c := range []struct {
		name       string
		a, b, want policy.Rate
	}{
		{"both the same", perMinute(60), perMinute(60), policy.Rate{Limit: 60, Per: time.Minute, Burst: 60}},
		{"lower", perMinute(60), perMinute(30), policy.Rate{Limit: 30, Per: time.Minute, Burst: 30}},
		{"higher", perMinute(60), perMinute(90), policy.Rate{Limit: 60, Per: time.Minute, Burst: 60}},
		{"a lower rate, and a smaller burst of the other", perMinute(60), fast, policy.Rate{Limit: 60, Per: time.Minute, Burst: 5}},
		{"none", policy.Rate{}, fast, fast},
		{"none of both", policy.Rate{}, policy.Rate{}, policy.Rate{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, c.a.Narrow(c.b))
			require.Equal(t, c.want, c.b.Narrow(c.a))
		})
	}
}

// TestRateNarrowAllowsWhatBothAllow counts what passes over some minutes.
func TestRateNarrowAllowsWhatBothAllow(t *testing.T) {
	slow, fast := policy.Rate{Limit: 60, Per: time.Minute}, policy.Rate{Limit: 2, Per: time.Second, Burst: 3}
	limiters := [3]int{}
	l := memstore.NewLimiter(1024)
	for at := now; at.Before(now.Add(3 * time.Minute)); at = at.Add(50 * time.Millisecond) {
		for i, rate := range []policy.Rate{slow, fast, slow.Narrow(fast)} {
			left, err := rate.Take(t.Context(), l, fmt.Sprint(i), at)
			require.NoError(t, err)
			if left.Taken {
				limiters[i]++
			}
		}
	}
	require.Equal(t, [3]int{60 + 179, 3 + 359, 3 + 179}, limiters)
}

func TestRateTake(t *testing.T) {
	rate := policy.Rate{Limit: 6, Per: time.Minute, Burst: 3}
	require.Equal(t, 30*time.Second, rate.Window())
	l := memstore.NewLimiter(1024)
	for _, c := range []struct {
		after time.Duration
		want  policy.Quota
	}{
		{0, policy.Quota{Taken: true, Left: 2, After: 20 * time.Second}},
		{0, policy.Quota{Taken: true, Left: 1, After: 10 * time.Second}},
		{0, policy.Quota{Taken: true, Left: 0, After: 10 * time.Second}},
		{9500 * time.Millisecond, policy.Quota{After: time.Second}},
		{10 * time.Second, policy.Quota{Taken: true, After: 10 * time.Second}},
		{time.Hour, policy.Quota{Taken: true, Left: 2, After: 20 * time.Second}},
	} {
		left, err := rate.Take(t.Context(), l, "id", now.Add(c.after))
		require.NoError(t, err)
		require.Equal(t, c.want, left, c.after)
	}
	broken := errors.New("down")
	_, err := rate.Take(t.Context(), limiterFunc(func(context.Context) error { return broken }), "id", now)
	require.ErrorIs(t, err, broken)
}

func ExampleRate_Narrow() {
	ours := policy.Rate{Limit: 10, Per: time.Second, Burst: 20}
	customers := policy.Rate{Limit: 60, Per: time.Minute}
	both := ours.Narrow(customers)
	fmt.Println(both.Limit, "in", both.Per, "and at most", both.Burst, "at once")
	// Output:
	// 60 in 1m0s and at most 20 at once
}
