package store

import (
	"context"
	"time"
)

// Event is one line of the audit log.
type Event struct {
	// ID is unique: an event whose id exists already is not added again.
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	// Actor is the person or key that acted, and ActorName its name at that
	// time; empty if it was not known.
	Actor     ActorRef `json:"actor,omitzero"`
	ActorName string   `json:"actor_name,omitempty"`
	// Address is the IP address that the request came from; empty if it was not
	// known.
	Address string `json:"address,omitempty"`
	// Action is what was done, such as "key.create" or "settings.change".
	Action string `json:"action"`
	// Workspace and Key are what it was done to; either may be empty. KeyName is the
	// key's name after the action, or before its deletion.
	Workspace string `json:"workspace,omitempty"`
	Key       string `json:"key,omitempty"`
	KeyName   string `json:"key_name,omitempty"`
	// Changes are the fields that changed. They never hold a secret or a digest.
	Changes []FieldChange `json:"changes,omitempty"`
	// Note is a short text by the server, such as the reason of a refusal.
	Note string `json:"note,omitempty"`
}

// FieldChange is one field that changed, such as "name" or "permissions", and its
// values before and after as texts. An empty text means that the field was not set.
// Package apikey cuts a text that is longer than 1024 bytes: it then ends with "…". If
// the permissions of either text are longer than that, both name only those that differ.
// Each credential of a key that was added, changed or removed is a field of its own, such
// as "trusts": its id, then its name and the rest. If that is too long, each value in it is
// cut, with "…" behind the value.
type FieldChange struct {
	Field string `json:"field"`
	Old   string `json:"old,omitempty"`
	New   string `json:"new,omitempty"`
}

// EventQuery selects events. An event must meet every condition that is set.
type EventQuery struct {
	Workspace string     // if set, only events of this workspace
	Key       string     // if set, only events of this key
	Action    string     // if set, only events with this action
	ActorID   string     // if set, only events by this actor
	From, To  time.Time  // if set, only events with From <= Time < To
	After     *KeyCursor // if set, only events after it, in the order of the list
	Limit     int        // 1 to MaxPage; 0 means 100
}

// Matches reports whether e meets every condition of q but After, which it does not
// check. It is for drivers.
func (q *EventQuery) Matches(e *Event) bool {
	return (q.Workspace == "" || e.Workspace == q.Workspace) &&
		(q.Key == "" || e.Key == q.Key) &&
		(q.Action == "" || e.Action == q.Action) &&
		(q.ActorID == "" || e.Actor.ID == q.ActorID) &&
		!e.Time.Before(q.From) && (q.To.IsZero() || e.Time.Before(q.To))
}

// Page assembles one page. It calls read, which returns the first events that match,
// newest first, and no more than the given number. It is for drivers.
func (q *EventQuery) Page(read func(most int) ([]Event, error)) (EventPage, error) {
	events, more, err := readPage(q.Limit, read)
	page := EventPage{Events: events}
	if more {
		last := &events[len(events)-1]
		page.Next = &KeyCursor{Time: last.Time, ID: last.ID}
	}
	return page, err
}

// EventPage is one page of events. Next is nil on the last page.
type EventPage struct {
	Events []Event
	Next   *KeyCursor
}

// Events is the audit log. A change writes its own events (see Change). Append is
// for events without a change, such as refused logins.
type Events interface {
	// Append adds events. It skips an event whose id exists already.
	Append(ctx context.Context, events ...Event) error
	// List returns one page, newest first; events with the same time are in
	// descending order of id.
	List(ctx context.Context, q EventQuery) (EventPage, error)
	// Prune removes events older than the given time and returns how many.
	Prune(ctx context.Context, before time.Time) (int, error)
}
