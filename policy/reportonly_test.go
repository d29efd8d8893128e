package policy_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// reports collects what ReportOnly reports.
type reports struct{ got []policy.Trial }

func (rs *reports) add(_ context.Context, t policy.Trial) { rs.got = append(rs.got, t) }

func TestReportOnlyKeys(t *testing.T) {
	k := aged(0, now.Add(30*day))
	read := scope.MustParse("project.read")
	limit := func(n int) policy.Policy {
		return policy.KeyFunc(func(_ context.Context, r *policy.KeyRequest) error { r.LimitKeys(n); return nil })
	}
	for _, c := range []struct {
		name     string
		tried    policy.Policy
		keys     int
		rule     string // reported
		outage   bool
		dropped  scope.Set
		notAfter time.Time
		quiet    bool // nothing is reported
	}{
		{name: "allowed", tried: policy.MaxLifetime(90 * day), quiet: true},
		{name: "denied", tried: policy.MaxLifetime(7 * day), rule: "max_lifetime"},
		{name: "an error of another kind", tried: policy.KeyFunc(func(context.Context, *policy.KeyRequest) error { return errors.New("odd") }), rule: "custom"},
		{name: "an outage", tried: policy.KeyFunc(func(context.Context, *policy.KeyRequest) error { return store.ErrUnavailable }), outage: true},
		{name: "a permission dropped", tried: policy.KeyFunc(func(_ context.Context, r *policy.KeyRequest) error { r.Drop(read); return nil }), dropped: read},
		{name: "shortened", tried: policy.KeyFunc(func(_ context.Context, r *policy.KeyRequest) error { r.ShortenTo(now.Add(day)); return nil }), notAfter: now.Add(day)},
		{name: "a quota that is not used up", tried: policy.MaxKeys(3), keys: 2, quiet: true},
		{name: "a quota that is used up", tried: policy.MaxKeys(3), keys: 3, rule: "max_keys"},
		{name: "a limit without a check, not used up", tried: limit(3), keys: 2, quiet: true},
		{name: "a limit without a check, used up", tried: limit(3), keys: 3, rule: "max_keys"},
		{name: "a limit above one that applies", tried: limit(100), keys: 200, quiet: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var reported reports
			// The next policy sees nothing of the tried one.
			next := policy.KeyFunc(func(_ context.Context, r *policy.KeyRequest) error {
				require.Equal(t, k.NotAfter, r.After.NotAfter)
				require.True(t, r.After.Permissions.Equal(k.Permissions))
				return nil
			})
			r := policy.NewKeyRequest(policy.KeyRequest{
				Action: policy.ActionCreate, Now: now, Workspace: store.Workspace{ID: "team-a", Keys: c.keys}, After: &k,
			})
			r.LimitKeys(50)
			require.NoError(t, policy.All(policy.ReportOnly(c.tried, reported.add), next).CheckKey(t.Context(), r))
			require.Equal(t, 50, r.Limit(), "a tried quota does not limit")
			require.True(t, r.Result().Permissions.Equal(k.Permissions))
			require.Equal(t, k.NotAfter, r.Result().NotAfter)
			if c.quiet {
				require.Empty(t, reported.got)
				return
			}
			require.Len(t, reported.got, 1)
			got := reported.got[0]
			denied, ok := policy.AsDenied(got.Err)
			require.Equal(t, c.rule != "", ok)
			if ok {
				require.Equal(t, c.rule, denied.Rule)
			}
			require.Equal(t, c.outage, store.IsOutage(got.Err))
			require.True(t, got.Dropped.Equal(c.dropped), "%v", got.Dropped)
			require.Equal(t, c.notAfter, got.NotAfter)
			require.Nil(t, got.Token)
			require.Equal(t, "team-a", got.Key.Workspace.ID)
			// What the report writes has no effect either.
			got.Key.After.Name, got.Key.After.NotAfter = "other", now
			require.Equal(t, k.NotAfter, r.Result().NotAfter)
		})
	}
}

func TestReportOnlyTokens(t *testing.T) {
	k := aged(0, never)
	dropping := policy.TokenFunc(func(_ context.Context, r *policy.TokenRequest) error {
		r.Drop(scope.MustParse("project.read"))
		r.Key.Workspace, r.Key.Credentials[0].ID = "team-b", "other"
		return nil
	})
	for _, c := range []struct {
		name    string
		tried   policy.Policy
		use     policy.Use
		rule    string
		dropped string
		shorter time.Duration
		quiet   bool
	}{
		{name: "allowed", tried: policy.TokenTTL(2 * time.Hour), quiet: true},
		{name: "denied", tried: policy.AllowAddresses(netip.MustParsePrefix("198.51.100.0/24")), rule: "allow_addresses"},
		{name: "narrowed", tried: dropping, dropped: "project.read"},
		{name: "shortened", tried: policy.TokenTTL(time.Minute), shorter: time.Minute},
		{name: "shortened where no token is issued", tried: policy.TokenTTL(time.Minute), use: policy.UseDirect, quiet: true},
		{name: "denied for direct use", tried: policy.AllowAddresses(), use: policy.UseDirect, rule: "allow_addresses"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var reported reports
			facts := login(k)
			facts.Use = c.use
			r := tokenRequest(facts)
			require.NoError(t, policy.ReportOnly(c.tried, reported.add).CheckToken(t.Context(), r))
			require.Equal(t, now.Add(time.Hour), r.NotAfter())
			require.True(t, r.Granted().Equal(k.Permissions))
			require.Equal(t, "team-a", r.Key.Workspace)
			require.Equal(t, "s1", r.Key.Credentials[0].ID)
			if c.quiet {
				require.Empty(t, reported.got)
				return
			}
			require.Len(t, reported.got, 1)
			got := reported.got[0]
			if denied, ok := policy.AsDenied(got.Err); ok {
				require.Equal(t, c.rule, denied.Rule)
			} else {
				require.Empty(t, c.rule)
			}
			require.Equal(t, c.dropped, got.Dropped.String())
			if c.shorter == 0 {
				require.Zero(t, got.NotAfter)
			} else {
				require.Equal(t, now.Add(c.shorter), got.NotAfter)
			}
			require.Nil(t, got.Key)
			require.NotNil(t, got.Token.Key)
		})
	}
}

func TestReportOnlyOutage(t *testing.T) {
	t.Run("B19 a tried policy that hangs does not fail the login", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported reports
			hung := policy.TokenFunc(func(ctx context.Context, _ *policy.TokenRequest) error { <-ctx.Done(); return ctx.Err() })
			ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
			defer cancel()
			require.NoError(t, policy.ReportOnly(hung, reported.add).CheckToken(ctx, tokenRequest(login(aged(0, never)))))
			require.NoError(t, ctx.Err(), "there is time left for the login")
			require.Len(t, reported.got, 1)
			require.True(t, store.IsOutage(reported.got[0].Err))
		})
	})
	t.Run("nothing to try, or nobody to tell", func(t *testing.T) {
		for _, p := range []policy.Policy{policy.ReportOnly(nil, new(reports).add), policy.ReportOnly(policy.MaxKeys(0), nil)} {
			require.NoError(t, p.CheckToken(t.Context(), tokenRequest(login(aged(0, never)))))
			k := aged(0, never)
			require.NoError(t, p.CheckKey(t.Context(), policy.NewKeyRequest(policy.KeyRequest{Action: policy.ActionCreate, Now: now, After: &k})))
		}
	})
	t.Run("a tried rate limit counts, concurrently", func(t *testing.T) {
		var refused atomic.Int32
		p := policy.ReportOnly(policy.RateLimit(policy.RateLimitConfig{Limit: 25, Per: time.Minute}), func(_ context.Context, tr policy.Trial) {
			if denied, ok := policy.AsDenied(tr.Err); ok && denied.Rule == "rate_limit" {
				refused.Add(1)
			}
		})
		var wg sync.WaitGroup
		var passed atomic.Int32
		for range 200 {
			wg.Go(func() {
				if p.CheckToken(t.Context(), tokenRequest(login(aged(0, never)))) == nil {
					passed.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 200, passed.Load())
		require.EqualValues(t, 175, refused.Load())
	})
}
