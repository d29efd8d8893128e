package console

import (
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
)

// soon is how long before its expiry a key is marked.
const soon = 14 * day

// State is whether a key works, in a word or two.
func (f frame) State(k apikey.Key) string {
	switch ends := k.Standing.Ends; {
	case k.Standing.State == policy.StateKeysOff:
		return "keys off"
	case k.Standing.Live() && !ends.IsZero() && ends.Sub(f.now) < soon:
		return "expires soon"
	}
	return string(k.Standing.State)
}

// Expires is a key's own expiry. A date means to its end.
func (f frame) Expires(k apikey.Key) moment {
	m := f.When(k.NotAfter, "Never")
	if date, err := time.Parse(time.DateOnly, k.NotAfterText); err == nil {
		m.Day = date.Format(dayText)
		m.Text = m.Day
	}
	return m
}

// Ends is when a key ends: by its own expiry, or by the rules before it.
func (f frame) Ends(k apikey.Key) moment {
	if k.Standing.ByRules {
		return f.When(k.Standing.Ends, "")
	}
	return f.Expires(k)
}

// groupsOf are the groups of the catalog with the permissions of a set.
func groupsOf(catalog *scope.Catalog, set scope.Set) []scope.Group {
	var groups []scope.Group
	for _, group := range catalog.Groups() {
		group.Permissions = slices.DeleteFunc(slices.Clone(group.Permissions), func(p scope.Permission) bool { return !set.Has(p.Name) })
		if len(group.Permissions) > 0 {
			groups = append(groups, group)
		}
	}
	return groups
}
