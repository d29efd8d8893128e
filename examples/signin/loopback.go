package signin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// onLoopback refuses requests that were not sent over loopback.
func onLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !overLoopback(r) {
			http.Error(w, "This console can be used only on the machine that it runs on. Open it there, at 127.0.0.1 or localhost.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// overLoopback reports whether a request was sent from this machine, to a loopback address
// and with a loopback name as its host. The name rules out requests through a proxy, and
// requests of a page whose own name leads to this address (DNS rebinding). If the addresses
// are unknown, overLoopback reports false.
func overLoopback(r *http.Request) bool {
	local, known := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !known {
		return false
	}
	// net/http sets an address with a port. Without one, a middleware took it from a
	// header, which any client can send.
	to, err := netip.ParseAddrPort(local.String())
	from, unknown := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || unknown != nil || !to.Addr().Unmap().IsLoopback() || !from.Addr().Unmap().IsLoopback() {
		return false
	}
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.Trim(name, "[]")
	addr, err := netip.ParseAddr(name)
	return strings.EqualFold(name, "localhost") || err == nil && addr.Unmap().IsLoopback()
}
