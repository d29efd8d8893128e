package oauth

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// BehindProxies returns a Config.ClientAddr for a server behind proxies whose
// addresses are known. It walks X-Forwarded-For from its end, past every
// trusted proxy, to the first address that is not one of them: the address that
// connected to the outermost trusted proxy. A port behind an address is left out. A request that does
// not come from a trusted proxy counts with the connection's address, whatever
// its headers say; a header that cannot be read ends the walk at the last
// proxy that could be. A connection without an address, such as one over a
// Unix socket, has none here either.
//
// RemoteAddr must be as net/http or an adaptor such as AWS Lambda's sets it, with
// a port or without. Mount no middleware in front that rewrites it, such as chi's
// RealIP: it trusts a header that any client can write.
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
		lists := r.Header.Values("X-Forwarded-For")
		for i := len(lists) - 1; i >= 0; i-- {
			for rest, more := lists[i], true; more; {
				if !known(addr) {
					return addr
				}
				var hop string
				hop, rest, more = cutLast(rest)
				before, ok := request.ParseAddr(hop)
				if !ok {
					return addr
				}
				addr = before
			}
		}
		return addr
	}
}

// cutLast takes the last entry off a list.
func cutLast(list string) (last, rest string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return list, "", false
	}
	return list[i+1:], list[:i], true
}
