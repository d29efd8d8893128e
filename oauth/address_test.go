package oauth_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/policy"
)

// TestAddressWithoutPort tests a RemoteAddr without a port, as a middleware such as
// chi's RealIP and an adaptor such as AWS Lambda's set it.
func TestAddressWithoutPort(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) {
		s.config.Policy = policy.AllowAddresses(netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("fe80::/10"))
	})
	for _, tc := range []struct {
		remote  string
		allowed bool
	}{
		{"192.0.2.7:4711", true},
		{"192.0.2.7", true},
		{"::ffff:192.0.2.7", true},
		{"2001:db8::7", true},
		{"[2001:db8::7]", true},
		{"[2001:db8::7]:4711", true},
		{"fe80::7%eth0", true},
		{"[fe80::7%eth0]", true},
		{"198.51.100.7", false},
		{"2001:db9::7", false},
		{"192.0.2.7:", false},
		{"192.0.2.7:http", false},
		{"[192.0.2.7]", false},
		{"[2001:db8::7", false},
		{"2001:db8::7]", false},
		{"192.0.2.7, 192.0.2.8", false},
		{"192.0.2", false},
		{"localhost", false},
		{"@", false},
		{"", false},
	} {
		t.Run(tc.remote, func(t *testing.T) {
			w := w.at(t)
			a := w.from(tc.remote, w.key.ID, w.secret)
			if !tc.allowed {
				w.refused(a, http.StatusBadRequest, "unauthorized_client")
				return
			}
			require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
		})
	}
}

func TestBudgetsOfAddressesWithoutPort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wrong := typo(w.secret)
	status := http.StatusUnauthorized
	for range 200 {
		status = w.from("192.0.2.7", w.key.ID, wrong).StatusCode
	}
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, http.StatusTooManyRequests, w.from("192.0.2.7:4711", w.key.ID, wrong).StatusCode, "the same client")
	w.refused(w.from("192.0.2.8", w.key.ID, wrong), http.StatusUnauthorized, "invalid_client")
}

// TestForwardedBracketsWithoutPort tests an IPv6 address in brackets without a
// port, which some proxies write.
func TestForwardedBracketsWithoutPort(t *testing.T) {
	t.Parallel()
	addr := oauth.BehindProxies(netip.MustParsePrefix("10.0.0.0/8"))
	for _, remote := range []string{"10.0.0.1:80", "10.0.0.1"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = remote
		r.Header.Set("X-Forwarded-For", "[2001:db8::7]")
		require.Equal(t, "2001:db8::7", addr(r).String())
	}
}

// TestNoAddressIsLoggedOnce tests that a missing address is logged, since it
// explains why every rule by address refuses.
func TestNoAddressIsLoggedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.Equal(t, http.StatusOK, w.from("192.0.2.7", w.key.ID, w.secret).StatusCode)
	require.NotContains(t, w.log.String(), "ClientAddr")
	for range 3 {
		require.Equal(t, http.StatusOK, w.from("/run/app.sock", w.key.ID, w.secret).StatusCode)
	}
	r := httptest.NewRequest(http.MethodPost, "/api/introspect", strings.NewReader(w.grant("token", "x")))
	r.Header.Set("Content-Type", form)
	r.RemoteAddr = ""
	w.Introspection().ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, 1, strings.Count(w.log.String(), "ClientAddr"), w.log.String())
	require.NotContains(t, w.log.String(), "app.sock", "the text of RemoteAddr is not trusted")
}
