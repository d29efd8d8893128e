package console

import (
	"errors"
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
	v := eventView{Time: momentOf(e.Time, now, ""), Who: whoText(e), What: deeds()[e.Action], Note: noteText(e.Note), Workspace: e.Workspace, Key: e.Key}
	if v.What == "" {
		v.What = e.Action
	}
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
	switch note {
	case "unknown_or_wrong":
		return "wrong secret"
	case "keys_off":
		return "API keys are off"
	}
	return strings.ReplaceAll(note, "_", " ")
}

// eventList is a page of the event log.
type eventList struct {
	Events          []eventView
	Actions         []actionChoice
	Key, Actor      string
	From, To        string
	Filtered, InAll bool
	pager
}

type actionChoice struct {
	Value, Label string
	Chosen       bool
}

// listEvents shows the event log of a workspace, or of all.
func (s *call) listEvents() error {
	values := s.r.URL.Query()
	now := s.keys().Now()
	list := eventList{
		Key: values.Get("key"), Actor: values.Get("actor"), From: values.Get("from"), To: values.Get("to"), InAll: s.workspace() == "",
	}
	for action, label := range deeds() {
		list.Actions = append(list.Actions, actionChoice{action, label, values.Get("action") == action})
	}
	slices.SortFunc(list.Actions, func(a, b actionChoice) int { return strings.Compare(a.Label, b.Label) })
	q := store.EventQuery{Workspace: s.workspace(), Key: list.Key, ActorID: list.Actor, Action: values.Get("action"), Limit: pageSize}
	list.Filtered = list.Key != "" || list.Actor != "" || list.From != "" || list.To != "" || q.Action != ""
	var wrong []problem
	var err error
	if list.From != "" {
		if q.From, err = time.Parse(time.DateOnly, list.From); err != nil {
			wrong = append(wrong, problem{"from", "From: choose a day, such as 2027-01-31."})
		}
	}
	if list.To != "" {
		if q.To, err = time.Parse(time.DateOnly, list.To); err != nil {
			wrong = append(wrong, problem{"to", "To: choose a day, such as 2027-01-31."})
		} else {
			q.To = q.To.Add(day) // to the end of that day
		}
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
		list.Events = append(list.Events, eventOf(&page.Events[i], now))
	}
	if err := s.nameKeys(list.Events); err != nil {
		return err
	}
	var next *place
	if page.Next != nil {
		next = &place{ID: page.Next.ID, Time: page.Next.Time}
	}
	list.pager = s.pager(way, next)
	here := "events"
	if list.InAll {
		here = "log"
	}
	f := s.frame(here, "Event log", list)
	f.Problems = wrong
	return s.page("events", f)
}
