package console

import (
	"errors"
	"net/http"

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
	if page.Usage, err = s.usage(key.ID); err != nil && !errors.Is(err, apikey.ErrNotKept) {
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
