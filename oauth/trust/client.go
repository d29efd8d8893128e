package trust

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// client returns the client that fetches the keys of the entry. Package bearer follows
// no redirect and keeps no cookies. If local is true, the URL is http and of a loopback host.
func (e *entry) client(local bool) *http.Client {
	dialer := net.Dialer{
		Timeout: fetchTimeout,
		// The address is checked when it is dialled, after every lookup. So it does not
		// matter how a URL writes it, and what a name server says the next time.
		Control: func(_, address string, _ syscall.RawConn) error {
			to, _ := netip.ParseAddrPort(address) //nolint:errcheck // the zero address is not allowed
			switch {
			case local && to.Addr().Unmap().IsLoopback():
				return nil
			case !isPublic(to.Addr()) && !(e.Private && isPrivate(to.Addr())):
				return errors.New("the address is not allowed")
			case !e.allowsPort(int(to.Port())):
				return errors.New("the port is not allowed")
			}
			return nil
		},
	}
	return &http.Client{Transport: &http.Transport{
		DialContext:            dialer.DialContext, // and no Proxy
		TLSClientConfig:        &tls.Config{RootCAs: e.RootCAs, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // so that the bound is on what is sent
		MaxResponseHeaderBytes: 16 << 10,
		IdleConnTimeout:        time.Minute,
	}}
}

func (e *entry) allowsPort(port int) bool { return port == 443 || slices.Contains(e.Ports, port) }

// isPublic reports whether an address is reachable from everywhere, by the registries of IANA for
// special-purpose addresses (RFC 6890).
func isPublic(a netip.Addr) bool {
	a = a.Unmap()
	if in(a, "64:ff9b::/96") { // RFC 6052: an IPv4 address for a translator
		b := a.As16()
		return isPublic(netip.AddrFrom4([4]byte(b[12:])))
	}
	if a.Is4() {
		return !in(a, "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
			"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
			"203.0.113.0/24", "224.0.0.0/3", // multicast, reserved and broadcast
			"168.63.129.16/32") // the host of a virtual machine in Azure
	}
	return a.Zone() == "" && in(a, "2000::/3") && // all that is assigned
		!in(a, "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20") // protocols such as Teredo, documentation, 6to4, documentation
}

// isPrivate reports whether an address is of the host's own network or the host itself, and not
// of a cloud's metadata service.
func isPrivate(a netip.Addr) bool {
	a = a.Unmap()
	return in(a, "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "::1/128", "fc00::/7") &&
		!in(a, "100.100.100.200/32", "fd00:ec2::/32", "fd20:ce::254/128", "fd00:42::42/128", "fd00:c1::a9fe:a9fe/128") // Alibaba Cloud, AWS, Google Cloud, Scaleway, Oracle Cloud
}

func in(a netip.Addr, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return netip.MustParsePrefix(p).Contains(a) })
}
