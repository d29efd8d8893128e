package memstore

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/google/btree"

	"github.com/latchkey-go/latchkey/store"
)

// auditLog holds events in the order of (time, id): all of them, and those of
// each workspace.
type auditLog struct {
	byID  map[string]struct{}
	all   *btree.BTreeG[*store.Event]
	space *btree.BTreeG[*store.Event]
}

func newAuditLog() auditLog {
	before := func(a, b *store.Event) bool {
		return a.Time.Before(b.Time) || a.Time.Equal(b.Time) && a.ID < b.ID
	}
	return auditLog{
		byID: make(map[string]struct{}),
		all:  btree.NewG(treeDegree, before),
		space: btree.NewG(treeDegree, func(a, b *store.Event) bool {
			return a.Workspace < b.Workspace || a.Workspace == b.Workspace && before(a, b)
		}),
	}
}

// add copies an event in unless its id is there. It is called inside change.
func (t *auditLog) add(e store.Event) {
	if _, twice := t.byID[e.ID]; twice {
		return
	}
	e.Time, e.Fields = kept(e.Time), slices.Clone(e.Fields)
	t.byID[e.ID] = struct{}{}
	t.all.ReplaceOrInsert(&e)
	t.space.ReplaceOrInsert(&e)
}

// eventLog implements store.Events.
type eventLog struct{ db *database }

// Append implements store.Events.
func (l *eventLog) Append(ctx context.Context, events ...store.Event) error {
	if err := ctx.Err(); err != nil {
		return fail("append events", err)
	}
	l.db.write.Lock()
	defer l.db.write.Unlock()
	l.db.change(func() {
		for _, e := range events {
			l.db.events.add(e)
		}
	})
	return nil
}

// List implements store.Events. Like a list of keys it gives way to writers
// between stretches.
func (l *eventLog) List(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	if err := ctx.Err(); err != nil {
		return store.EventPage{}, fail("list events", err)
	}
	limit, err := store.PageSize(q.Limit)
	if err != nil {
		return store.EventPage{}, fail("list events", err)
	}
	found, err := l.scan(ctx, &q, limit+1)
	if err != nil {
		return store.EventPage{}, fail("list events", err)
	}
	var page store.EventPage
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1]
		page.Next = &store.EventCursor{Time: last.Time, ID: last.ID}
	}
	page.Events = make([]store.Event, len(found))
	for i, e := range found {
		page.Events[i] = *e
		page.Events[i].Fields = slices.Clone(e.Fields)
	}
	return page, nil
}

func (l *eventLog) scan(ctx context.Context, q *store.EventQuery, limit int) ([]*store.Event, error) {
	var found []*store.Event
	tree := l.db.events.all
	if q.Workspace != "" {
		tree = l.db.events.space
	}
	after := newest(q)
	lock := l.db.reader(q.Workspace)
	for {
		visited, ended := 0, false
		lock.RLock()
		tree.DescendLessOrEqual(after, func(e *store.Event) bool {
			if q.Workspace != "" && e.Workspace != q.Workspace || e.Time.Before(q.From) {
				ended = true
				return false
			}
			if e.ID == after.ID && e.Time.Equal(after.Time) {
				return true
			}
			visited++
			after = e
			if eventMatches(q, e) {
				found = append(found, e)
			}
			return visited < stretch && len(found) < limit
		})
		lock.RUnlock()
		if ended || visited < stretch || len(found) >= limit {
			return found, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// newest is the place where a query begins: its cursor or its end, whichever
// is earlier.
func newest(q *store.EventQuery) *store.Event {
	start := &store.Event{Workspace: q.Workspace, Time: instant(math.MaxInt64)}
	if !q.To.IsZero() {
		// Nothing with this time itself has an id before the empty one.
		start.Time = q.To
	}
	if q.After != nil && (q.After.Time.Before(start.Time) || q.To.IsZero()) {
		start.Time, start.ID = q.After.Time, q.After.ID
	}
	return start
}

func eventMatches(q *store.EventQuery, e *store.Event) bool {
	return (q.Key == "" || e.Key == q.Key) &&
		(q.Action == "" || e.Action == q.Action) &&
		(q.ActorID == "" || e.Actor.ID == q.ActorID) &&
		(q.To.IsZero() || e.Time.Before(q.To))
}

// Prune implements store.Events. Readers and writers come in between
// stretches.
func (l *eventLog) Prune(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fail("prune events", err)
	}
	pruned := 0
	for {
		n := l.prune(before)
		if pruned += n; n < stretch {
			return pruned, nil
		}
	}
}

// prune removes one stretch of old events.
func (l *eventLog) prune(before time.Time) int {
	t := &l.db.events
	l.db.write.Lock()
	defer l.db.write.Unlock()
	var old []*store.Event
	t.all.Ascend(func(e *store.Event) bool {
		if !e.Time.Before(before) {
			return false
		}
		old = append(old, e)
		return len(old) < stretch
	})
	l.db.change(func() {
		for _, e := range old {
			t.all.Delete(e)
			t.space.Delete(e)
			delete(t.byID, e.ID)
		}
	})
	return len(old)
}
