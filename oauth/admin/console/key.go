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

// keyPage is everything about one key.
type keyPage struct {
	Key    apikey.Key
	Groups []scope.Group // what the key holds
	Gone   []string      // permissions that have left the catalog
	Raised []string      // permissions that became admin permissions since
	Usage  *usage
	Events []store.Event
	May    bool         // the person may change keys here
	Off    policy.State // why no key of its workspace works at the moment, if so
}

// usageDays is how many days of a key's use are shown.
const usageDays = 30

// usage is how often a key logged in and was refused of late, by day.
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
	page := keyPage{Key: key, Groups: groupsOf(catalog, key.Permissions.Minus(key.Withheld))}
	page.Gone = key.Permissions.Minus(catalog.All()).Names()
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
	events, err := s.keys().Events(ctx, s.actor(), store.EventQuery{Workspace: key.Workspace, Key: key.ID, Limit: 20})
	if err != nil {
		return err
	}
	page.Events = events.Events
	return s.show(http.StatusOK, "key", frame{Here: "keys", Title: key.Name, Workspace: key.Workspace, Data: page})
}

// usage reads how often a key was used.
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
