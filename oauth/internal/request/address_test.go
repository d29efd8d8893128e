package request_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

func TestParseAddr(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7":                  "192.0.2.7",
		"192.0.2.7:4711":             "192.0.2.7",
		" 192.0.2.7 ":                "192.0.2.7",
		"::ffff:192.0.2.7":           "192.0.2.7",
		"[::ffff:192.0.2.7]":         "192.0.2.7",
		"[::ffff:192.0.2.7]:1":       "192.0.2.7",
		"2001:db8::7":                "2001:db8::7",
		"[2001:db8::7]":              "2001:db8::7",
		"[2001:db8::7]:4711":         "2001:db8::7",
		"fe80::7%eth0":               "fe80::7",
		"[fe80::7%eth0]":             "fe80::7",
		"[fe80::7%eth0]:4711":        "fe80::7",
		"":                           "",
		"@":                          "",
		"/run/app.sock":              "",
		"unknown":                    "",
		"localhost":                  "",
		"localhost:80":               "",
		"192.0.2.7:":                 "",
		"192.0.2.7:x":                "",
		"192.0.2.7:65536":            "",
		"192.0.2.7, 192.0.2.8":       "",
		"192.0.2.7/32":               "",
		"[192.0.2.7]":                "",
		"[192.0.2.7]:80":             "",
		"[2001:db8::7":               "",
		"2001:db8::7]":               "",
		"[[2001:db8::7]]":            "",
		"[]":                         "",
		"[192.0.2.7:80]":             "",
		"[[2001:db8::7]:80]":         "",
		"192.0.2.07":                 "",
		"fe80::7%":                   "",
		"2001:db8::7\r\nX-Evil: yes": "",
	} {
		addr, ok := request.ParseAddr(text)
		require.Equal(t, want != "", ok, "%q: %v", text, addr)
		require.Equal(t, ok, addr.IsValid(), text)
		if ok {
			require.Equal(t, want, addr.String(), text)
		}
	}
}

// FuzzParseAddr tests that all spellings of an address give the same result.
func FuzzParseAddr(f *testing.F) {
	for _, seed := range []string{"192.0.2.7", "[::1]:80", "fe80::1%a", "::ffff:1.2.3.4", "[", "]", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		addr, ok := request.ParseAddr(text)
		if ok != addr.IsValid() || addr.Zone() != "" || addr.Is4In6() {
			t.Fatalf("%q became %v, %v", text, addr, ok)
		}
		if !ok {
			return
		}
		spellings := []string{addr.String(), netip.AddrPortFrom(addr, 80).String()}
		if addr.Is6() {
			spellings = append(spellings, "["+addr.String()+"]", addr.String()+"%zone")
		}
		for _, spelling := range spellings {
			if again, ok := request.ParseAddr(spelling); !ok || again != addr {
				t.Fatalf("%q became %v, and %q became %v", text, addr, spelling, again)
			}
		}
	})
}

func TestIsLoopback(t *testing.T) {
	for _, host := range []string{"localhost", "LocalHost", "127.0.0.1", "127.8.7.6", "::1", "::ffff:127.0.0.1"} {
		require.True(t, request.IsLoopback(host), host)
	}
	for _, host := range []string{"", "example.com", "localhost.example.com", "192.0.2.1", "0.0.0.0", "[::1]", "127.0.0.1:80", strings.Repeat("1", 500)} {
		require.False(t, request.IsLoopback(host), host)
	}
}
