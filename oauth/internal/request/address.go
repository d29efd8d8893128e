// Package request reads what several HTTP packages read of a request, so that all
// read it in the same way: the client's address, the Authorization header, the
// Content-Type, the body within its bounds, and signed cursors.
package request

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// ParseAddr reads an IP address as servers, middlewares and proxies write it:
// with a port or without, an IPv6 address in brackets or without, with a zone
// or without. The zone is left out, and IPv4 written as IPv6 becomes IPv4.
func ParseAddr(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	withPort, err := netip.ParseAddrPort(text) // first, as net/http writes it
	addr := withPort.Addr()
	if err != nil {
		addr, err = netip.ParseAddr(text)
	}
	if inner, opens := strings.CutPrefix(text, "["); err != nil && opens && strings.HasSuffix(inner, "]") {
		// RFC 3986, section 3.2.2: brackets are for IPv6.
		if addr, err = netip.ParseAddr(inner[:len(inner)-1]); !addr.Is6() {
			return netip.Addr{}, false
		}
	}
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true
}

// ConnectionAddr returns the address in a request's RemoteAddr, or the zero Addr if
// there is none.
func ConnectionAddr(r *http.Request) netip.Addr {
	addr, _ := ParseAddr(r.RemoteAddr)
	return addr
}

// IsLoopback reports whether host is this machine: localhost or a loopback
// address, without brackets and port.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// Clients finds the address of a request's client. It is safe for concurrent use.
type Clients struct {
	addr    func(*http.Request) netip.Addr
	log     *slog.Logger
	missing sync.Once
}

// NewClients returns Clients that ask addr, a function of the host's; nil is
// ConnectionAddr.
func NewClients(addr func(*http.Request) netip.Addr, log *slog.Logger) *Clients {
	if addr == nil {
		addr = ConnectionAddr
	}
	return &Clients{addr: addr, log: log}
}

// Addr returns the address of a request's client. The first request without
// one is logged.
func (c *Clients) Addr(r *http.Request) netip.Addr {
	addr := c.addr(r)
	if !addr.IsValid() {
		c.missing.Do(func() {
			c.log.WarnContext(r.Context(), "a request came without its client's address: rules by address refuse such requests, and limits by address count all of them as one client; "+
				"see that RemoteAddr holds an address, or set Config.ClientAddr")
		})
	}
	return addr
}
