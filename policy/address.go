package policy

import (
	"context"
	"net/netip"
	"slices"
)

// AllowAddresses lets keys be used only by clients whose address lies in one of
// the prefixes; without prefixes, or from an address the host does not name,
// to nobody. IPv4 addresses and prefixes written as IPv6 (::ffff:192.0.2.1)
// count as IPv4; an address's zone is ignored; an invalid prefix holds no
// address. It says nothing about who may manage keys.
func AllowAddresses(prefixes ...netip.Prefix) Policy {
	prefixes = slices.Clone(prefixes)
	for i, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			prefixes[i] = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
	}
	return TokenFunc(func(_ context.Context, r *TokenRequest) error {
		// The zone goes since a prefix cannot name one.
		address := r.Address.Unmap().WithZone("")
		for _, p := range prefixes {
			if p.Contains(address) {
				return nil
			}
		}
		return &Denied{Rule: "allow_addresses", Reason: "This network address is not allowed."}
	})
}

// network is what counts as one client: an IPv4 address, or the /64 of an
// IPv6 address, since one client has all of those. It is invalid for an
// invalid address.
func network(address netip.Addr) netip.Prefix {
	address = address.Unmap()
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(address, bits).Masked() // which drops a zone
}
