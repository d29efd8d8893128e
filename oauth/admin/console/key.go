package console

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keyPage is the data of the page of a key.
type keyPage struct {
	Key    apikey.Key
	Groups []scope.Group // the key's permissions in the groups of the catalog
	Lost   []string      // permissions that are no longer in the catalog
	Raised []string      // permissions that became admin permissions after they were granted
	Usage  *usage
	Events []store.Event
	May    bool         // the person may change keys here
	Off    policy.State // why no key of the workspace works now; empty if they work
	Unused string       // the text for a key without a last use
	// Uncounted says that the last use is in the days of Usage, but not in its counts:
	// Flush writes them one after the other.
	Uncounted bool
}

// usageDays is how many days of a key's usage are shown.
const usageDays = 30

// usage is how often a key logged in and was refused in the last days.
type usage struct {
	Days             []store.Count
	Logins, Refusals int
}

// showKey shows one key.
func (s *call) showKey() error {
	ctx := s.r.Context()
	key, err := s.keys().Get(ctx, s.actor(), s.key())
	if err != nil {
		return err
	}
	catalog := s.keys().Catalog()
	page := keyPage{Key: key, Unused: "Never", Groups: groupsOf(catalog, key.Permissions.Minus(key.Withheld))}
	page.Lost = key.Permissions.Minus(catalog.All()).Names()
	page.Raised = key.Withheld.Intersect(catalog.All()).Names()
	if page.Off, err = s.off(key.Workspace); err != nil {
		return err
	}
	grantable, err := s.keys().Grantable(ctx, s.actor(), key.Workspace)
	if err != nil {
		return err
	}
	page.May = grantable.Len() > 0
	if page.Usage, err = s.usage(key.ID); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	if page.Usage != nil {
		page.Uncounted = page.Usage.Logins == 0 && s.keys().Now().Sub(key.LastUsed) < (usageDays-1)*day
		if page.Usage.Logins > 0 {
			page.Unused = "Not written yet"
		}
	}
	events, err := s.keys().Events(ctx, s.actor(), store.EventQuery{Workspace: key.Workspace, Key: key.ID, Limit: 20})
	if err != nil {
		return err
	}
	page.Events = events.Events
	return s.show(http.StatusOK, "key", frame{Here: "keys", Title: key.Name, Workspace: key.Workspace, Data: page})
}

// usage reads the usage of a key.
func (s *call) usage(key string) (*usage, error) {
	to := s.keys().Now().UTC().Truncate(day).Add(day)
	days, err := s.keys().Usage(s.r.Context(), s.actor(), key, to.AddDate(0, 0, -usageDays), to)
	if err != nil {
		return nil, err
	}
	shown := usage{Days: days}
	for _, count := range days {
		shown.Logins += int(count.Logins)
		shown.Refusals += int(count.Refusals)
	}
	return &shown, nil
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
