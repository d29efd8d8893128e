package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

var (
	noon  = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("192.0.2.2")
)

const victim = "7f0c2f64-6a2b-4d55-9a57-3f1f1a1f9a10"

// failures returns how many of the tries in a row are within the budget.
func failures(b apikey.Budget, tries int, addr netip.Addr, keyID string, now time.Time) (within int) {
	for range tries {
		if _, over := b.Fail(context.Background(), addr, keyID, now); !over {
			within++
		}
	}
	return within
}

func TestBudgetCounts(t *testing.T) {
	for _, tc := range []struct {
		name   string
		config apikey.Budgets
		tries  int
		want   int
		wait   time.Duration
	}{
		{"default, one key", apikey.Budgets{}, 200, 60, time.Second},
		{"default, address only", apikey.Budgets{PerAddressAndKey: -1}, 200, 120, time.Minute / 120},
		{"own limits", apikey.Budgets{PerAddress: 7, PerAddressAndKey: 3}, 20, 3, 20 * time.Second},
		{"a limit that does not divide a minute", apikey.Budgets{PerAddress: 7, PerAddressAndKey: -1}, 20, 7, time.Minute / 7},
		{"one", apikey.Budgets{PerAddress: 1}, 5, 1, time.Minute},
		{"off", apikey.Budgets{PerAddress: -1, PerAddressAndKey: -1}, 5000, 5000, 0},
		{"capped", apikey.Budgets{PerAddress: 1 << 40, PerAddressAndKey: -1}, 60_001, 60_000, time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := apikey.NewBudget(tc.config)
			require.Equal(t, tc.want, failures(b, tc.tries, addrA, victim, noon))
			wait, over := b.Over(t.Context(), addrA, victim, noon)
			require.Equal(t, tc.wait > 0, over)
			require.InDelta(t, tc.wait, wait, 10, "nanoseconds")
			again, over := b.Fail(t.Context(), addrA, victim, noon)
			require.Equal(t, wait > 0, over)
			require.Equal(t, wait > 0, again > 0)
			require.LessOrEqual(t, again, wait)
		})
	}
}

func TestBudgetOverOnlyReads(t *testing.T) {
	b := apikey.NewBudget(apikey.Budgets{PerAddress: 2})
	for range 1000 {
		_, over := b.Over(t.Context(), addrA, victim, noon)
		require.False(t, over)
	}
	require.Equal(t, 2, failures(b, 5, addrA, victim, noon))
}

func TestBudgetAfterAWrongClock(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, 365 * 24 * time.Hour} {
		t.Run("B29 failures "+ahead.String()+" ahead", func(t *testing.T) {
			b := apikey.NewBudget(apikey.Budgets{})
			failures(b, 200, addrA, victim, noon.Add(ahead))
			for range 3 {
				wait, over := b.Over(t.Context(), addrA, victim, noon)
				require.True(t, over)
				require.LessOrEqual(t, wait, time.Second, "what one failure costs")
			}
			require.Equal(t, 60, failures(b, 200, addrA, victim, noon.Add(time.Minute)))
		})
	}
}

func TestBudgetRefills(t *testing.T) {
	b := apikey.NewBudget(apikey.Budgets{})
	failures(b, 100, addrA, victim, noon)
	wait, over := b.Over(t.Context(), addrA, victim, noon)
	require.True(t, over)
	_, over = b.Over(t.Context(), addrA, victim, noon.Add(wait-1))
	require.True(t, over, "a moment too early")
	require.Equal(t, 1, failures(b, 5, addrA, victim, noon.Add(wait)), "one after the returned wait")
	require.Equal(t, 60, failures(b, 200, addrA, victim, noon.Add(2*time.Minute)), "all after a pause")
}

func TestBudgetSharing(t *testing.T) {
	parse := netip.MustParseAddr
	for _, tc := range []struct {
		name       string
		addr       netip.Addr
		keyID      string
		otherAddr  netip.Addr
		otherKeyID string
		shares     bool
	}{
		{"B04 another address on the same key", addrA, victim, addrB, victim, false},
		{"B04 IPv6 inside one /64", parse("2001:db8::1"), victim, parse("2001:db8::ffff:ffff:ffff:ffff"), victim, true},
		{"B04 IPv6 of another /64", parse("2001:db8::1"), victim, parse("2001:db8:0:1::1"), victim, false},
		{"B04 IPv4 inside IPv6", addrA, victim, parse("::ffff:192.0.2.1"), victim, true},
		{"B04 another IPv4 inside IPv6", addrA, victim, parse("::ffff:192.0.2.2"), victim, false},
		{"B04 a zone", parse("fe80::1%eth0"), victim, parse("fe80::1%eth1"), victim, true},
		{"B04 unknown addresses are one", netip.Addr{}, victim, netip.Addr{}, victim, true},
		{"B04 an unknown address and a known one", netip.Addr{}, victim, addrA, victim, false},
		{"B04 unknown and 0.0.0.0", netip.Addr{}, victim, parse("0.0.0.0"), victim, false},
		{"another key", addrA, victim, addrA, "other", false},
		{"upper case", addrA, victim, addrA, strings.ToUpper(victim), true},
		{"white space", addrA, victim, addrA, " \t" + victim + "\r\n", true},
		{"what follows 64 bytes", addrA, strings.Repeat("k", 64) + "a", addrA, strings.Repeat("k", 64) + "b", true},
		{"the 64th byte", addrA, strings.Repeat("k", 63) + "a", addrA, strings.Repeat("k", 63) + "b", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := apikey.NewBudget(apikey.Budgets{PerAddress: -1, PerAddressAndKey: 5})
			require.Equal(t, 5, failures(b, 10, tc.addr, tc.keyID, noon))
			_, over := b.Over(t.Context(), tc.otherAddr, tc.otherKeyID, noon)
			require.Equal(t, tc.shares, over)
		})
	}
	t.Run("B04 an address has its budget over all keys", func(t *testing.T) {
		b := apikey.NewBudget(apikey.Budgets{PerAddress: 10})
		for i := range 20 {
			_, over := b.Fail(t.Context(), addrA, fmt.Sprint("key", i), noon)
			require.Equal(t, i >= 10, over)
		}
		_, over := b.Over(t.Context(), addrA, "never seen", noon)
		require.True(t, over)
		_, over = b.Over(t.Context(), addrB, "key0", noon)
		require.False(t, over)
	})
	t.Run("B04 ten thousand wrong tries from A leave B its whole budget", func(t *testing.T) {
		b := apikey.NewBudget(apikey.Budgets{})
		failures(b, 10_000, addrA, victim, noon)
		require.Equal(t, 60, failures(b, 100, addrB, victim, noon))
	})
}

func TestBudgetConcurrent(t *testing.T) {
	b := apikey.NewBudget(apikey.Budgets{PerAddress: -1, PerAddressAndKey: 50})
	var within atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { within.Add(int64(failures(b, 20, addrA, victim, noon))) })
	}
	wg.Wait()
	require.EqualValues(t, 50, within.Load())
}

// spy wraps a limiter. It fails on demand, and records the ids.
type spy struct {
	ids []string
	err error
}

func (s *spy) Advance(ctx context.Context, id string, _ time.Time, by, _ time.Duration) (time.Duration, bool, error) {
	s.ids = append(s.ids, id)
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	return by, true, s.err
}

func TestBudgetFailsClosed(t *testing.T) {
	b := apikey.NewBudgetOn(&spy{err: errors.New("down")}, apikey.Budgets{})
	wait, over := b.Over(t.Context(), addrA, victim, noon)
	require.True(t, over)
	require.Positive(t, wait)
	wait, over = b.Fail(t.Context(), addrA, victim, noon)
	require.True(t, over)
	require.Positive(t, wait)
}

// TestBudgetWait tests that the wait ends when one more failure is within the
// budget.
func TestBudgetWait(t *testing.T) {
	b := apikey.NewBudget(apikey.Budgets{PerAddress: 3, PerAddressAndKey: -1})
	for range 3 {
		_, over := b.Fail(t.Context(), addrA, victim, noon)
		require.False(t, over)
	}
	for passed, want := range map[time.Duration]time.Duration{0: 20 * time.Second, 5 * time.Second: 15 * time.Second, 20*time.Second - 1: 1} {
		wait, over := b.Fail(t.Context(), addrA, victim, noon.Add(passed))
		require.True(t, over)
		require.Equal(t, want, wait)
		wait, _ = b.Over(t.Context(), addrA, victim, noon.Add(passed))
		require.Equal(t, want, wait)
	}
}

func TestBudgetCountsClosedConnections(t *testing.T) {
	b := apikey.NewBudget(apikey.Budgets{PerAddress: 3})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		_, over := b.Fail(ctx, addrA, victim, noon)
		require.False(t, over)
	}
	_, over := b.Over(t.Context(), addrA, victim, noon)
	require.True(t, over)
}

func TestBudgetAddressGuardsTheTable(t *testing.T) {
	full := &fullLimiter{}
	b := apikey.NewBudgetOn(full, apikey.Budgets{})
	_, over := b.Fail(t.Context(), addrA, victim, noon)
	require.True(t, over)
	require.Equal(t, 1, full.calls, "an address over its budget adds no key id")
}

// fullLimiter moves nothing.
type fullLimiter struct{ calls int }

func (f *fullLimiter) Advance(_ context.Context, _ string, _ time.Time, _, window time.Duration) (time.Duration, bool, error) {
	f.calls++
	return window, false, nil
}

func BenchmarkBudgetOver(b *testing.B) {
	budget := apikey.NewBudget(apikey.Budgets{})
	b.ReportAllocs()
	for b.Loop() {
		budget.Over(context.Background(), addrA, victim, noon)
	}
}
