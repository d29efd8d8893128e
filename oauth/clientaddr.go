package oauth

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// BehindProxies returns a Config.ClientAddr for a server behind proxies with known
// addresses. It reads X-Forwarded-For from its end, skips every trusted proxy, and
// returns the first address that is not one of them: the address that connected to
// the outermost trusted proxy. It ignores the port of an address. If a request does
// not come from a trusted proxy, it returns the connection's address and ignores
// the header. If it comes to a malformed entry, or to the beginning of the header, it
// returns the trusted proxy that it skipped last. If the connection has no address, as over a Unix socket, it
// returns the zero Addr.
//
// RemoteAddr must be as net/http or an adaptor such as AWS Lambda's sets it, with a
// port or without. Do not put a middleware in front that rewrites it, such as chi's
// RealIP: it trusts a header that any client can set.
func BehindProxies(trusted ...netip.Prefix) func(*http.Request) netip.Addr {
	trusted = slices.Clone(trusted)
	for i, p := range trusted {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			trusted[i] = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
	}
	known := func(addr netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
	return func(r *http.Request) netip.Addr {
		addr := request.ConnectionAddr(r)
		// Several headers of one name are one list (RFC 9110, section 5.3).
		list := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
		for known(addr) {
			comma := strings.LastIndexByte(list, ',')
			before, ok := request.ParseAddr(list[comma+1:])
			if !ok { // the entry is malformed, or none is left
				return addr
			}
			addr, list = before, list[:max(comma, 0)]
		}
		return addr
	}
}
