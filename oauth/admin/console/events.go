package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/store"
)

// eventView is a line of the event log.
type eventView struct {
	Time           moment
	Who, What      string
	Fields, Note   string
	Workspace, Key string
	Name           string // of the key, if it is still there
}

func eventOf(e *store.Event, now time.Time) eventView {
	v := eventView{Time: momentOf(e.Time, now, ""), Who: whoText(e), What: cmp.Or(deeds()[e.Action], e.Action), Note: noteText(e.Note), Workspace: e.Workspace, Key: e.Key}
	switch e.Action {
	case audit.Update, audit.Restore, audit.Settings, audit.Workspace:
		fields := make([]string, len(e.Fields))
		for i, field := range e.Fields {
			fields[i] = fieldText(field)
		}
		v.Fields = strings.Join(fields, ", ")
	}
	return v
}

// whoText says who did it. Behind a refused login is whoever knew the key's id.
func whoText(e *store.Event) string {
	switch {
	case e.Action == audit.Refuse:
		return "whoever tried to log in"
	case e.Actor.Kind == "key" && e.Actor.ID == e.Key:
		return "the key itself"
	}
	return actorText(e.Actor)
}

// nameKeys puts names to the keys of events; a key that was deleted has none.
func (s *call) nameKeys(events []eventView) error {
	names := map[string]string{}
	for i := range events {
		id := events[i].Key
		name, known := names[id]
		if !known && id != "" {
			key, err := s.keys().Get(s.r.Context(), s.actor(), id)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			name = key.Name
			names[id] = name
		}
		events[i].Name = name
	}
	return nil
}

// noteText is what the server notes of a refused login, in words; other notes
// are words already.
func noteText(note string) string {
	words := map[string]string{"unknown_or_wrong": "wrong secret", "keys_off": "API keys are off"}
	return cmp.Or(words[note], strings.ReplaceAll(note, "_", " "))
}

// eventList is a page of the event log.
type eventList struct {
	Events   []eventView
	Actions  []actionChoice
	Filter   url.Values
	Filtered bool
	pager
}

type actionChoice struct{ Value, Label string }

// listEvents shows the event log of a workspace, or of all.
func (s *call) listEvents() error {
	values := s.r.URL.Query()
	list := eventList{Filter: values}
	for action, label := range deeds() {
		list.Actions = append(list.Actions, actionChoice{action, label})
	}
	slices.SortFunc(list.Actions, func(a, b actionChoice) int { return strings.Compare(a.Label, b.Label) })
	q := store.EventQuery{Workspace: s.workspace(), Key: values.Get("key"), ActorID: values.Get("actor"), Action: values.Get("action"), Limit: pageSize}
	list.Filtered = slices.ContainsFunc([]string{"key", "actor", "from", "to", "action"}, func(name string) bool { return values.Get(name) != "" })
	var wrong []problem
	day := func(name, label string) time.Time {
		text := values.Get(name)
		at, err := time.Parse(time.DateOnly, text)
		if err != nil && text != "" {
			wrong = append(wrong, problem{name, label + ": choose a day, such as 2027-01-31."})
		}
		return at
	}
	q.From = day("from", "From")
	if q.To = day("to", "To"); !q.To.IsZero() {
		q.To = q.To.AddDate(0, 0, 1) // to the end of that day
	}
	way := s.way(values.Get("cursor"))
	if p := way.here(); p != nil {
		q.After = &store.EventCursor{Time: p.Time, ID: p.ID}
	}
	page, err := s.keys().Events(s.r.Context(), s.actor(), q)
	if err != nil {
		return err
	}
	for i := range page.Events {
		list.Events = append(list.Events, eventOf(&page.Events[i], s.keys().Now()))
	}
	if err := s.nameKeys(list.Events); err != nil {
		return err
	}
	var next *place
	if page.Next != nil {
		next = &place{ID: page.Next.ID, Time: page.Next.Time}
	}
	list.pager = s.pager(way, next)
	return s.show(http.StatusOK, "events", frame{Here: "events", Title: "Event log", Workspace: s.workspace(), Problems: wrong, Data: list})
}
