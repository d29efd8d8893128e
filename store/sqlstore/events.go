package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// eventLog implements store.Events.
type eventLog struct{ d *Database }

// Append implements store.Events.
func (l *eventLog) Append(ctx context.Context, events ...store.Event) error {
	for i := range events {
		if err := checkEvent(&events[i]); err != nil {
			return fail(ctx, "append events", err)
		}
	}
	err := l.d.write(ctx, func(r runner) error { return l.d.addEvents(ctx, r, events) })
	if err != nil {
		return fail(ctx, "append events", err)
	}
	return nil
}

func checkEvent(e *store.Event) error {
	switch {
	case len(e.ID) > maxID || len(e.Actor.Kind) > maxID || len(e.Action) > maxID:
		return refuse("an event's id, action and kind of actor have at most %d bytes", maxID)
	case len(e.Workspace) > maxWorkspace || len(e.Key) > maxName || len(e.Actor.ID) > maxName:
		return refuse("an event's workspace, key and actor have at most %d bytes", maxName)
	}
	return nil
}

// addEvents adds events inside a transaction. One whose id is there already
// is skipped.
func (d *Database) addEvents(ctx context.Context, r runner, events []store.Event) error {
	for _, e := range events {
		fields, err := list(e.Fields)
		if err != nil {
			return err
		}
		_, err = r.exec(ctx, d.text.addEvent, []byte(e.ID), micros(e.Time), []byte(e.Actor.Kind), []byte(e.Actor.ID),
			[]byte(e.Action), []byte(e.Workspace), []byte(e.Key), fields, []byte(e.Note))
		if err != nil {
			return err
		}
	}
	return nil
}

// List implements store.Events.
func (l *eventLog) List(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	page, err := l.list(ctx, &q)
	if err != nil {
		return store.EventPage{}, fail(ctx, "list events", err)
	}
	return page, nil
}

func (l *eventLog) list(ctx context.Context, q *store.EventQuery) (store.EventPage, error) {
	limit, err := pageSize(q.Limit)
	if err != nil {
		return store.EventPage{}, err
	}
	query, args := l.query(q, limit+1)
	var page store.EventPage
	err = l.d.read(ctx, func(r runner) error {
		page.Events = nil
		rows, err := r.rows(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close() //nolint:errcheck // Err says what went wrong
		for rows.Next() {
			var e store.Event
			var at int64
			var fields []byte
			err := rows.Scan(text{&e.ID}, &at, text{&e.Actor.Kind}, text{&e.Actor.ID}, text{&e.Action},
				text{&e.Workspace}, text{&e.Key}, &fields, text{&e.Note})
			if err != nil {
				return err
			}
			if e.Fields, err = readList(fields); err != nil {
				return err
			}
			e.Time = instant(at)
			page.Events = append(page.Events, e)
		}
		return rows.Err()
	})
	if err != nil {
		return store.EventPage{}, err
	}
	if len(page.Events) > limit {
		page.Events = page.Events[:limit]
		last := page.Events[limit-1]
		page.Next = &store.EventCursor{Time: last.Time, ID: last.ID}
	}
	return page, nil
}

func (l *eventLog) query(q *store.EventQuery, limit int) (string, []any) {
	b := &listing{d: l.d}
	b.equal("workspace", q.Workspace)
	b.equal("key_id", q.Key)
	b.equal("action", q.Action)
	b.equal("actor_id", q.ActorID)
	if !q.From.IsZero() {
		b.where("at >= ?", micros(q.From))
	}
	if !q.To.IsZero() {
		b.where("at < ?", micros(q.To))
	}
	if q.After != nil {
		b.behind("at", true, micros(q.After.Time), []byte(q.After.ID))
	}
	var text strings.Builder
	text.WriteString("SELECT id, at, actor_kind, actor_id, action, workspace, key_id, fields, note FROM {p}events")
	text.WriteString(b.conditions())
	text.WriteString(" ORDER BY at DESC, id DESC LIMIT ?")
	return l.d.dialect.translate(text.String(), l.d.config.Prefix), append(b.args, limit)
}

// Prune implements store.Events. It removes some events at a time, so that
// nobody waits for long.
func (l *eventLog) Prune(ctx context.Context, before time.Time) (int, error) {
	pruned, err := l.d.sweep(ctx, l.d.text.pruneEvents, micros(before))
	if err != nil {
		return 0, fail(ctx, "prune events", err)
	}
	return pruned, nil
}
