package console

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keyPage is the data of the page of a key.
type keyPage struct {
	Key     apikey.Key
	Found   string        // the id of the secret that led to the page; see findSecret
	Groups  []scope.Group // the key's permissions in the groups of the catalog
	Lost    []string      // permissions that are no longer in the catalog
	Raised  []string      // permissions that became admin permissions after they were granted
	Events  []store.Event
	Unused  string         // what is shown if the key has no last use
	Entries []trust.Issuer // the issuers that trusts can name
	workspaceInfo

	Counted          bool          // the store keeps the usage of keys
	Days             []store.Count // those of the last usageDays that have logins or refusals
	Logins, Refusals int           // in these days together; a direct use counts as a login
	// Uncounted means that the key was used in these days, but no use is counted yet:
	// Flush writes uses and counts one after the other.
	Uncounted bool
}

// usageDays is how many days of a key's usage are shown.
const usageDays = 30

func (s *call) showKey() error {
	ctx := s.r.Context()
	key, err := s.keys().Get(ctx, s.actor(), s.key())
	if err != nil {
		return err
	}
	catalog := s.keys().Catalog()
	page := keyPage{Key: key, Found: s.r.URL.Query().Get("found"), Unused: "Never", Entries: s.keys().TrustedIssuers(), Groups: groupsOf(catalog, key.Permissions.Minus(key.Withheld))}
	page.Lost = key.Permissions.Minus(catalog.All()).Names()
	page.Raised = key.Withheld.Intersect(catalog.All()).Names()
	if page.workspaceInfo, err = s.workspaceInfo(key.Workspace); err != nil {
		return err
	}
	to := s.keys().Now().UTC().Truncate(day).Add(day)
	page.Days, err = s.keys().Usage(ctx, s.actor(), key.ID, to.AddDate(0, 0, -usageDays), to)
	if page.Counted = err == nil; !page.Counted && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	for _, count := range page.Days {
		page.Logins += int(count.Logins)
		page.Refusals += int(count.Refusals)
	}
	page.Uncounted = page.Logins == 0 && s.keys().Now().Sub(key.LastUsed) < (usageDays-1)*day
	if page.Logins > 0 {
		page.Unused = "Not recorded yet"
	}
	events, err := s.keys().Events(ctx, s.actor(), store.EventQuery{Workspace: key.Workspace, Key: key.ID, Limit: 20})
	if err != nil {
		return err
	}
	page.Events = events.Events
	return s.show(http.StatusOK, "key", frame{Here: "keys", Title: key.Name, Workspace: key.Workspace, Data: page})
}

// soon is how long before its expiry a key is shown as "expires soon".
const soon = 14 * day

// State returns the text of a key's state.
func (f frame) State(k apikey.Key) string {
	switch ends := k.Standing.Expires; {
	case k.Standing.State == policy.StateKeysOff:
		return "keys off"
	case k.Standing.Live() && !ends.IsZero() && ends.Sub(f.now) < soon:
		return "expires soon"
	}
	return string(k.Standing.State)
}

// OwnExpiry returns a key's own expiry. For a date it shows the day only.
func (f frame) OwnExpiry(k apikey.Key) moment {
	m := f.When(k.NotAfter, "Never")
	if date, err := time.Parse(time.DateOnly, k.NotAfterText); err == nil {
		m.Day = date.Format(dayText)
		m.Text = m.Day
	}
	return m
}

// Expires returns when a key expires: at its own expiry, or earlier by the rules.
func (f frame) Expires(k apikey.Key) moment {
	if k.Standing.ByRules {
		return f.When(k.Standing.Expires, "")
	}
	return f.OwnExpiry(k)
}

// groupsOf returns the groups of the catalog with only the permissions in set.
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
