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
	return l.db.change(ctx, "append events", store.Change{Events: events}, store.Notice{}, func() error { return nil })
}

// addEvent copies an event in unless its id is there.
func (db *database) addEvent(e store.Event) {
	if db.events[e.ID] {
		return
	}
	e.Time, e.Fields = kept(e.Time), slices.Clone(e.Fields)
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

// matching returns the first events of q, up to a number.
func (l *eventLog) matching(ctx context.Context, q *store.EventQuery, most int) (events []store.Event, err error) {
	log := func() index[store.Event] { return l.db.logs[q.Workspace] }
	err = scan(ctx, l.db, log, newest(q), true, func(e *store.Event) bool {
		if q.Matches(e) {
			copied := *e
			copied.Fields = slices.Clone(e.Fields)
			events = append(events, copied)
		}
		return len(events) < most && !e.Time.Before(q.From)
	})
	return events, err
}

// newest is the place where a query begins: its cursor or its end, whichever is
// earlier, or nil. Nothing that has the end itself as its time has an id before "".
func newest(q *store.EventQuery) *store.Event {
	switch {
	case q.After != nil && (q.To.IsZero() || q.After.Time.Before(q.To)):
		return &store.Event{Time: q.After.Time, ID: q.After.ID}
	case !q.To.IsZero():
		return &store.Event{Time: q.To}
	}
	return nil
}

// Prune implements store.Events. Other calls come in between stretches.
func (l *eventLog) Prune(ctx context.Context, before time.Time) (pruned int, err error) {
	for {
		n := 0
		err := l.db.write(ctx, "prune events", func() error {
			for n < stretch && l.db.dropOldest(before) {
				n++
			}
			return nil
		})
		pruned += n
		if err != nil || n < stretch {
			return pruned, err
		}
	}
}

// dropOldest removes the oldest event, if it is from before the given time.
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
