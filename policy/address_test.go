package policy_test

import (
	"net/netip"
	"testing"

	"github.com/latchkey-go/latchkey/policy"
)

func TestAllowAddresses(t *testing.T) {
	prefixes := func(texts ...string) []netip.Prefix {
		var ps []netip.Prefix
		for _, text := range texts {
			ps = append(ps, netip.MustParsePrefix(text))
		}
		return ps
	}
	for _, c := range []struct {
		name    string
		allowed []netip.Prefix
		from    string
		passes  bool
	}{
		{"inside", prefixes("10.0.0.0/8", "192.0.2.0/24"), "192.0.2.7", true},
		{"outside", prefixes("10.0.0.0/8", "192.0.2.0/24"), "192.0.3.7", false},
		{"IPv4 written as IPv6", prefixes("192.0.2.0/24"), "::ffff:192.0.2.7", true},
		{"IPv4 written as IPv6, outside", prefixes("192.0.2.0/24"), "::ffff:192.0.3.7", false},
		{"prefix written as IPv6", prefixes("::ffff:192.0.2.0/120"), "192.0.2.7", true},
		{"both written as IPv6", prefixes("::ffff:192.0.2.0/120"), "::ffff:192.0.2.7", true},
		{"all of IPv6 holds no IPv4", prefixes("::/0"), "192.0.2.7", false},
		{"all of IPv6 holds no IPv4 written as IPv6", prefixes("::/0"), "::ffff:192.0.2.7", false},
		{"all of IPv4 holds no IPv6", prefixes("0.0.0.0/0"), "2001:db8::1", false},
		{"IPv6", prefixes("2001:db8::/32"), "2001:db8:1::1", true},
		{"a zone is ignored", prefixes("fe80::/10"), "fe80::1%eth0", true},
		{"host bits of the prefix are ignored", prefixes("192.0.2.99/24"), "192.0.2.7", true},
		{"unknown address", prefixes("0.0.0.0/0", "::/0"), "", false},
		{"no prefixes", nil, "192.0.2.7", false},
		{"invalid prefix", []netip.Prefix{{}}, "192.0.2.7", false},
		{"invalid prefix, unknown address", []netip.Prefix{{}}, "", false},
	} {
		t.Run("login: "+c.name, func(t *testing.T) {
			facts := login(aged(0, never))
			facts.Address = netip.Addr{}
			if c.from != "" {
				facts.Address = netip.MustParseAddr(c.from)
			}
			err := policy.AllowAddresses(c.allowed...).CheckToken(t.Context(), tokenRequest(facts))
			rule := "allow_addresses"
			if c.passes {
				rule = ""
			}
			checkDenied(t, err, rule, "")
		})
	}

	t.Run("later changes to the argument have no effect", func(t *testing.T) {
		mine := prefixes("10.0.0.0/8")
		p := policy.AllowAddresses(mine...)
		mine[0] = netip.MustParsePrefix("0.0.0.0/0")
		checkDenied(t, p.CheckToken(t.Context(), tokenRequest(login(aged(0, never)))), "allow_addresses", "")
	})

	nowhere, old := policy.AllowAddresses(), aged(99*day, never)
	runKeyCases(t, []keyCase{
		{name: "create", policy: nowhere, action: policy.ActionCreate, after: old},
		{name: "update", policy: nowhere, action: policy.ActionUpdate, before: old, after: renamed(old)},
		{name: "rotate", policy: nowhere, action: policy.ActionRotate, before: old, after: rotated(old)},
	})
}
