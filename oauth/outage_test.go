package oauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

func TestOutage(t *testing.T) {
	t.Parallel()
	st, tapped := harness.NewTap()
	var limiter failingLimiter
	var workspaces error
	deny := policy.RateLimit(policy.RateLimitConfig{Limit: 1000, Per: time.Second, Limiter: &limiter})
	w := newWorld(t, func(s *setup) {
		s.store = st
		s.config.Policy = deny
		s.config.APIKeys.Workspaces = func(context.Context, string) (bool, error) { return true, workspaces }
	})
	token := w.login(w.key.ID, w.secret)
	_, foreign := w.newKey("team-b", "")
	fails := func(err error) func(context.Context, string) error {
		return func(context.Context, string) error { return err }
	}
	reset := func() { tapped.Before(nil); limiter.err = nil; workspaces = nil }
	for _, tc := range []struct {
		name    string
		disrupt func()
	}{
		{"store down", func() { tapped.Before(fails(fmt.Errorf("driver: %w", store.ErrUnavailable))) }},
		{"store fails with its own error", func() { tapped.Before(fails(errors.New("canary: SELECT * FROM keys"))) }},
		{"the rate limiter is down", func() { limiter.err = errors.New("canary: down") }},
		{"the host's Workspaces fails", func() { workspaces = errors.New("canary: down") }},
	} {
		t.Run("B19 "+tc.name, func(t *testing.T) {
			w := w.at(t)
			defer reset()
			tc.disrupt()
			a := w.post(w.grant())
			w.refused(a, http.StatusServiceUnavailable, "temporarily_unavailable")
			require.NotContains(t, a.Body, "canary")
			reset()
			w.login(w.key.ID, w.secret) // it recovers by itself
		})
	}
	t.Run("B19 a wrong secret is not invalid_client while the store is unavailable", func(t *testing.T) {
		w := w.at(t)
		defer reset()
		tapped.Before(fails(store.ErrUnavailable))
		w.refused(w.post(cc, basic(w.key.ID, foreign)...), http.StatusServiceUnavailable, "temporarily_unavailable")
		w.refused(w.post(cc, basic("unknown", foreign)...), http.StatusServiceUnavailable, "temporarily_unavailable")
	})
	t.Run("B19 a guard refuses what it cannot check", func(t *testing.T) {
		w := w.at(t)
		defer reset()
		tapped.Before(fails(store.ErrUnavailable))
		a := w.send(http.MethodGet, "/any", "", "Authorization", "Bearer "+token)
		require.Equal(t, http.StatusServiceUnavailable, a.StatusCode)
		require.NotEmpty(t, a.Header.Get("Retry-After"))
	})
	t.Run("B19 the documents are still served", func(t *testing.T) {
		w := w.at(t)
		defer reset()
		tapped.Before(fails(store.ErrUnavailable))
		require.Equal(t, http.StatusOK, w.send(http.MethodGet, "/.well-known/jwks.json", "").StatusCode)
		require.Equal(t, http.StatusOK, w.send(http.MethodGet, "/.well-known/oauth-authorization-server", "").StatusCode)
	})
	t.Run("B19 a store without epochs of a key ends its tokens", func(t *testing.T) {
		w := w.at(t)
		defer reset()
		tapped.Before(fails(store.ErrNotFound))
		require.Equal(t, http.StatusUnauthorized, w.call(token))
	})
	t.Run("B19 failures are counted without the store", func(t *testing.T) {
		w := w.at(t)
		defer reset()
		limiter.err = errors.New("down")
		w.refused(w.post(cc, basic(w.key.ID, foreign)...), http.StatusUnauthorized, "invalid_client")
	})
}

// TestHangingStore tests that a request waits for a store that hangs for
// LoginTimeout, and no longer.
func TestHangingStore(t *testing.T) {
	for _, tc := range []struct{ set, want time.Duration }{{0, 900 * time.Millisecond}, {3 * time.Second, 3 * time.Second}} {
		t.Run("B19 "+tc.want.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, tapped := harness.NewTap()
				w := newWorld(t, inMemory, func(s *setup) { s.store = st; s.config.LoginTimeout = tc.set })
				login := func() answer { return serve(w.Token(), http.MethodPost, "/api/login", w.grant()) }
				tapped.Before(harness.Hang)
				began := time.Now()
				w.refused(login(), http.StatusServiceUnavailable, "temporarily_unavailable")
				require.Equal(t, tc.want, time.Since(began))
				tapped.Before(nil)
				require.Equal(t, http.StatusOK, login().StatusCode, "it recovers by itself")
			})
		})
	}
}

// TestAnOutageOfTheHostIsNoDecision tests that the response is 503 if a hook's
// error says that something is unavailable, whatever else the error wraps.
func TestAnOutageOfTheHostIsNoDecision(t *testing.T) {
	t.Parallel()
	var tokens, claims, workspaces error
	w := newWorld(t, func(s *setup) {
		s.config.Policy = policy.TokenFunc(func(context.Context, *policy.TokenRequest) error { return tokens })
		s.config.Claims = func(context.Context, *apikey.Grant) (map[string]any, error) { return nil, claims }
		s.config.APIKeys.Workspaces = func(context.Context, string) (bool, error) { return true, workspaces }
	})
	down := fmt.Errorf("canary: %w", store.ErrUnavailable)
	for hook, says := range map[string]*error{"a policy": &tokens, "claims": &claims, "the workspace": &workspaces} {
		for name, err := range map[string]error{
			"wrapped":                     down,
			"in a denial":                 &policy.Denied{Rule: "quota", Reason: "canary", Err: down},
			"in one to try again later":   &policy.Denied{Rule: "quota", RetryAfter: time.Hour, Err: down},
			"in one that calls it ended":  &policy.Denied{Rule: "quota", Expired: true, Err: down},
			"with wrong credentials":      errors.Join(apikey.ErrInvalidCredentials, down),
			"with a refused login":        errors.Join(&apikey.RefusedError{Reason: "disabled"}, down),
			"with a target":               errors.Join(&apikey.RefusedError{Reason: "resource"}, down),
			"a deadline":                  fmt.Errorf("canary: %w", context.DeadlineExceeded),
			"a deadline in a denial":      &policy.Denied{Rule: "quota", Err: context.DeadlineExceeded},
			"a query that was cancelled":  fmt.Errorf("canary: %w", context.Canceled),
			"a denial joined with outage": errors.Join(&policy.Denied{Rule: "quota"}, down),
		} {
			t.Run(hook+": "+name, func(t *testing.T) {
				w := w.at(t)
				*says = err
				a := w.post(w.grant())
				*says = nil
				w.refused(a, http.StatusServiceUnavailable, "temporarily_unavailable")
				require.NotContains(t, a.Body, "canary")
				require.Equal(t, "1", a.Header.Get("Retry-After"))
				w.login(w.key.ID, w.secret) // it recovers by itself
			})
		}
	}
	t.Run("claims that fail otherwise decide nothing about the client", func(t *testing.T) {
		w := w.at(t)
		claims = errors.Join(apikey.ErrInvalidCredentials, &policy.Denied{Rule: "quota"})
		defer func() { claims = nil }()
		w.refused(w.post(w.grant()), http.StatusInternalServerError, "server_error")
	})
}

// failingLimiter is a limiter that may be down.
type failingLimiter struct{ err error }

func (l *failingLimiter) Advance(context.Context, string, time.Time, time.Duration, time.Duration) (time.Duration, bool, error) {
	return 0, l.err == nil, l.err
}

// TestLoginTimeout tests that every request calls the store with a deadline.
// TestHangingStore tests that the request does not wait longer.
func TestLoginTimeout(t *testing.T) {
	t.Parallel()
	st, tapped := harness.NewTap()
	w := newWorld(t, func(s *setup) { s.store = st; s.config.LoginTimeout = 50 * time.Second })
	token := w.login(w.key.ID, w.secret)
	for name, ask := range map[string]func() answer{
		"login":         func() answer { return w.post(w.grant()) },
		"guard":         func() answer { return w.send(http.MethodGet, "/any", "", "Authorization", "Bearer "+token) },
		"revocation":    func() answer { return w.ask("/api/revoke", w.key.ID, w.secret, token) },
		"introspection": func() answer { return w.ask("/api/introspect", w.key.ID, w.secret, token) },
	} {
		t.Run("B19 "+name, func(t *testing.T) {
			var left atomic.Int64
			tapped.Before(func(ctx context.Context, _ string) error {
				deadline, _ := ctx.Deadline() // none is long ago
				left.Store(int64(time.Until(deadline)))
				return context.DeadlineExceeded
			})
			defer tapped.Before(nil)
			a := ask()
			require.Equal(t, http.StatusServiceUnavailable, a.StatusCode, a.Body)
			require.NotEmpty(t, a.Header.Get("Retry-After"))
			require.LessOrEqual(t, time.Duration(left.Load()), 50*time.Second)
			require.Positive(t, left.Load())
		})
	}
	require.Contains(t, w.log.String(), "failed because the store or another service is unavailable")
}

// TestHangUp tests that nothing is logged if the client closes the connection.
func TestHangUp(t *testing.T) {
	t.Parallel()
	st, tapped := harness.NewTap()
	w := newWorld(t, func(s *setup) { s.store = st })
	entered := make(chan struct{})
	tapped.Before(func(ctx context.Context, call string) error {
		close(entered)
		return harness.Hang(ctx, call)
	})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/api/login", strings.NewReader(w.grant()))
	require.NoError(t, err)
	r.Header.Set("Content-Type", form)
	go func() { <-entered; cancel() }()
	w.Token().ServeHTTP(discard{}, r)
	require.NotContains(t, w.log.String(), "level=ERROR")
}

// TestNothingIsWrittenAtLogin tests that a login writes nothing to the store: last
// uses wait for Flush.
func TestNothingIsWrittenAtLogin(t *testing.T) {
	t.Parallel()
	st, tapped := harness.NewTap()
	w := newWorld(t, func(s *setup) { s.store = st })
	tapped.Take()
	w.login(w.key.ID, w.secret)
	require.Zero(t, tapped.Take()["Upkeep.RecordUses"])
	require.NoError(t, w.APIKeys().Flush(t.Context()))
	require.Equal(t, 1, tapped.Take()["Upkeep.RecordUses"])
}
