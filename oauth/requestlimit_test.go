package oauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

var noContent = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

// from is a request of a key that has passed a guard.
func from(ctx context.Context, key, workspace string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	return r.WithContext(bearer.WithPrincipal(ctx, &bearer.Principal{KeyID: key, Workspace: workspace}))
}

// ask sends one such request through a limit. Only one that passes reaches the handler.
func ask(t testing.TB, limit *oauth.RequestLimiter, key, workspace string) answer {
	return through(t, limit, from(t.Context(), key, workspace))
}

func through(t testing.TB, limit *oauth.RequestLimiter, r *http.Request) answer {
	t.Helper()
	reached := false
	a := harness.Serve(limit.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached = true
		noContent(w, r)
	})), r)
	require.Equal(t, a.StatusCode == http.StatusNoContent, reached)
	return a
}

func perMinute(n int) policy.Rate { return policy.Rate{Limit: n, Per: time.Minute} }

// fields returns the fields RateLimit-Policy and RateLimit of an answer.
func fields(a answer) [2]string {
	return [2]string{strings.Join(a.Header.Values("RateLimit-Policy"), ", "), strings.Join(a.Header.Values("RateLimit"), ", ")}
}

func TestLimitRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	limit := w.LimitRequests(oauth.RequestLimit{Key: policy.Rate{Limit: 6, Per: time.Minute, Burst: 2}, Workspace: perMinute(3)})
	mux := http.NewServeMux()
	mux.Handle("GET /any", w.Require("project.list").AnyWorkspace()(limit.Handler(noContent)))
	loginOfNew := func(workspace, permissions string) string {
		key, secret := w.newKey(workspace, permissions)
		return w.login(key.ID, secret)
	}
	first, second := w.login(w.key.ID, w.secret), loginOfNew("team-a", "project.list")
	send := func(token string) answer {
		return serve(mux, http.MethodGet, "/any", "", "Authorization", "Bearer "+token)
	}
	policies := `"key";q=2;w=20, "workspace";q=3;w=60`
	passes := func(token, limits string) {
		t.Helper()
		a := send(token)
		require.Equal(t, http.StatusNoContent, a.StatusCode, a.Body)
		require.Equal(t, [2]string{policies, limits}, fields(a))
	}
	refused := func(token, limits, after, text string) {
		t.Helper()
		a := send(token)
		w.refused(a, http.StatusTooManyRequests, "temporarily_unavailable")
		require.Equal(t, [2]string{policies, limits}, fields(a))
		require.Equal(t, after, a.Header.Get("Retry-After"))
		require.Contains(t, a.Description(), text)
	}
	passes(first, `"key";r=1;t=10, "workspace";r=2;t=40`)
	passes(first, `"key";r=0;t=10, "workspace";r=1;t=20`)
	for range 5 { // what the key's bound refuses is not taken from the workspace
		refused(first, `"key";r=0;t=10`, "10", "this API key")
	}
	passes(second, `"key";r=1;t=10, "workspace";r=0;t=20`)
	refused(second, `"workspace";r=0;t=20`, "20", "this workspace")
	refused(second, `"key";r=0;t=10`, "10", "this API key") // the refusal before has been counted for the key
	w.clock.Advance(10 * time.Second)
	refused(first, `"workspace";r=0;t=10`, "10", "this workspace")
	w.clock.Advance(10 * time.Second) // the time that Retry-After named
	passes(first, `"key";r=0;t=10, "workspace";r=0;t=20`)
	t.Run("401 and 403 come first and are not counted", func(t *testing.T) {
		other := loginOfNew("team-b", "project.read")
		for range 5 {
			require.Equal(t, http.StatusForbidden, send(other).StatusCode)
			a := send("x")
			require.Equal(t, http.StatusUnauthorized, a.StatusCode)
			require.Empty(t, fields(a)[0])
		}
		passes(loginOfNew("team-b", "project.list"), `"key";r=1;t=10, "workspace";r=2;t=40`)
	})
	require.Contains(t, w.log.String(), "requests_by_workspace")
}

func TestLimitRequestsDirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) { s.config.SecretForms.Header = "X-API-Key" })
	key, secret := w.newDirect("team-a", "project.list")
	limit := w.LimitRequests(oauth.RequestLimit{Key: perMinute(4)})
	guarded := w.Require("project.list").OrSecret().AnyWorkspace()(limit.Handler(noContent))
	token := w.login(key.ID, secret)
	t.Run("B32 a token and a secret of one key count alike", func(t *testing.T) {
		for i, headers := range [][]string{
			{"Authorization", "Bearer " + token}, {"X-API-Key", secret}, {"Authorization", "Bearer " + secret}, {"X-API-Key", secret},
			{"Authorization", "Bearer " + token}, {"X-API-Key", secret},
		} {
			want := http.StatusNoContent
			if i >= 4 {
				want = http.StatusTooManyRequests
			}
			require.Equal(t, want, serve(guarded, http.MethodGet, "/", "", headers...).StatusCode, i)
		}
	})
}

// TestLimitRequestsExactly tests that of many concurrent requests to three replicas
// exactly a burst passes, of each key and of each workspace.
func TestLimitRequestsExactly(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	var replicas []*oauth.RequestLimiter
	for range 3 {
		w := newWorld(t, func(s *setup) { s.store = st })
		replicas = append(replicas, w.LimitRequests(oauth.RequestLimit{Key: perMinute(30), Workspace: perMinute(50)}))
	}
	const keys, each = 3, 80
	var passed [keys]atomic.Int32
	var wg sync.WaitGroup
	for i := range keys * each {
		wg.Go(func() {
			key := i % keys
			a := ask(t, replicas[i/keys%len(replicas)], fmt.Sprintf("key-%d", key), "team-a")
			switch a.StatusCode {
			case http.StatusNoContent:
				passed[key].Add(1)
			case http.StatusTooManyRequests:
			default:
				t.Errorf("status %d", a.StatusCode)
			}
		})
	}
	wg.Wait()
	total := int32(0)
	for i := range passed {
		require.LessOrEqual(t, passed[i].Load(), int32(30))
		total += passed[i].Load()
	}
	require.EqualValues(t, 50, total)
}

func TestLimitRequestsSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) { s.config.APIKeys.DefaultRules.KeyRequests = 7 })
	limit := w.LimitRequests(oauth.RequestLimit{Settings: true})
	coded := w.LimitRequests(oauth.RequestLimit{Name: "coded", Key: policy.Rate{Limit: 10, Per: time.Second, Burst: 5}, Settings: true})
	policyOf := func(limit *oauth.RequestLimiter) string {
		a := ask(t, limit, w.key.ID, w.key.Workspace)
		require.Equal(t, http.StatusNoContent, a.StatusCode, a.Body)
		return fields(a)[0]
	}
	saved := func(rules store.Rules) {
		in, err := w.APIKeys().Settings(t.Context(), admin)
		require.NoError(t, err)
		in.Rules = rules
		_, err = w.APIKeys().SaveSettings(t.Context(), admin, in)
		require.NoError(t, err)
	}
	own := func(rules store.Rules) {
		ws, _, err := w.APIKeys().Workspace(t.Context(), admin, w.key.Workspace)
		require.NoError(t, err)
		ws.Rules = rules
		_, err = w.APIKeys().SaveWorkspace(t.Context(), admin, ws)
		require.NoError(t, err)
	}
	require.Equal(t, `"key";q=7;w=60`, policyOf(limit), "Options.DefaultRules, until settings are saved")
	require.Equal(t, `"coded-key";q=5;w=43`, policyOf(coded), "the lower rate and the smaller burst")
	saved(store.Rules{})
	require.Empty(t, policyOf(limit), "no bound")
	require.Equal(t, `"coded-key";q=5;w=1`, policyOf(coded))
	saved(store.Rules{KeyRequests: 2, WorkspaceRequests: 6000})
	require.Equal(t, `"key";q=2;w=60, "workspace";q=6000;w=60`, policyOf(limit), "at the next request")
	policyOf(limit)
	require.Equal(t, http.StatusTooManyRequests, ask(t, limit, w.key.ID, w.key.Workspace).StatusCode)
	require.Equal(t, `"coded-key";q=2;w=60, "coded-workspace";q=6000;w=60`, policyOf(coded))
	own(store.Rules{KeyRequests: 4})
	require.Equal(t, `"key";q=4;w=60, "workspace";q=6000;w=60`, policyOf(limit), "the workspace's own overrides, upwards too")
	other, _ := w.newKey("team-b", "project.list")
	require.Equal(t, `"key";q=2;w=60, "workspace";q=6000;w=60`, fields(ask(t, limit, other.ID, "team-b"))[0], "others keep the instance's")
	own(store.Rules{KeyRequests: store.Unlimited, WorkspaceRequests: store.Unlimited})
	require.Empty(t, policyOf(limit))
	require.Equal(t, `"coded-key";q=5;w=1`, policyOf(coded), "settings cannot raise the code's")
	saved(store.Rules{KeyRequests: 1 << 40})
	own(store.Rules{})
	require.Equal(t, `"key";q=60000000;w=60`, policyOf(limit))
}

// TestLimitRequestsReads tests that with a cache no request reads the store, and without
// one each request once, and only if the limit uses settings.
func TestLimitRequestsReads(t *testing.T) {
	t.Parallel()
	st, tapped := harness.NewTap()
	cached, err := cache.New(st, cache.Config{Bound: time.Minute, Logger: quiet})
	require.NoError(t, err)
	plain := newWorld(t, func(s *setup) { s.store = st })
	quick := newWorld(t, func(s *setup) { s.store = cached.Store() })
	quick.run(cached)
	for _, c := range []struct {
		name  string
		limit *oauth.RequestLimiter
		reads int
	}{
		{"from code", plain.LimitRequests(oauth.RequestLimit{Key: perMinute(100)}), 0},
		{"from settings", plain.LimitRequests(oauth.RequestLimit{Key: perMinute(100), Settings: true}), 10},
		{"from settings, cached", quick.LimitRequests(oauth.RequestLimit{Key: perMinute(100), Settings: true}), 0},
	} {
		ask(t, c.limit, plain.key.ID, "team-a")
		tapped.Take()
		for range 10 {
			require.Equal(t, http.StatusNoContent, ask(t, c.limit, plain.key.ID, "team-a").StatusCode)
		}
		require.Equal(t, c.reads, tapped.Take()["Keys.Lookup"], c.name)
	}
}

// TestLimitRequestsNames tests which limits share their counts.
func TestLimitRequestsNames(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	w := newWorld(t, func(s *setup) { s.store = st })
	one := oauth.RequestLimit{Key: perMinute(1)}
	first := w.LimitRequests(one)
	require.Equal(t, http.StatusNoContent, ask(t, first, "a", "a").StatusCode)
	require.Equal(t, http.StatusTooManyRequests, ask(t, w.LimitRequests(one), "a", "a").StatusCode, "the same limit, mounted twice")
	require.Equal(t, http.StatusNoContent, ask(t, w.LimitRequests(oauth.RequestLimit{Name: "search", Key: perMinute(1)}), "a", "a").StatusCode)
	require.Equal(t, http.StatusNoContent, ask(t, w.LimitRequests(oauth.RequestLimit{Workspace: perMinute(1)}), "a", "a").StatusCode, "a workspace with the id of a key")
	require.Equal(t, http.StatusNoContent, ask(t, w.LimitRequests(oauth.RequestLimit{Key: perMinute(2)}), "a", "a").StatusCode, "another size")
	// A limit of logins with the same sizes on the same limiter.
	logins := policy.RateLimit(policy.RateLimitConfig{Limit: 1, Per: time.Minute, Limiter: st.Limiter})
	require.NoError(t, logins.CheckToken(t.Context(), &policy.TokenRequest{Now: w.clock.Now(), Key: &store.Key{ID: "a", Workspace: "a"}}))
	t.Run("two limits on one route", func(t *testing.T) {
		second := policy.Rate{Limit: 1, Per: time.Second}
		inner := w.LimitRequests(oauth.RequestLimit{Name: "fast", Key: second})
		both := w.LimitRequests(oauth.RequestLimit{Name: "slow", Key: perMinute(5)}).Handler(inner.Handler(noContent))
		a := harness.Serve(both, from(t.Context(), "b", "b"))
		require.Equal(t, [2]string{`"slow-key";q=5;w=60, "fast-key";q=1;w=1`, `"slow-key";r=4;t=48, "fast-key";r=0;t=1`}, fields(a))
		a = harness.Serve(both, from(t.Context(), "b", "b"))
		require.Equal(t, http.StatusTooManyRequests, a.StatusCode)
		require.Equal(t, `"fast-key";r=0;t=1`, fields(a)[1], "only the one that Retry-After is about")
	})
}

func TestLimitRequestsMisuse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("no principal: nothing passes", func(t *testing.T) {
		limit := w.LimitRequests(oauth.RequestLimit{Key: perMinute(10), ReportOnly: func(context.Context, policy.Trial) {}})
		a := through(t, limit, httptest.NewRequest(http.MethodGet, "/", nil))
		w.refused(a, http.StatusInternalServerError, "server_error")
		require.Contains(t, w.log.String(), "found no principal")
	})
	none := memstore.New()
	none.Limiter = nil
	for _, c := range []struct {
		name  string
		on    *world
		limit oauth.RequestLimit
		wants []string
	}{
		{"the zero value", w, oauth.RequestLimit{}, []string{"Key, Workspace and Settings are not set"}},
		{"all wrong", w, oauth.RequestLimit{Key: policy.Rate{Limit: -1}, Workspace: policy.Rate{Per: -1}, Name: "a/b", OnOutage: 9},
			[]string{"Key: Limit: -1", "Per: 0s", "Workspace: Limit: 0", "Name: ", "OnOutage: 9"}},
		{"no limiter", newWorld(t, func(s *setup) { s.store = none }), oauth.RequestLimit{Settings: true}, []string{"Store.Limiter is missing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, want := range c.wants {
				require.Contains(t, fmt.Sprint(panicOf(func() { c.on.LimitRequests(c.limit) })), want)
			}
		})
	}
	require.NotNil(t, panicOf(func() { w.LimitRequests(oauth.RequestLimit{Settings: true}).Handler(nil) }))
}

func panicOf(do func()) (p any) {
	defer func() { p = recover() }()
	do()
	return nil
}

// brokenLimiter fails or hangs.
type brokenLimiter struct{ hangs bool }

func (l brokenLimiter) Advance(ctx context.Context, _ string, _ time.Time, _, _ time.Duration) (time.Duration, bool, error) {
	if l.hangs {
		<-ctx.Done()
		return 0, false, ctx.Err()
	}
	return 0, false, fmt.Errorf("driver: no such script")
}

func TestLimitRequestsOutage(t *testing.T) {
	t.Parallel()
	st, tapped := harness.NewTap()
	down := func(context.Context, string) error { return store.ErrUnavailable }
	for _, c := range []struct {
		name     string
		limiter  store.Limiter
		settings bool
	}{
		{"B19 the limiter fails", brokenLimiter{}, false},
		{"B19 the limiter hangs", brokenLimiter{hangs: true}, false},
		{"B19 the settings cannot be read", st.Limiter, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				broken := st
				broken.Limiter = c.limiter
				w := newWorld(t, inMemory, func(s *setup) { s.store, s.config.LoginTimeout = broken, 0 })
				limit := oauth.RequestLimit{Key: perMinute(10), Settings: c.settings}
				if c.settings {
					tapped.Before(down)
					defer tapped.Before(nil)
				}
				began := time.Now()
				a := ask(t, w.LimitRequests(limit), w.key.ID, "team-a")
				w.refused(a, http.StatusServiceUnavailable, "temporarily_unavailable")
				require.LessOrEqual(t, time.Since(began), oauth.DefaultLoginTimeout())
				require.Contains(t, w.log.String(), "failed because the store or another service is unavailable")

				limit.OnOutage = policy.OutageAllow
				require.Equal(t, http.StatusNoContent, ask(t, w.LimitRequests(limit), w.key.ID, "team-a").StatusCode)
				require.Contains(t, w.log.String(), "a request passed without its limit")
				limit.ReportOnly = func(context.Context, policy.Trial) { t.Error("with OutageAllow the limit would not have refused") }
				require.Equal(t, http.StatusNoContent, ask(t, w.LimitRequests(limit), w.key.ID, "team-a").StatusCode)
				limit.ReportOnly = nil

				ended, cancel := context.WithCancel(t.Context())
				cancel()
				a = harness.Serve(w.LimitRequests(limit).Handler(noContent), from(ended, w.key.ID, "team-a"))
				require.Equal(t, http.StatusServiceUnavailable, a.StatusCode, "a client that closed the connection is no outage")

				var reported []policy.Trial
				limit.OnOutage, limit.ReportOnly = policy.OutageDeny, func(_ context.Context, t policy.Trial) { reported = append(reported, t) }
				require.Equal(t, http.StatusNoContent, ask(t, w.LimitRequests(limit), w.key.ID, "team-a").StatusCode)
				require.Len(t, reported, 1)
				require.True(t, store.IsOutage(reported[0].Err))
			})
		})
	}
	t.Run("OutageAllow does not lift the limit of a limiter that works", func(t *testing.T) {
		w := newWorld(t)
		limit := w.LimitRequests(oauth.RequestLimit{Key: perMinute(1), OnOutage: policy.OutageAllow})
		require.Equal(t, http.StatusNoContent, ask(t, limit, "a", "a").StatusCode)
		require.Equal(t, http.StatusTooManyRequests, ask(t, limit, "a", "a").StatusCode)
	})
}

// TestLimitRequestsOfAGoneKey: a guard may know a key for a moment after its deletion. That
// is no outage, and lifts no limit.
func TestLimitRequestsOfAGoneKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	limit := w.LimitRequests(oauth.RequestLimit{Key: perMinute(1), Settings: true, OnOutage: policy.OutageAllow})
	require.NoError(t, w.APIKeys().Delete(t.Context(), admin, w.key.ID, 0))
	require.Equal(t, http.StatusNoContent, ask(t, limit, w.key.ID, "team-a").StatusCode)
	require.Equal(t, http.StatusTooManyRequests, ask(t, limit, w.key.ID, "team-a").StatusCode)
}

func TestLimitRequestsReportOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var reported []string
	limit := w.LimitRequests(oauth.RequestLimit{Key: perMinute(2), ReportOnly: func(ctx context.Context, tr policy.Trial) {
		p, _ := bearer.PrincipalFrom(ctx)
		denied, ok := policy.AsDenied(tr.Err)
		require.True(t, ok)
		reported = append(reported, p.KeyID+" "+denied.Rule+" "+denied.RetryAfter.String())
	}})
	for range 4 {
		a := ask(t, limit, "a", "team-a")
		require.Equal(t, http.StatusNoContent, a.StatusCode)
		require.Empty(t, fields(a)[0]+fields(a)[1])
	}
	require.Equal(t, []string{"a requests_by_key 30s", "a requests_by_key 30s"}, reported)
}
