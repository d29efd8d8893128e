package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func eventRules() []rule {
	return []rule{
		{
			name: "keeps every field",
			why:  "An event is returned as it was stored, alone or with others.",
			run: func(t tester, s store.Store) {
				full := newEvent("full")
				bare := store.Event{ID: "bare", Time: noon.Add(-time.Hour)}
				must(t, "Append", s.Events.Append(background, full, bare))
				page, err := s.Events.List(background, store.EventQuery{})
				must(t, "List", err)
				if len(page.Events) != 2 {
					t.Fatalf("List: got %d events, want 2", len(page.Events))
				}
				equalText(t, "event", eventText(page.Events[0]), eventText(full))
				equalText(t, "event with few fields", eventText(page.Events[1]), eventText(bare))
			},
		},
		{
			name: "copies in and out",
			why:  "A caller may change what it passed or got; the audit log does not change.",
			run: func(t tester, s store.Store) {
				e := newEvent("event-1")
				must(t, "Append", s.Events.Append(background, e))
				e.Changes[0].Old = "changed by the caller"
				for range 2 {
					page, err := s.Events.List(background, store.EventQuery{})
					must(t, "List", err)
					if len(page.Events) != 1 {
						t.Fatalf("List: got %d events, want 1", len(page.Events))
					}
					equalText(t, "event", eventText(page.Events[0]), eventText(newEvent("event-1")))
					page.Events[0].Changes[0].Old = "changed by the caller"
				}
			},
		},
		{
			name: "an id is added once",
			why:  "An event whose id exists already is skipped, so that a retry adds nothing twice. This applies to two calls of Append, within one call, and to a change.",
			run: func(t tester, s store.Store) {
				first := newEvent("event-1")
				must(t, "Append", s.Events.Append(background, first, first))
				later := newEvent("event-1")
				later.Time, later.Note, later.Workspace = noon.Add(time.Hour), "another", "team-b"
				must(t, "Append", s.Events.Append(background, later, newEvent("event-2")))
				c := store.Change{Events: []store.Event{later, newEvent("event-3")}}
				must(t, "Create", s.Keys.Create(background, newKey("team-a", "key-1"), store.NoLimit, c))
				equalList(t, "events", eventIDs(t, s), []string{"event-3", "event-2", "event-1"})
				page, err := s.Events.List(background, store.EventQuery{Workspace: "team-b"})
				must(t, "List", err)
				equal(t, "events of the other workspace", len(page.Events), 0)
			},
		},
		{
			name: "newest first, in pages of every size",
			why:  "Pages follow each other without gap or repetition, newest first. Events with the same time are in descending order of their ids. Next is nil on the last page.",
			run: func(t tester, s store.Store) {
				want := appendAll(t, s)
				for _, limit := range []int{1, 2, 5, 20, 100} {
					equalList(t, fmt.Sprint("pages of ", limit), events(t, s, store.EventQuery{Limit: limit}), want)
				}
			},
		},
		{
			name: "the size of a page",
			why:  "A page holds Limit events, 1 to MaxPage; 0 means 100; anything else is an error.",
			run: func(t tester, s store.Store) {
				for i := range 103 {
					must(t, "Append", s.Events.Append(background, newEvent(fmt.Sprintf("event-%03d", i))))
				}
				for limit, want := range map[int]int{0: 100, 1: 1, 103: 103, store.MaxPage: 103} {
					page, err := s.Events.List(background, store.EventQuery{Limit: limit})
					must(t, "List", err)
					equal(t, fmt.Sprint("events on a page of ", limit), len(page.Events), want)
					equal(t, "a next page", page.Next != nil, want < 103)
				}
				for _, limit := range []int{-1, store.MaxPage + 1} {
					if _, err := s.Events.List(background, store.EventQuery{Limit: limit}); err == nil || store.IsOutage(err) {
						t.Errorf("Limit %d: %v, want an error that is no outage", limit, err)
					}
				}
			},
		},
		{name: "conditions", run: eventConditions,
			why: "Each condition keeps exactly the events that it describes. An event must meet all conditions. From <= Time < To."},
		{
			name: "newer events do not move a cursor",
			why:  "A page after a cursor shows the older events, however many new ones are added.",
			run: func(t tester, s store.Store) {
				want := appendAll(t, s)
				page, err := s.Events.List(background, store.EventQuery{Limit: 7})
				must(t, "List", err)
				late := newEvent("late")
				late.Time = noon.Add(time.Hour)
				must(t, "Append", s.Events.Append(background, late))
				equalList(t, "the rest", events(t, s, store.EventQuery{Limit: 7, After: page.Next}), want[7:])
			},
		},
		{
			name: "prune removes what is older",
			why:  "Prune removes events before the given time, not at it, and returns how many.",
			run: func(t tester, s store.Store) {
				for i := range 6 {
					e := newEvent(fmt.Sprint("event-", i))
					e.Time = noon.Add(time.Duration(i) * time.Hour)
					must(t, "Append", s.Events.Append(background, e))
				}
				for _, want := range []int{2, 0} {
					n, err := s.Events.Prune(background, noon.Add(2*time.Hour))
					must(t, "Prune", err)
					equal(t, "pruned", n, want)
				}
				equalList(t, "left", eventIDs(t, s), []string{"event-5", "event-4", "event-3", "event-2"})
				equalList(t, "left of the workspace", events(t, s, store.EventQuery{Workspace: "team-a"}), eventIDs(t, s))
			},
		},
		{
			name: "empty calls are no errors",
			why:  "Listing or pruning an empty audit log and appending no events are no errors.",
			run: func(t tester, s store.Store) {
				must(t, "Append", s.Events.Append(background))
				equalList(t, "events", events(t, s, store.EventQuery{Workspace: "team-a"}), []string{})
				n, err := s.Events.Prune(background, noon)
				must(t, "Prune", err)
				equal(t, "pruned", n, 0)
			},
		},
	}
}

// appendAll appends 20 events with five different times, unordered, and returns their ids
// in the order of a list.
func appendAll(t tester, s store.Store) []string {
	t.Helper()
	var want []string
	for i := range 20 {
		n := i * 7 % 20
		e := newEvent(fmt.Sprintf("event-%02d", n))
		e.Time = noon.Add(time.Duration(n/4) * time.Microsecond)
		must(t, "Append", s.Events.Append(background, e))
		want = append(want, fmt.Sprintf("event-%02d", 19-i))
	}
	return want
}

// events reads all pages and returns the ids.
func events(t tester, s store.Store, q store.EventQuery) []string {
	t.Helper()
	ids := []string{}
	for range 1000 {
		page, err := s.Events.List(background, q)
		if err != nil {
			t.Fatalf("List(%+v): %v", q, err)
		}
		for _, e := range page.Events {
			ids = append(ids, e.ID)
		}
		if page.Next == nil {
			return ids
		}
		q.After = page.Next
	}
	t.Fatalf("List(%+v): the pages never end", q)
	return nil
}

func eventConditions(t tester, s store.Store) {
	var all []store.Event
	for i := range 36 {
		e := newEvent(fmt.Sprintf("event-%02d", i))
		e.Time = noon.Add(time.Duration(i/3) * time.Minute)
		e.Workspace = []string{"team-a", "team-b", "", "Team-a"}[i%4]
		e.Key = []string{"key-1", "key-2", ""}[i%3]
		e.Action = []string{"key.create", "key.delete"}[i/2%2]
		e.Actor.ID = []string{"person-1", "person-2", "Person-1"}[i/3%3]
		all = append(all, e)
	}
	must(t, "Append", s.Events.Append(background, all...))
	from, to := noon.Add(3*time.Minute), noon.Add(9*time.Minute)
	for _, tc := range []struct {
		what string
		q    store.EventQuery
		want func(e store.Event) bool
	}{
		{"workspace", store.EventQuery{Workspace: "team-a"}, func(e store.Event) bool { return e.Workspace == "team-a" }},
		{"key", store.EventQuery{Key: "key-1"}, func(e store.Event) bool { return e.Key == "key-1" }},
		{"action", store.EventQuery{Action: "key.delete"}, func(e store.Event) bool { return e.Action == "key.delete" }},
		{"actor", store.EventQuery{ActorID: "person-1"}, func(e store.Event) bool { return e.Actor.ID == "person-1" }},
		{"from", store.EventQuery{From: from}, func(e store.Event) bool { return !e.Time.Before(from) }},
		{"to", store.EventQuery{To: to}, func(e store.Event) bool { return e.Time.Before(to) }},
		{"from and to", store.EventQuery{From: from, To: to}, func(e store.Event) bool { return !e.Time.Before(from) && e.Time.Before(to) }},
		{"an empty span", store.EventQuery{From: to, To: from}, func(store.Event) bool { return false }},
		{"an unknown actor", store.EventQuery{ActorID: "person"}, func(store.Event) bool { return false }},
		{"all at once", store.EventQuery{Workspace: "team-a", Key: "key-1", Action: "key.create", ActorID: "person-1", From: noon, To: to}, func(e store.Event) bool {
			return e.Workspace == "team-a" && e.Key == "key-1" && e.Action == "key.create" && e.Actor.ID == "person-1" && e.Time.Before(to)
		}},
	} {
		want := []string{}
		for _, e := range slices.Backward(all) {
			if tc.want(e) {
				want = append(want, e.ID)
			}
		}
		for _, limit := range []int{2, 100} {
			tc.q.Limit = limit
			equalList(t, fmt.Sprintf("%s, pages of %d", tc.what, limit), events(t, s, tc.q), want)
		}
	}
}
