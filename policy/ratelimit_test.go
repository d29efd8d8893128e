package policy_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// limiterFunc is a store.Limiter that fails as the function says.
type limiterFunc func(ctx context.Context) error

func (f limiterFunc) Advance(ctx context.Context, _ string, _ time.Time, _, _ time.Duration) (time.Duration, bool, error) {
	return 0, false, f(ctx)
}

func TestRateLimit(t *testing.T) {
	k := aged(0, never)
	for _, limiter := range []struct {
		name string
		new  func() store.Limiter
	}{
		{"local", func() store.Limiter { return nil }},
		{"given", func() store.Limiter { return memstore.NewLimiter(1024) }},
	} {
		t.Run(limiter.name, func(t *testing.T) {
			p := policy.RateLimit(policy.RateLimitConfig{Limit: 6, Per: time.Minute, Burst: 3, Limiter: limiter.new()})
			logIn := func(after time.Duration) error {
				facts := login(k)
				facts.Now = now.Add(after)
				return p.CheckToken(t.Context(), tokenRequest(facts))
			}
			for range 3 {
				checkDenied(t, logIn(0), "", "")
			}
			for _, c := range []struct {
				after time.Duration
				wait  int // seconds; 0 passes
			}{
				{0, 10},
				{time.Nanosecond, 10},
				{9 * time.Second, 1},
				{9999 * time.Millisecond, 1},
				{10 * time.Second, 0},
				{10 * time.Second, 10},
				{19 * time.Second, 1},
				{50 * time.Second, 0}, {50 * time.Second, 0}, {50 * time.Second, 0},
				{50 * time.Second, 10},
			} {
				err := logIn(c.after)
				if c.wait == 0 {
					checkDenied(t, err, "", "")
					continue
				}
				checkDenied(t, err, "rate_limit", fmt.Sprintf("again in %d second", c.wait))
				if denied, _ := policy.AsDenied(err); denied.RetryAfter != time.Duration(c.wait)*time.Second {
					t.Errorf("at %v: retry after %v, want %d s", c.after, denied.RetryAfter, c.wait)
				}
			}
		})
	}
	t.Run("a retry after the named time passes", func(t *testing.T) {
		p := policy.RateLimit(policy.RateLimitConfig{Limit: 7, Per: time.Hour, Burst: 1})
		facts := login(k)
		for range 20 {
			checkDenied(t, p.CheckToken(t.Context(), tokenRequest(facts)), "", "")
			denied, _ := policy.AsDenied(p.CheckToken(t.Context(), tokenRequest(facts)))
			facts.Now = facts.Now.Add(denied.RetryAfter)
		}
	})
	t.Run("B29 a clock that was ahead blocks for no longer than a window", func(t *testing.T) {
		p := policy.RateLimit(policy.RateLimitConfig{Limit: 10, Per: 100 * time.Second})
		facts := login(k)
		facts.Now = now.Add(365 * day)
		for p.CheckToken(t.Context(), tokenRequest(facts)) == nil {
		}
		facts.Now = now
		checkDenied(t, p.CheckToken(t.Context(), tokenRequest(facts)), "rate_limit", "again in 10 seconds")
		facts.Now = now.Add(10 * time.Second)
		checkDenied(t, p.CheckToken(t.Context(), tokenRequest(facts)), "", "")
		facts.Now = now.Add(110 * time.Second)
		for range 10 {
			checkDenied(t, p.CheckToken(t.Context(), tokenRequest(facts)), "", "")
		}
	})
	t.Run("B29 a limiter with another clock", func(t *testing.T) {
		for _, ahead := range []time.Duration{365 * day, -365 * day} {
			p := policy.RateLimit(policy.RateLimitConfig{Limit: 10, Per: 100 * time.Second, Limiter: skewed{memstore.NewLimiter(1024), ahead}})
			for range 10 {
				checkDenied(t, p.CheckToken(t.Context(), tokenRequest(login(k))), "", "")
			}
			err := p.CheckToken(t.Context(), tokenRequest(login(k)))
			denied, _ := policy.AsDenied(err)
			if denied == nil || denied.RetryAfter != 10*time.Second {
				t.Errorf("%v ahead: %v", ahead, err)
			}
		}
	})
	t.Run("never more than Limit in Per", func(t *testing.T) {
		p := policy.RateLimit(policy.RateLimitConfig{Limit: 7, Per: 10 * time.Second, Burst: 1})
		facts, passed := login(k), 0
		for facts.Now.Before(now.Add(10 * time.Second)) {
			if p.CheckToken(t.Context(), tokenRequest(facts)) == nil {
				passed++
			}
			facts.Now = facts.Now.Add(time.Millisecond)
		}
		if passed != 7 {
			t.Errorf("%d passed, want 7", passed)
		}
	})
	t.Run("a third of a second is rounded up", func(t *testing.T) {
		p := policy.RateLimit(policy.RateLimitConfig{Limit: 3, Per: time.Second, Burst: 1})
		for _, c := range []struct {
			after time.Duration
			rule  string
		}{{0, ""}, {333_333 * time.Microsecond, "rate_limit"}, {333_334 * time.Microsecond, ""}} {
			facts := login(k)
			facts.Now = now.Add(c.after)
			checkDenied(t, p.CheckToken(t.Context(), tokenRequest(facts)), c.rule, "")
		}
	})
	t.Run("concurrent logins", func(t *testing.T) {
		p := policy.RateLimit(policy.RateLimitConfig{Limit: 25, Per: time.Minute})
		var passed atomic.Int32
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if p.CheckToken(t.Context(), tokenRequest(login(aged(0, never)))) == nil {
					passed.Add(1)
				}
			})
		}
		wg.Wait()
		if passed.Load() != 25 {
			t.Errorf("%d passed, want 25", passed.Load())
		}
	})
	byAddress := policy.RateLimit(policy.RateLimitConfig{Limit: 1, Per: time.Hour, By: policy.ByAddress})
	runKeyCases(t, []keyCase{
		{name: "create", policy: byAddress, action: policy.ActionCreate, after: k},
		{name: "update", policy: byAddress, action: policy.ActionUpdate, before: k, after: renamed(k)},
		{name: "rotate", policy: byAddress, action: policy.ActionRotate, before: k, after: rotated(k)},
	})
}

func TestRateLimitCounts(t *testing.T) {
	type client struct{ key, workspace, address string }
	first := client{"key-1", "team-a", "192.0.2.7"}
	for _, c := range []struct {
		name     string
		by       policy.By
		first    client
		second   client
		together bool
	}{
		{"by key: the same from another address", policy.ByKey, first, client{"key-1", "team-a", "198.51.100.1"}, true},
		{"by key: another of the workspace", policy.ByKey, first, client{"key-2", "team-a", "192.0.2.7"}, false},
		{"by workspace: another key of it", policy.ByWorkspace, first, client{"key-2", "team-a", "198.51.100.1"}, true},
		{"by workspace: another workspace", policy.ByWorkspace, first, client{"key-2", "team-b", "192.0.2.7"}, false},
		{"by address: another key", policy.ByAddress, first, client{"key-2", "team-b", "192.0.2.7"}, true},
		{"by address: another address", policy.ByAddress, first, client{"key-1", "team-a", "192.0.2.8"}, false},
		{"by address: the same written as IPv6", policy.ByAddress, first, client{"key-1", "team-a", "::ffff:192.0.2.7"}, true},
		{"by address: others written as IPv6", policy.ByAddress, first, client{"key-1", "team-a", "::ffff:192.0.2.8"}, false},
		{"B04 by address: IPv6 inside one /64", policy.ByAddress,
			client{"k", "w", "2001:db8:0:1::1"}, client{"k", "w", "2001:db8:0:1:ffff::2%eth0"}, true},
		{"by address: IPv6 of two /64", policy.ByAddress,
			client{"k", "w", "2001:db8:0:1::1"}, client{"k", "w", "2001:db8:0:2::1"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := policy.RateLimit(policy.RateLimitConfig{By: c.by, Limit: 1, Per: time.Minute})
			check := func(from client) error {
				k := aged(0, never)
				k.ID, k.Workspace = from.key, from.workspace
				facts := login(k)
				facts.Address = netip.MustParseAddr(from.address)
				return p.CheckToken(t.Context(), tokenRequest(facts))
			}
			checkDenied(t, check(c.first), "", "")
			rule := ""
			if c.together {
				rule = "rate_limit"
			}
			checkDenied(t, check(c.second), rule, "Too many logins")
		})
	}
	t.Run("by address: an unknown one is denied", func(t *testing.T) {
		p := policy.RateLimit(policy.RateLimitConfig{By: policy.ByAddress, Limit: 1, Per: time.Minute})
		facts := login(aged(0, never))
		facts.Address = netip.Addr{}
		checkDenied(t, p.CheckToken(t.Context(), tokenRequest(facts)), "rate_limit", "not known")
	})
	t.Run("two limits on one limiter count separately", func(t *testing.T) {
		shared := memstore.NewLimiter(1024)
		p := policy.All(
			policy.RateLimit(policy.RateLimitConfig{Limit: 2, Per: time.Minute, Limiter: shared}),
			policy.RateLimit(policy.RateLimitConfig{Limit: 3, Per: time.Hour, Limiter: shared}),
		)
		for range 2 {
			checkDenied(t, p.CheckToken(t.Context(), tokenRequest(login(aged(0, never)))), "", "")
		}
	})
	t.Run("one limit on one limiter counts once", func(t *testing.T) {
		c := policy.RateLimitConfig{Limit: 1, Per: time.Minute, Limiter: memstore.NewLimiter(1024)}
		checkDenied(t, policy.RateLimit(c).CheckToken(t.Context(), tokenRequest(login(aged(0, never)))), "", "")
		checkDenied(t, policy.RateLimit(c).CheckToken(t.Context(), tokenRequest(login(aged(0, never)))), "rate_limit", "")
	})
}

// skewed is a limiter whose clock differs from the caller's by ahead.
type skewed struct {
	store.Limiter
	ahead time.Duration
}

func (l skewed) Advance(ctx context.Context, id string, now time.Time, by, window time.Duration) (time.Duration, bool, error) {
	return l.Limiter.Advance(ctx, id, now.Add(l.ahead), by, window)
}

func TestRateLimitOutage(t *testing.T) {
	down := limiterFunc(func(context.Context) error { return fmt.Errorf("redis: %w", store.ErrUnavailable) })
	odd := limiterFunc(func(context.Context) error { return errors.New("driver: no such script") })
	hung := limiterFunc(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	for _, c := range []struct {
		name     string
		limiter  store.Limiter
		onOutage policy.Outage
		passes   bool
	}{
		{"B19 down, deny", down, policy.OutageDeny, false},
		{"B19 down, allow", down, policy.OutageAllow, true},
		{"B19 an error of another kind, deny", odd, policy.OutageDeny, false},
		{"B19 an error of another kind, allow", odd, policy.OutageAllow, true},
		{"B19 hung, deny", hung, policy.OutageDeny, false},
		{"B19 hung, allow", hung, policy.OutageAllow, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := policy.RateLimit(policy.RateLimitConfig{Limit: 1, Per: time.Minute, Limiter: c.limiter, OnOutage: c.onOutage})
				start := time.Now()
				err := p.CheckToken(t.Context(), tokenRequest(login(aged(0, never))))
				if waited := time.Since(start); waited > 500*time.Millisecond {
					t.Errorf("it took %v", waited)
				}
				if c.passes {
					checkDenied(t, err, "", "")
					return
				}
				if !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("got %v, want an outage", err)
				}
				if _, denied := policy.AsDenied(err); denied {
					t.Error("an outage counts as a decision")
				}
			})
		})
	}
	t.Run("B19 OutageAllow does not lift the limit of a limiter that works", func(t *testing.T) {
		p := policy.RateLimit(policy.RateLimitConfig{Limit: 1, Per: time.Minute, OnOutage: policy.OutageAllow})
		checkDenied(t, p.CheckToken(t.Context(), tokenRequest(login(aged(0, never)))), "", "")
		checkDenied(t, p.CheckToken(t.Context(), tokenRequest(login(aged(0, never)))), "rate_limit", "")
	})
	t.Run("a canceled login is not allowed", func(t *testing.T) {
		p := policy.RateLimit(policy.RateLimitConfig{Limit: 1, Per: time.Minute, Limiter: hung, OnOutage: policy.OutageAllow})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.CheckToken(ctx, tokenRequest(login(aged(0, never)))); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
	t.Run("the timeout can be set", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := policy.RateLimit(policy.RateLimitConfig{Limit: 1, Per: time.Minute, Limiter: hung, Timeout: 2 * time.Second})
			start := time.Now()
			_ = p.CheckToken(t.Context(), tokenRequest(login(aged(0, never))))
			if waited := time.Since(start); waited != 2*time.Second {
				t.Errorf("it took %v", waited)
			}
		})
	})
}

func TestRateLimitConfig(t *testing.T) {
	for _, c := range []struct {
		name   string
		config policy.RateLimitConfig
		wants  []string // parts of the denial; none: it is valid
	}{
		{"the zero value", policy.RateLimitConfig{}, []string{"Limit: 0 is below 1", "Per: 0s is not above 0"}},
		{"all wrong", policy.RateLimitConfig{By: 9, Limit: -1, Per: -1, Burst: -1, Timeout: -1, OnOutage: 7},
			[]string{"By: 9", "Limit: -1", "Per: -1ns", "Burst: -1", "Timeout: -1ns", "OnOutage: 7"}},
		{"the highest rate", policy.RateLimitConfig{Limit: 1_000_000, Per: time.Second}, nil},
		{"above the highest rate", policy.RateLimitConfig{Limit: 1_000_001, Per: time.Second}, []string{"more than one a microsecond"}},
		{"the lowest rate", policy.RateLimitConfig{Limit: 1, Per: 366 * day}, nil},
		{"below the lowest rate", policy.RateLimitConfig{Limit: 1, Per: 366*day + 1}, []string{"Per: 8784h0m0.000000001s is above"}},
		{"a burst beyond a year", policy.RateLimitConfig{Limit: 1, Per: day, Burst: 367}, []string{"Burst: 367 times"}},
		{"a burst that overflows", policy.RateLimitConfig{Limit: 1, Per: day, Burst: 1 << 62}, []string{"Burst: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := policy.RateLimit(c.config)
			for range 2 {
				err := p.CheckToken(t.Context(), tokenRequest(login(aged(0, never))))
				if len(c.wants) == 0 {
					checkDenied(t, err, "", "")
					return
				}
				checkDenied(t, err, "rate_limit", "")
				for _, want := range c.wants {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q lacks %q", err, want)
					}
				}
			}
		})
	}
}
