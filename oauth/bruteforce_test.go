package oauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
)

// from sends a login whose client has the given address.
func (w *world) from(remote, id, secret string, headers ...string) answer {
	r := harness.Incoming(http.MethodPost, "/api/login", cc, append(headers, "Content-Type", form)...)
	r.RemoteAddr = remote
	r.SetBasicAuth(id, secret)
	return harness.Serve(w.Token(), r)
}

func TestBruteForce(t *testing.T) {
	t.Parallel()
	tries := harness.Rounds(120, 10_000)
	const attacker, elsewhere = "192.0.2.1:1", "198.51.100.1:1"
	proxy := netip.MustParsePrefix("10.0.0.0/8")
	fresh := func(t *testing.T) (*world, string) {
		t.Helper()
		w := newWorld(t, func(s *setup) { s.config.ClientAddr = oauth.BehindProxies(proxy) })
		_, foreign := w.newKey("team-b", "")
		return w, foreign
	}
	// drain spends the budget of an address for one key.
	drain := func(t *testing.T, w *world, remote, secret string, headers ...string) {
		t.Helper()
		for range 60 {
			w.refused(w.from(remote, w.key.ID, secret, headers...), http.StatusUnauthorized, "invalid_client")
		}
	}

	t.Run("6749-26 and B04 wrong secrets get 429 with Retry-After, then pass again", func(t *testing.T) {
		t.Parallel()
		w, foreign := fresh(t)
		drain(t, w, attacker, foreign)
		for range max(tries-60, 10) {
			a := w.from(attacker, w.key.ID, foreign)
			w.refused(a, http.StatusTooManyRequests, "temporarily_unavailable")
			require.Equal(t, "1", a.Header.Get("Retry-After"))
		}
		w.clock.Advance(time.Second)
		w.refused(w.from(attacker, w.key.ID, foreign), http.StatusUnauthorized, "invalid_client")
		w.refused(w.from(attacker, w.key.ID, foreign), http.StatusTooManyRequests, "temporarily_unavailable")
	})
	t.Run("B04 the victim logs in from anywhere, and mistypes elsewhere", func(t *testing.T) {
		t.Parallel()
		w, foreign := fresh(t)
		drain(t, w, attacker, foreign)
		require.Equal(t, http.StatusTooManyRequests, w.from(attacker, w.key.ID, foreign).StatusCode)
		require.Equal(t, http.StatusOK, w.from(elsewhere, w.key.ID, w.secret).StatusCode)
		require.Equal(t, http.StatusOK, w.from(attacker, w.key.ID, w.secret).StatusCode, "a right secret is never throttled")
		w.refused(w.from(elsewhere, w.key.ID, foreign), http.StatusUnauthorized, "invalid_client")
		w.refused(w.from(attacker, w.key.ID, foreign), http.StatusTooManyRequests, "temporarily_unavailable")
	})
	t.Run("B04 an address runs out whatever ids it tries", func(t *testing.T) {
		t.Parallel()
		w, foreign := fresh(t)
		for i := range 120 {
			w.refused(w.from(attacker, fmt.Sprint("id-", i), foreign), http.StatusUnauthorized, "invalid_client")
		}
		w.refused(w.from(attacker, "id-new", foreign), http.StatusTooManyRequests, "temporarily_unavailable")
	})
	t.Run("B04 a typo counts, and gets the same response", func(t *testing.T) {
		t.Parallel()
		w, _ := fresh(t)
		drain(t, w, attacker, "nonsense")
		w.refused(w.from(attacker, w.key.ID, "nonsense"), http.StatusTooManyRequests, "temporarily_unavailable")
	})
	t.Run("B04 X-Forwarded-For of a client that is not a proxy is ignored", func(t *testing.T) {
		t.Parallel()
		w, foreign := fresh(t)
		for i := range 60 {
			w.refused(w.from(attacker, w.key.ID, foreign, "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i)), http.StatusUnauthorized, "invalid_client")
		}
		a := w.from(attacker, w.key.ID, foreign, "X-Forwarded-For", "203.0.113.99", "Forwarded", "for=203.0.113.98", "X-Real-IP", "203.0.113.97")
		w.refused(a, http.StatusTooManyRequests, "temporarily_unavailable")
	})
	t.Run("B04 entries that a client puts before the proxy's entry are ignored", func(t *testing.T) {
		t.Parallel()
		w, foreign := fresh(t)
		for i := range 60 {
			w.refused(w.from("10.0.0.1:1", w.key.ID, foreign, "X-Forwarded-For", fmt.Sprintf("203.0.113.%d, 192.0.2.1", i)), http.StatusUnauthorized, "invalid_client")
		}
		w.refused(w.from("10.0.0.1:1", w.key.ID, foreign, "X-Forwarded-For", "203.0.113.99, 192.0.2.1"), http.StatusTooManyRequests, "temporarily_unavailable")
		w.refused(w.from("10.0.0.1:1", w.key.ID, foreign, "X-Forwarded-For", "198.51.100.1"), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("B04 an IPv6 client counts by its /64", func(t *testing.T) {
		t.Parallel()
		w, foreign := fresh(t)
		for i := range 60 {
			w.refused(w.from(fmt.Sprintf("[2001:db8:1:2:%x::1]:1", i), w.key.ID, foreign), http.StatusUnauthorized, "invalid_client")
		}
		w.refused(w.from("[2001:db8:1:2:ffff::1]:1", w.key.ID, foreign), http.StatusTooManyRequests, "temporarily_unavailable")
		w.refused(w.from("[2001:db8:1:3::1]:1", w.key.ID, foreign), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("B04 variants of an id share one counter", func(t *testing.T) {
		t.Parallel()
		w, foreign := fresh(t)
		variants := []string{w.key.ID, strings.ToUpper(w.key.ID), " " + w.key.ID, w.key.ID + " ", strings.ReplaceAll(w.key.ID, "-", "%2d")}
		for i := range 60 {
			w.refused(w.from(attacker, variants[i%len(variants)], foreign), http.StatusUnauthorized, "invalid_client")
		}
		for _, id := range variants {
			w.refused(w.from(attacker, id, foreign), http.StatusTooManyRequests, "temporarily_unavailable")
		}
	})
	t.Run("B04 a failure counts even if the client closes the connection", func(t *testing.T) {
		t.Parallel()
		w, foreign := fresh(t)
		for range 60 {
			r := harness.Incoming(http.MethodPost, "/api/login", cc, "Content-Type", form)
			r.RemoteAddr = attacker
			r.SetBasicAuth(w.key.ID, "nonsense")
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			w.Token().ServeHTTP(discard{}, r.WithContext(ctx))
		}
		w.refused(w.from(attacker, w.key.ID, foreign), http.StatusTooManyRequests, "temporarily_unavailable")
	})
	t.Run("B04 all unknown addresses count as one", func(t *testing.T) {
		t.Parallel()
		w, foreign := fresh(t)
		drain(t, w, "@", foreign)
		w.refused(w.from("", w.key.ID, foreign), http.StatusTooManyRequests, "temporarily_unavailable")
	})
}
