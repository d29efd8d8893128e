package policy

import (
	"context"
	"net/netip"
	"slices"
)

// AllowAddresses allows the use of a key only from client addresses in one of the
// prefixes. Without prefixes it allows none, and it denies a request whose address
// the host does not supply. IPv4 addresses and prefixes written as IPv6
// (::ffff:192.0.2.1) count as IPv4. The zone of an address is ignored. An invalid
// prefix contains no address. The management of keys is not restricted.
func AllowAddresses(prefixes ...netip.Prefix) Policy {
	prefixes = slices.Clone(prefixes)
	for i, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			prefixes[i] = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
	}
	return TokenFunc(func(_ context.Context, r *TokenRequest) error {
		// A prefix has no zone, so the address must have none.
		address := r.Address.Unmap().WithZone("")
		if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(address) }) {
			return nil
		}
		return &Denied{Rule: "allow_addresses", Reason: "This network address is not allowed."}
	})
}

// clientNetwork returns what counts as one client: an IPv4 address, or the /64 of an
// IPv6 address, since one client can use all of a /64. It is invalid for an invalid
// address.
func clientNetwork(address netip.Addr) netip.Prefix {
	address = address.Unmap()
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(address, bits).Masked() // which drops a zone
}
