package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// eventLog implements store.Events.
type eventLog struct{ db *database }

func newLog() index[store.Event] {
	return newIndex(func(a, b *store.Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
	})
}

// Append implements store.Events.
func (l *eventLog) Append(ctx context.Context, events ...store.Event) error {
	return l.db.change(ctx, "append events", store.Change{Events: events}, store.Notification{}, func() error { return nil })
}

// addEvent adds a copy of an event, unless its id exists.
func (db *database) addEvent(e store.Event) {
	if db.events[e.ID] {
		return
	}
	e.Time, e.Changes = toMicro(e.Time), slices.Clone(e.Changes)
	db.events[e.ID] = true
	db.logs[""].tree.ReplaceOrInsert(&e)
	if e.Workspace == "" {
		return
	}
	if db.logs[e.Workspace].tree == nil {
		db.logs[e.Workspace] = newLog()
	}
	db.logs[e.Workspace].tree.ReplaceOrInsert(&e)
}

// List implements store.Events.
func (l *eventLog) List(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	page, err := q.Page(func(most int) ([]store.Event, error) { return l.matching(ctx, &q, most) })
	return page, fail("list events", err)
}

// matching returns the first events that match q, at most the given number.
func (l *eventLog) matching(ctx context.Context, q *store.EventQuery, most int) (events []store.Event, err error) {
	log := func() index[store.Event] { return l.db.logs[q.Workspace] }
	err = scan(ctx, l.db, log, startAfter(q), true, func(e *store.Event) bool {
		if q.Matches(e) {
			copied := *e
			copied.Changes = slices.Clone(e.Changes)
			events = append(events, copied)
		}
		return len(events) < most && !e.Time.Before(q.From)
	})
	return events, err
}

// startAfter returns the position after which a query begins: its cursor or q.To,
// whichever is earlier, or nil. Events at q.To itself are excluded, since their ids are
// greater than "".
func startAfter(q *store.EventQuery) *store.Event {
	switch {
	case q.After != nil && (q.To.IsZero() || q.After.Time.Before(q.To)):
		return &store.Event{Time: q.After.Time, ID: q.After.ID}
	case !q.To.IsZero():
		return &store.Event{Time: q.To}
	}
	return nil
}

// Prune implements store.Events. It releases the lock between batches.
func (l *eventLog) Prune(ctx context.Context, before time.Time) (pruned int, err error) {
	for {
		n := 0
		err := l.db.write(ctx, "prune events", func() error {
			for n < batch && l.db.dropOldest(before) {
				n++
			}
			return nil
		})
		pruned += n
		if err != nil || n < batch {
			return pruned, err
		}
	}
}

// dropOldest removes the oldest event, if it is older than the given time.
func (db *database) dropOldest(before time.Time) bool {
	e, found := db.logs[""].tree.Min()
	if !found || !e.Time.Before(before) {
		return false
	}
	delete(db.events, e.ID)
	db.logs[""].tree.DeleteMin()
	if e.Workspace != "" {
		log := db.logs[e.Workspace].tree
		if log.Delete(e); log.Len() == 0 {
			delete(db.logs, e.Workspace)
		}
	}
	return true
}
