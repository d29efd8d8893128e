package console

import (
	"cmp"
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

// permissionGroup is a group of the catalog as a form offers it.
type permissionGroup struct {
	Title       string
	Permissions []permissionChoice
}

type permissionChoice struct {
	Name, Title, Description string
	Admin, Checked           bool
	// Foreign: the key holds it and this person may not grant it.
	Foreign bool
}

// choices offers what the person may grant, and what the key holds already, in
// the catalog's groups and order.
func choices(catalog *scope.Catalog, grantable, held, chosen scope.Set) []permissionGroup {
	var groups []permissionGroup
	for _, group := range catalog.Groups() {
		shown := permissionGroup{Title: group.Title}
		for _, p := range group.Permissions {
			if !grantable.Has(p.Name) && !held.Has(p.Name) {
				continue
			}
			shown.Permissions = append(shown.Permissions, permissionChoice{
				Name: p.Name, Title: cmp.Or(p.Title, p.Name), Description: p.Description, Admin: p.Level == scope.Admin,
				Checked: chosen.Has(p.Name), Foreign: !grantable.Has(p.Name),
			})
		}
		if len(shown.Permissions) > 0 {
			groups = append(groups, shown)
		}
	}
	return groups
}
