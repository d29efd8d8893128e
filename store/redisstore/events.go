package redisstore

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// eventLog implements store.Events.
type eventLog struct{ db *Driver }

// Append implements store.Events.
func (l *eventLog) Append(ctx context.Context, events ...store.Event) error {
	if err := ctx.Err(); err != nil {
		return fail("append events", err)
	}
	for some := range slices.Chunk(events, batch) {
		if err := l.db.apply(ctx, change{script: l.db.scripts.write, with: store.Change{Events: some}}); err != nil {
			return fail("append events", err)
		}
	}
	return nil
}

// List implements store.Events.
func (l *eventLog) List(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	p := page{script: l.db.scripts.page, keys: []string{l.db.layout.order(q.Workspace, "log"), l.db.layout.events()}, from: "-", to: "+", descending: true}
	if !q.From.IsZero() {
		p.from = "[" + sortable(q.From)
	}
	if !q.To.IsZero() {
		p.to = "(" + sortable(q.To)
	}
	if q.After != nil {
		p.to = min(p.to, "("+sortable(q.After.Time)+q.After.ID) // "+" sorts after "("
	}
	found, err := q.Page(func(most int) ([]store.Event, error) { return collect(ctx, l.db, p, most, decodeEvent, q.Matches) })
	return found, fail("list events", err)
}

// Prune implements store.Events. Each script removes up to 100 events, the smallest
// number that visit reads. Events that were removed by a script whose answer was lost are
// not counted.
func (l *eventLog) Prune(ctx context.Context, before time.Time) (pruned int, err error) {
	for more := true; more && err == nil; {
		var n int
		n, more, err = l.prune(ctx, before)
		pruned += n
	}
	return pruned, fail("prune events", err)
}

func (l *eventLog) prune(ctx context.Context, before time.Time) (n int, more bool, err error) {
	p := page{script: l.db.scripts.page, keys: []string{l.db.layout.order("", "log"), l.db.layout.events()}, from: "-", to: "(" + sortable(before)}
	found, more, err := l.db.visit(ctx, &p, batch)
	if err != nil || len(found) == 0 {
		return 0, false, err
	}
	c := l.db.call(change{script: l.db.scripts.prune, args: []any{len(found)}})
	for _, r := range found {
		e, err := decodeEvent(r.id, r.text)
		if err != nil {
			return 0, false, err
		}
		c.args = append(c.args, r.id, r.member, l.db.layout.logKeyIndex(&c.keys, e.Workspace))
	}
	if err := l.db.send(ctx, c); err != nil {
		return 0, false, err
	}
	return int(c.int()), more, nil
}
