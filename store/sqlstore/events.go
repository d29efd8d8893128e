package sqlstore

import (
	"context"
	"errors"
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
	err := l.d.write(ctx, func(r runner) error {
		b := l.d.batch()
		if err := b.addEvents(events); err != nil {
			return err
		}
		return b.run(ctx, r)
	})
	if err != nil {
		return fail(ctx, "append events", err)
	}
	return nil
}

func checkEvent(e *store.Event) error {
	err := errors.Join(
		checkText("an event's id", e.ID, maxID), checkText("an event's action", e.Action, maxID),
		checkText("an actor's kind", e.Actor.Kind, maxID), checkText("an actor's id", e.Actor.ID, maxName),
		checkText("an event's workspace", e.Workspace, maxWorkspace), checkText("an event's key", e.Key, maxName),
		checkText("an event's note", e.Note, maxText))
	for _, field := range e.Fields {
		err = errors.Join(err, checkText("an event's field", field, maxText))
	}
	return err
}

// addEvents adds events to what is written. One whose id is there already is
// skipped.
func (b *batch) addEvents(events []store.Event) error {
	for i := range events {
		args, err := b.d.eventValues(&events[i])
		if err != nil {
			return err
		}
		b.exec(b.d.text.addEvent, args...)
	}
	return nil
}

func (d *Database) eventValues(e *store.Event) ([]any, error) {
	fields, err := encodedList(e.Fields)
	if err != nil {
		return nil, err
	}
	return []any{
		d.arg(e.ID), micros(e.Time), d.arg(e.Actor.Kind), d.arg(e.Actor.ID),
		d.arg(e.Action), d.arg(e.Workspace), d.arg(e.Key), d.arg(fields), d.arg(e.Note),
	}, nil
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
	limit, err := store.PageSize(q.Limit)
	if err != nil {
		return store.EventPage{}, refuse("%v", err)
	}
	if !storable(q.Workspace + q.Key + q.Action + q.ActorID) {
		return store.EventPage{}, ctx.Err() // no event holds what cannot be kept
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
			if e.Fields, err = decodedList(fields); err != nil {
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
		b.behind("at", "id", true, micros(q.After.Time), q.After.ID)
	}
	var text strings.Builder
	text.WriteString("SELECT id, at, actor_kind, actor_id, action, workspace, key_id, fields, note FROM {p}events")
	text.WriteString(b.conditions())
	text.WriteString(" ORDER BY at DESC, id DESC LIMIT ?")
	return l.d.dialect.translate(text.String(), l.d.config.Prefix), append(b.args, limit)
}

// Prune implements store.Events. It removes some events at a time, so that other
// calls do not wait for long.
func (l *eventLog) Prune(ctx context.Context, before time.Time) (int, error) {
	pruned, err := l.d.sweep(ctx, l.d.text.pruneEvents, micros(before))
	if err != nil {
		return 0, fail(ctx, "prune events", err)
	}
	return pruned, nil
}
