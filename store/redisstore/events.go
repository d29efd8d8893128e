package redisstore

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// eventLog implements store.Events. An event lies in the space of its
// workspace or, if it came with a change of another space, there. Within a
// space its id is added once for ever, and across spaces within a day: ids are
// random, so that only a retry repeats one.
type eventLog struct{ db *database }

const homeFor = 24 * time.Hour

// homes asks where each event lies already, and notes for those of other
// workspaces that this space holds some of theirs.
func (db *database) homes(s space, events []store.Event) (homes, elsewhere []*call) {
	for i := range events {
		e := &events[i]
		homes = append(homes, evaluate(db.scripts.home, []string{db.layout.event(e.ID)}, string(s), homeFor.Milliseconds()))
		if e.Workspace != "" && spaceOf(e.Workspace) != s {
			elsewhere = append(elsewhere, command("sadd", db.layout.elsewhere(spaceOf(e.Workspace)), string(s)))
			elsewhere = append(elsewhere, db.register(spaceOf(e.Workspace))...)
		}
	}
	return homes, elsewhere
}

// notElsewhere leaves out the events that another space holds.
func (db *database) notElsewhere(ctx context.Context, s space, events []store.Event, homes []*call) ([]store.Event, error) {
	var asked []*call
	held := make(map[int]*call)
	for i, home := range homes {
		if home.text() != string(s) {
			held[i] = command("hexists", db.layout.events(space(home.text())), events[i].ID)
			asked = append(asked, held[i])
		}
	}
	if len(asked) == 0 {
		return events, nil
	}
	if err := db.run(ctx, asked...); err != nil {
		return nil, err
	}
	var own []store.Event
	for i := range events {
		if held[i] == nil || held[i].int() == 0 {
			own = append(own, events[i])
		}
	}
	return own, nil
}

// Append implements store.Events. Events of one workspace are one write.
func (l *eventLog) Append(ctx context.Context, events ...store.Event) error {
	if err := ctx.Err(); err != nil {
		return fail("append events", err)
	}
	for len(events) > 0 {
		n := min(len(events), stretch)
		if err := l.append(ctx, events[:n]); err != nil {
			return fail("append events", err)
		}
		events = events[n:]
	}
	return nil
}

func (l *eventLog) append(ctx context.Context, events []store.Event) error {
	db := l.db
	bySpace := make(map[space][]store.Event)
	var order []space
	for i := range events {
		s := trailOf(events[i].Workspace)
		if bySpace[s] == nil {
			order = append(order, s)
		}
		bySpace[s] = append(bySpace[s], events[i])
	}
	first := make(map[space][]*call)
	var calls []*call
	for _, s := range order {
		first[s], _ = db.homes(s, bySpace[s])
		calls = append(append(calls, first[s]...), db.register(s)...)
	}
	if err := db.run(ctx, calls...); err != nil {
		return err
	}
	calls = nil
	request := newRequest()
	for _, s := range order {
		own, err := db.notElsewhere(ctx, s, bySpace[s], first[s])
		if err != nil {
			return err
		}
		if len(own) > 0 {
			calls = append(calls, evaluate(db.scripts.append, db.layout.all(s, ""), db.begin(request, store.Change{}, own)...))
		}
	}
	return db.run(ctx, calls...)
}

// List implements store.Events. Over all workspaces it merges their trails.
func (l *eventLog) List(ctx context.Context, q store.EventQuery) (store.EventPage, error) {
	if err := ctx.Err(); err != nil {
		return store.EventPage{}, fail("list events", err)
	}
	page, err := l.list(ctx, &q)
	if err != nil {
		return store.EventPage{}, fail("list events", err)
	}
	return page, nil
}

func (l *eventLog) list(ctx context.Context, q *store.EventQuery) (store.EventPage, error) {
	limit, err := pageSize(q.Limit)
	if err != nil {
		return store.EventPage{}, err
	}
	spaces, err := l.trails(ctx, q.Workspace)
	if err != nil {
		return store.EventPage{}, err
	}
	sources := make([]*source, len(spaces))
	for i, s := range spaces {
		sources[i] = &source{space: s, keys: []string{l.db.layout.trail(s), l.db.layout.events(s)}}
	}
	m := newMerge(l.db, false, true, sources)
	if !q.From.IsZero() {
		m.low = "[" + sortable(q.From)
	}
	if !q.To.IsZero() {
		m.high = "(" + sortable(q.To)
	}
	if q.After != nil && (q.To.IsZero() || q.After.Time.Before(q.To)) {
		m.after(sortable(q.After.Time) + q.After.ID)
	}
	var page store.EventPage
	last := ""
	for {
		asked := max(limit+1-len(page.Events), 100)
		items, err := m.take(ctx, asked)
		if err != nil {
			return store.EventPage{}, err
		}
		for i := range items {
			item := &items[i]
			// The same event of two trails comes from a retry of long ago.
			if item.record == "" || item.place == last {
				continue
			}
			last = item.place
			e, err := decodeEvent(item.record)
			if err != nil {
				return store.EventPage{}, err
			}
			if !eventMatches(q, &e) {
				continue
			}
			if len(page.Events) == limit {
				cursor := page.Events[limit-1]
				page.Next = &store.EventCursor{Time: cursor.Time, ID: cursor.ID}
				return page, nil
			}
			page.Events = append(page.Events, e)
		}
		if len(items) < asked {
			return page, nil
		}
	}
}

// trails are the spaces that hold events of the workspace, or of any.
func (l *eventLog) trails(ctx context.Context, workspace string) ([]space, error) {
	if workspace == "" {
		spaces, err := l.db.spaces(ctx)
		return append(spaces, instance), err
	}
	own := spaceOf(workspace)
	others := command("smembers", l.db.layout.elsewhere(own))
	if err := l.db.run(ctx, others); err != nil {
		return nil, err
	}
	spaces := []space{own}
	for _, member := range others.list() {
		if s, ok := member.(string); ok {
			spaces = append(spaces, space(s))
		}
	}
	return spaces, nil
}

func eventMatches(q *store.EventQuery, e *store.Event) bool {
	return (q.Workspace == "" || e.Workspace == q.Workspace) &&
		(q.Key == "" || e.Key == q.Key) &&
		(q.Action == "" || e.Action == q.Action) &&
		(q.ActorID == "" || e.Actor.ID == q.ActorID)
}

// Prune implements store.Events.
func (l *eventLog) Prune(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, fail("prune events", err)
	}
	spaces, err := l.trails(ctx, "")
	if err != nil {
		return 0, fail("prune events", err)
	}
	pruned := 0
	for len(spaces) > 0 {
		calls := make([]*call, 0, stretch)
		for _, s := range spaces[:min(len(spaces), stretch)] {
			calls = append(calls, evaluate(l.db.scripts.prune, l.db.layout.all(s, ""), "", "", 0, sortable(before)))
		}
		if err := l.db.run(ctx, calls...); err != nil {
			return pruned, fail("prune events", err)
		}
		var more []space
		for i, c := range calls {
			pruned += int(c.int())
			if c.int() > 0 {
				more = append(more, spaces[i])
			}
		}
		spaces = slices.Concat(more, spaces[len(calls):])
	}
	return pruned, nil
}
