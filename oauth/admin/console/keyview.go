package console

import (
	"cmp"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
)

// keyView is a key as pages show it: everything but its digests.
type keyView struct {
	ID, Workspace, Name string
	State, Why          string // in words
	Disabled            bool
	Permissions         []string
	Asked               []string // if it was given otherwise
	Resources           []string
	Created, Expires    moment // its own expiry
	Ends                moment // by the rules, too
	LastUsed            moment
	By                  string
	Secrets             []secretView
	Version             int64
}

type secretView struct {
	ID, Hint          string
	Created, LastUsed moment
	Ends              moment
	Ended             bool
}

// soon is how long before its expiry a key is marked.
const soon = 14 * 24 * time.Hour

func viewOf(k *apikey.Key, now time.Time) keyView {
	v := keyView{
		ID: k.ID, Workspace: k.Workspace, Name: k.Name, Disabled: k.Disabled,
		Permissions: k.Permissions.Names(), Resources: k.Resources,
		Created: momentOf(k.Created, now, ""), Expires: momentOf(k.NotAfter, now, "Never"),
		LastUsed: momentOf(k.LastUsed, now, "Never"), By: actorText(k.CreatedBy), Version: k.Version,
	}
	if k.NotAfterText != "" { // a date means: to its end
		if day, err := time.Parse(time.DateOnly, k.NotAfterText); err == nil {
			v.Expires.Text = day.Format("2 Jan 2006")
			v.Expires.Day = v.Expires.Text
		}
	}
	if !k.Asked.Equal(k.Permissions) && k.Asked.Len() > 0 {
		v.Asked = k.Asked.Names()
	}
	v.State, v.Why = string(k.Standing.State), k.Standing.Text
	switch ends := k.Standing.Ends; {
	case k.Standing.State == policy.StateKeysOff:
		v.State = "keys off"
	case k.Standing.Live() && !ends.IsZero() && ends.Sub(now) < soon:
		v.State = "expires soon"
	}
	if v.Ends = v.Expires; k.Standing.ByRules {
		v.Ends = momentOf(k.Standing.Ends, now, "")
	}
	for _, secret := range k.Secrets {
		v.Secrets = append(v.Secrets, secretView{
			ID: secret.ID, Hint: secret.Hint, Created: momentOf(secret.Created, now, ""),
			LastUsed: momentOf(secret.LastUsed, now, "Never"), Ends: momentOf(secret.NotAfter, now, "With the key"),
			Ended: !secret.NotAfter.IsZero() && !now.Before(secret.NotAfter),
		})
	}
	return v
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
