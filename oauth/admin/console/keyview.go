package console

import (
	"cmp"
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keyView is a key as pages show it: everything but its digests.
type keyView struct {
	ID, Workspace, Name string
	State, Why          string // in words; set by rowOf
	Disabled            bool
	Permissions         []string
	Asked               []string // if it was given otherwise
	Resources           []string
	Created, Expires    moment
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

// rowOf is a key with what logins say of it.
func rowOf(k *store.Key, standing policy.Standing, now time.Time) keyView {
	v := viewOf(k, now)
	v.State, v.Why = string(standing.State), standing.Text
	switch {
	case standing.State == policy.KeysOff:
		v.State = "keys off"
	case standing.Live() && !standing.Ends.IsZero() && standing.Ends.Sub(now) < soon:
		v.State = "expires soon"
	}
	if standing.ByRules {
		v.Expires = momentOf(standing.Ends, now, "")
	}
	return v
}

func viewOf(k *store.Key, now time.Time) keyView {
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
