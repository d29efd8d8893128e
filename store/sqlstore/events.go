package sqlstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// eventLog implements store.Events.
type eventLog struct{ d *Database }

// appendAtOnce is how many events one batch adds. It is bounded because a PostgreSQL
// statement takes at most 65,535 arguments, and translate caches one text for each
// number of events.
const appendAtOnce = 100

// Append implements store.Events.
func (l *eventLog) Append(ctx context.Context, events ...store.Event) error {
	for i := range events {
		if err := checkEvent(&events[i]); err != nil {
			return fail(ctx, "append events", err)
		}
	}
	err := l.d.write(ctx, func(r *runner) error {
		for some := range slices.Chunk(events, appendAtOnce) {
			b := &batch{d: l.d}
			b.addEvents(some)
			if err := b.run(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
	return fail(ctx, "append events", err)
}

func checkEvent(e *store.Event) error {
	err := errors.Join(
		checkText("an event's id", e.ID, maxID), checkText("an event's action", e.Action, maxID),
		checkText("an actor's kind", e.Actor.Kind, maxID), checkText("an actor's id", e.Actor.ID, maxName),
		checkText("an event's workspace", e.Workspace, maxWorkspace), checkText("an event's key", e.Key, maxName),
		checkText("an event's note", e.Note, maxText), checkText("an actor's name", e.ActorName, maxText),
		checkText("an event's address", e.Address, maxID), checkText("a key's name", e.KeyName, maxText))
	for _, c := range e.Changes {
		err = errors.Join(err, checkText("an event's change", c.Field+c.Old+c.New, maxText))
	}
	return err
}

// eventColumns are the columns of an event. eventRow returns their scan destinations.
const eventColumns = "id, at, actor_kind, actor_id, actor_name, address, action, workspace, key_id, key_name, changes, note"

func eventRow(e *store.Event) []any {
	return []any{
		orZero[string]{&e.ID}, at{&e.Time}, orZero[string]{&e.Actor.Kind}, orZero[string]{&e.Actor.ID}, orZero[string]{&e.ActorName},
		orZero[string]{&e.Address}, orZero[string]{&e.Action}, orZero[string]{&e.Workspace}, orZero[string]{&e.Key}, orZero[string]{&e.KeyName},
		fromJSON[store.FieldChange]{&e.Changes}, orZero[string]{&e.Note},
	}
}

// addEvents adds events to the batch. An event whose id already exists is skipped.
func (b *batch) addEvents(events []store.Event) {
	for _, e := range events {
		b.exec(`INSERT INTO {p}events (`+eventColumns+`)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			e.ID, e.Time, e.Actor.Kind, e.Actor.ID, e.ActorName, e.Address, e.Action, e.Workspace, e.Key, e.KeyName, asJSON(e.Changes), e.Note)
	}
}

// List implements store.Events.
func (l *eventLog) List(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	page, err := l.list(ctx, &q)
	return page, fail(ctx, "list events", err)
}

func (l *eventLog) list(ctx context.Context, q *store.EventQuery) (store.EventPage, error) {
	if err := checkLimit(q.Limit); err != nil {
		return store.EventPage{}, err
	}
	if !storable(q.Workspace + q.Key + q.Action + q.ActorID) {
		return store.EventPage{}, ctx.Err() // no event matches a text that cannot be stored
	}
	return q.Page(func(most int) ([]store.Event, error) {
		query, args := l.query(q, most)
		return all(ctx, l.d, eventRow, query, args...)
	})
}

func (l *eventLog) query(q *store.EventQuery, limit int) (string, []any) {
	b := &listing{dialect: l.d.dialect}
	b.equal("workspace", q.Workspace)
	b.equal("key_id", q.Key)
	b.equal("action", q.Action)
	b.equal("actor_id", q.ActorID)
	if !q.From.IsZero() {
		b.where("at >= ?", q.From)
	}
	if !q.To.IsZero() {
		b.where("at < ?", q.To)
	}
	if q.After != nil {
		b.after("at", "id", true, q.After.Time, q.After.ID)
	}
	return "SELECT " + eventColumns + " FROM {p}events" +
		b.conditions() + " ORDER BY at DESC, id DESC LIMIT ?", append(b.args, limit)
}

// Prune implements store.Events. Each statement removes a limited number of events, so
// that other calls do not wait for long.
func (l *eventLog) Prune(ctx context.Context, before time.Time) (int, error) {
	pruned := 0
	for {
		n, err := l.d.remove(ctx, l.d.oldest("events", "at", "?"), before)
		if err != nil {
			return 0, fail(ctx, "prune events", err)
		}
		if n == 0 {
			return pruned, nil
		}
		pruned += n
	}
}
