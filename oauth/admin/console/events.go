package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/store"
)

// eventList is a page of the event log.
type eventList struct {
	Events   []store.Event
	Names    map[string]string // names of the keys that exist, by id
	Actions  []string
	Filter   url.Values
	Filtered bool
	Download string // the address of the CSV
	pager
}

// listEvents shows the event log of one workspace or of all workspaces.
func (s *call) listEvents() error {
	f, after := form{Values: s.r.URL.Query()}, s.after()
	list := eventList{Filter: f.Values, Download: "events.csv?" + without(f.Values, "cursor", "done").Encode()}
	list.Filtered = f.has("key", "actor", "from", "to", "action")
	for action := range deeds() {
		list.Actions = append(list.Actions, action)
	}
	slices.SortFunc(list.Actions, func(a, b string) int { return strings.Compare(deed(a), deed(b)) })
	events, next, err := s.readEvents(&f, after, pageSize)
	if err != nil {
		return err
	}
	list.Events = events
	if list.Names, err = s.namesOf(events); err != nil {
		return err
	}
	list.pager = s.pager(after, next)
	return s.show(http.StatusOK, "events", frame{Here: "events", Title: "Event log", Workspace: s.workspace(), Problems: f.wrong, Data: list})
}

// readEvents reads a page of the event log, with the filter in the query.
func (s *call) readEvents(f *form, after *store.KeyCursor, limit int) (events []store.Event, next *store.KeyCursor, err error) {
	q := store.EventQuery{Workspace: s.workspace(), Key: f.Get("key"), ActorID: f.Get("actor"), Action: f.Get("action"), Limit: limit}
	const choose = "Choose a day, such as 2027-01-31."
	if f.Get("from") != "" {
		q.From = f.day("from", choose)
	}
	if f.Get("to") != "" {
		q.To = f.day("to", choose)
	}
	if !q.To.IsZero() {
		q.To = q.To.AddDate(0, 0, 1) // to the end of that day
	}
	if after != nil {
		q.After = &store.EventCursor{Time: after.Time, ID: after.ID}
	}
	page, err := s.keys().Events(s.r.Context(), s.actor(), q)
	if page.Next != nil {
		next = &store.KeyCursor{ID: page.Next.ID, Time: page.Next.Time}
	}
	return page.Events, next, err
}

// namesOf returns the names of the keys of events. A deleted key has none.
func (s *call) namesOf(events []store.Event) (map[string]string, error) {
	names := map[string]string{"": ""}
	for i := range events {
		id := events[i].Key
		if _, known := names[id]; known {
			continue
		}
		key, err := s.keys().Get(s.r.Context(), s.actor(), id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		names[id] = key.Name
	}
	return names, nil
}

// deeds returns the texts of the actions of events.
func deeds() map[string]string {
	return map[string]string{
		audit.Create:          "Created the key",
		audit.Import:          "Imported the key",
		audit.Update:          "Changed the key",
		audit.Rotate:          "Rotated the secret",
		audit.Retire:          "Retired a secret",
		audit.Disable:         "Disabled the key",
		audit.Enable:          "Enabled the key",
		audit.Delete:          "Deleted the key",
		audit.Revoke:          "Revoked a leaked secret",
		audit.Refuse:          "Login refused",
		audit.Settings:        "Changed the settings",
		audit.Workspace:       "Changed the workspace's rules",
		audit.RevokeTokens:    "Revoked all tokens",
		audit.Suspend:         "Suspended the workspace",
		audit.Resume:          "Resumed the workspace",
		audit.DeleteWorkspace: "Deleted the workspace",
		audit.Export:          "Exported all keys",
		audit.Restore:         "Restored the key",
	}
}

func deed(action string) string { return cmp.Or(deeds()[action], action) }

// changeTexts returns what an event changed, one text for each field.
func changeTexts(e store.Event) []string {
	texts := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		texts[i] = words(c.Field) + ": " + cmp.Or(c.Old, "none") + " → " + cmp.Or(c.New, "none")
	}
	return texts
}

// whoText returns the text of an event's actor. A refused login proves only that
// the client knows the key's id.
func whoText(e store.Event) string {
	switch {
	case e.Action == audit.Refuse:
		return "an unknown client"
	case e.Actor.Kind == "key" && e.Actor.ID == e.Key:
		return "the key itself"
	}
	return cmp.Or(e.ActorName, actorText(e.Actor))
}

// actorText returns the text of an actor.
func actorText(a store.ActorRef) string {
	switch {
	case a.ID == "":
		return cmp.Or(a.Kind, "unknown")
	case a.Kind == "key":
		return "key " + a.ID
	}
	return a.ID
}

// words returns the text for people of the name of a field, rule or reason.
func words(name string) string {
	known := map[string]string{
		"expires_at": "expiry", "not_after": "expiry", "enforced_at": "effect", "max_keys": "limit", "max_lifetime": "maximum lifetime",
		"reminders_enabled": "reminders on or off", "keys_enabled": "keys on or off", "remind_before": "times of reminders",
		"unknown_or_wrong": "wrong secret",
	}
	return cmp.Or(known[name], strings.ReplaceAll(name, "_", " "))
}
