package store

import (
	"context"
	"time"
)

// Event is one line of the audit log.
type Event struct {
	// ID is unique: an event whose id is there already is not added again.
	ID   string
	Time time.Time
	// Actor did it.
	Actor ActorRef
	// Action says what, such as "key.create" or "settings.change".
	Action string
	// Workspace and Key say what it was done to; either may be empty.
	Workspace string
	Key       string
	// Fields names what changed, such as "name" or "permissions". It never
	// holds a secret or a digest.
	Fields []string
	// Note is a short text of the server's own, such as a refusal's reason.
	Note string
}

// EventQuery selects events, newest first, joined by "and".
type EventQuery struct {
	Workspace string // unless empty: of this workspace
	Key       string // unless empty: of this key
	Action    string // unless empty: with this action
	ActorID   string // unless empty: by this actor
	From, To  time.Time
	After     *EventCursor
	Limit     int // 1 to MaxPage; 0 means 100
}

// Matches reports whether e meets every condition of q. It is for drivers.
func (q *EventQuery) Matches(e *Event) bool {
	return (q.Workspace == "" || e.Workspace == q.Workspace) &&
		(q.Key == "" || e.Key == q.Key) &&
		(q.Action == "" || e.Action == q.Action) &&
		(q.ActorID == "" || e.Actor.ID == q.ActorID) &&
		!e.Time.Before(q.From) && (q.To.IsZero() || e.Time.Before(q.To))
}

// Page puts a page together. read returns the first events that match, newest first, up
// to a number. It is for drivers.
func (q *EventQuery) Page(read func(most int) ([]Event, error)) (EventPage, error) {
	limit, err := PageSize(q.Limit)
	if err != nil {
		return EventPage{}, err
	}
	// One more than asked for tells whether there is a next page.
	events, err := read(limit + 1)
	if err != nil {
		return EventPage{}, err
	}
	page := EventPage{Events: events[:min(len(events), limit)]}
	if len(events) > limit {
		last := &events[limit-1]
		page.Next = &EventCursor{Time: last.Time, ID: last.ID}
	}
	return page, nil
}

// EventCursor is a place in the audit log.
type EventCursor struct {
	Time time.Time
	ID   string
}

// EventPage is one page of events. Next is nil on the last page.
type EventPage struct {
	Events []Event
	Next   *EventCursor
}

// Events is the audit log. Changes bring their own events (see Change);
// Append is for what happens without a change, such as refused logins.
type Events interface {
	// Append adds events. One whose id is there already is skipped.
	Append(ctx context.Context, events ...Event) error
	// List returns one page, newest first, ties in descending order of id;
	// From <= Time < To where they are not zero.
	List(ctx context.Context, q EventQuery) (EventPage, error)
	// Prune removes events older than the given time and returns how many.
	Prune(ctx context.Context, before time.Time) (int, error)
}
