package oauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
)

func TestBehindProxies(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:ffff::/48"), netip.MustParsePrefix("::ffff:172.16.0.0/108"), {},
	}
	for _, tc := range []struct {
		name, remote string
		forwarded    []string
		want         string // empty: invalid
	}{
		{"no proxy", "192.0.2.1:1234", nil, "192.0.2.1"},
		{"no proxy, a forged header", "192.0.2.1:1234", []string{"203.0.113.1"}, "192.0.2.1"},
		{"one proxy", "10.0.0.1:1", []string{"203.0.113.1"}, "203.0.113.1"},
		{"one proxy, a forged first entry", "10.0.0.1:1", []string{"198.51.100.1, 203.0.113.1"}, "203.0.113.1"},
		{"two proxies", "10.0.0.1:1", []string{"203.0.113.1, 10.9.9.9"}, "203.0.113.1"},
		{"two headers are one list", "10.0.0.1:1", []string{"198.51.100.1", "203.0.113.1,10.0.0.2"}, "203.0.113.1"},
		{"a forged proxy behind the client", "10.0.0.1:1", []string{"10.0.0.7, 203.0.113.1"}, "203.0.113.1"},
		{"only proxies", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"a proxy without the header", "10.0.0.1:1", nil, "10.0.0.1"},
		{"an empty header", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"unreadable at the end", "10.0.0.1:1", []string{"203.0.113.1, unknown"}, "10.0.0.1"},
		{"unreadable behind a proxy", "10.0.0.1:1", []string{"203.0.113.1, _hidden, 10.0.0.2"}, "10.0.0.2"},
		{"a trailing comma", "10.0.0.1:1", []string{"203.0.113.1,"}, "10.0.0.1"},
		{"with a port", "10.0.0.1:1", []string{"203.0.113.1:5678"}, "203.0.113.1"},
		{"IPv6 with a port", "10.0.0.1:1", []string{"[2001:db8::1]:5678"}, "2001:db8::1"},
		{"IPv6", "[2001:db8:ffff::1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"a zone", "10.0.0.1:1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"IPv4 written as IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:203.0.113.1"}, "203.0.113.1"},
		{"a prefix written as IPv6", "172.16.3.4:1", []string{"203.0.113.1"}, "203.0.113.1"},
		{"a Unix socket", "@", []string{"203.0.113.1"}, ""},
		{"nothing", "", nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tc.remote
			for _, value := range tc.forwarded {
				r.Header.Add("X-Forwarded-For", value)
			}
			got := oauth.BehindProxies(trusted...)(r)
			if tc.want == "" {
				require.False(t, got.IsValid())
				return
			}
			require.Equal(t, tc.want, got.String())
		})
	}
	t.Run("no proxies", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "192.0.2.1:1"
		r.Header.Set("X-Forwarded-For", "203.0.113.1")
		require.Equal(t, "192.0.2.1", oauth.BehindProxies()(r).String())
	})
	t.Run("the caller's slice is its own", func(t *testing.T) {
		mine := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		addr := oauth.BehindProxies(mine...)
		mine[0] = netip.MustParsePrefix("0.0.0.0/0")
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "192.0.2.1:1"
		r.Header.Set("X-Forwarded-For", "203.0.113.1")
		require.Equal(t, "192.0.2.1", addr(r).String())
	})
}

// FuzzForwardedFor tests that the address is the one that the outermost trusted
// proxy saw, whatever the client sends before the proxies' entries.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"", "203.0.113.1", "10.0.0.1, ::1", ",,,", "a\x00", "1.2.3.4:5", "[::1]:x", strings.Repeat("10.0.0.1,", 500)} {
		f.Add(seed, byte(1))
	}
	f.Fuzz(func(t *testing.T, sent string, proxies byte) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "10.0.0.1:1"
		list := sent + ",192.0.2.7"
		for i := range proxies % 5 {
			list += fmt.Sprintf(", 10.1.1.%d", i)
		}
		r.Header["X-Forwarded-For"] = []string{list}
		addr := oauth.BehindProxies(netip.MustParsePrefix("10.0.0.0/8"))
		if got := addr(r).String(); got != "192.0.2.7" {
			t.Fatalf("%q became %s", list, got)
		}
		r.Header["X-Forwarded-For"] = []string{sent}
		if got := addr(r); !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Fatalf("%q became %v", sent, got)
		}
		r.RemoteAddr = "192.0.2.9:1"
		if got := addr(r).String(); got != "192.0.2.9" {
			t.Fatalf("%q of a client that is not a proxy was read: %s", sent, got)
		}
	})
}
