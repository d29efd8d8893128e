package storetest

import (
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func onceRules() []rule {
	return []rule{
		{
			name: "B18 an id is spent once",
			why:  "An id that was spent and has not expired is ErrExists: a replayed assertion is refused.",
			run: func(t tester, s store.Store) {
				must(t, "Spend", s.OnceIDs.Spend(background, *onceID("one"), noon))
				for _, now := range []time.Time{noon, noon.AddDate(50, 0, 0), noon.Add(-time.Hour)} {
					wantError(t, "Spend again", s.OnceIDs.Spend(background, *onceID("one"), now), store.ErrExists)
				}
				must(t, "Spend of another", s.OnceIDs.Spend(background, *onceID("One"), noon))
			},
		},
		{
			name: "B18 one of many spends wins",
			why:  "Of N concurrent calls exactly one succeeds: an assertion that is replayed to all replicas at once logs in once.",
			run: func(t tester, s store.Store) {
				rounds := 8
				if soak() {
					rounds = 2000
				}
				for round := range rounds {
					id := onceID(fmt.Sprint("jti-", round))
					errs := race(24, func(int) error { return s.OnceIDs.Spend(background, *id, noon) })
					equal(t, "spends that succeeded", wins(t, "Spend", errs, store.ErrExists), 1)
				}
			},
		},
		{
			name: "B18 a spend and a change share ids",
			why:  "OnceIDs and Change share their ids: an id that one has spent is refused by the other.",
			run: func(t tester, s store.Store) {
				must(t, "Spend", s.OnceIDs.Spend(background, *onceID("one"), noon))
				err := s.Keys.Create(background, newKey("team-a", "key-1"), store.NoLimit, change("one"))
				wantError(t, "Create", err, store.ErrExists)
				_, err = s.Keys.Lookup(background, "key-1")
				wantError(t, "Lookup", err, store.ErrNotFound)
				must(t, "Create", s.Keys.Create(background, newKey("team-a", "key-1"), store.NoLimit, change("two")))
				wantError(t, "Spend", s.OnceIDs.Spend(background, *onceID("two"), noon), store.ErrExists)
				equal(t, "value", find(t, s, "test", "two", noon).Value, "value of two")
			},
		},
		{
			name: "B18 an id that never expires",
			why:  "An id may be spent for ever: its expiry may be in the year 9999.",
			run: func(t tester, s store.Store) {
				id := store.OnceID{Space: "test", ID: "for good", Value: "first", Expires: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
				must(t, "Spend", s.OnceIDs.Spend(background, id, noon))
				wantError(t, "Spend again", s.OnceIDs.Spend(background, id, noon.AddDate(1000, 0, 0)), store.ErrExists)
				equal(t, "value", find(t, s, "test", "for good", noon).Value, "first")
				c := store.Change{Now: noon, Once: &store.OnceID{Space: "test", ID: "a change for good", Expires: id.Expires}}
				must(t, "Create", s.Keys.Create(background, newKey("team-a", "key-1"), store.NoLimit, c))
				wantError(t, "the change again", s.Keys.Create(background, newKey("team-a", "key-2"), store.NoLimit, c), store.ErrExists)
			},
		},
		{
			name: "expires by the caller's clock",
			why:  "An id may be spent again from the instant of its expiry on, by the time that the caller passes.",
			run: func(t tester, s store.Store) {
				id := store.OnceID{Space: "test", ID: "brief", Value: "first", Expires: noon.Add(time.Minute)}
				must(t, "Spend", s.OnceIDs.Spend(background, id, noon))
				justBefore := id.Expires.Add(-time.Microsecond)
				wantError(t, "Spend just before the end", s.OnceIDs.Spend(background, id, justBefore), store.ErrExists)
				equal(t, "value just before the end", find(t, s, "test", "brief", justBefore).Value, "first")
				_, err := s.OnceIDs.Find(background, "test", "brief", id.Expires)
				wantError(t, "Find at the end", err, store.ErrNotFound)
				again := store.OnceID{Space: "test", ID: "brief", Value: "second", Expires: noon.Add(time.Hour)}
				must(t, "Spend at the end", s.OnceIDs.Spend(background, again, id.Expires))
				equal(t, "value", find(t, s, "test", "brief", id.Expires).Value, "second")
				wantError(t, "Spend once more", s.OnceIDs.Spend(background, id, id.Expires), store.ErrExists)
			},
		},
		{
			name: "find returns what was spent",
			why:  "Find returns the id as it was spent. An id that was never spent or has expired is ErrNotFound.",
			run: func(t tester, s store.Store) {
				must(t, "Spend", s.OnceIDs.Spend(background, *onceID("one"), noon))
				got := find(t, s, "test", "one", noon)
				equalTime(t, "Expires", got.Expires, farAhead)
				got.Expires = time.Time{}
				equal(t, "found", got, store.OnceID{Space: "test", ID: "one", Value: "value of one"})
				for _, missing := range [][2]string{{"test", "two"}, {"other", "one"}, {"", "one"}, {"test", ""}} {
					_, err := s.OnceIDs.Find(background, missing[0], missing[1], noon)
					wantError(t, "Find", err, store.ErrNotFound)
				}
			},
		},
		{
			name: "a refused spend changes nothing",
			why:  "A refused spend changes neither the value nor the expiry of the first one.",
			run: func(t tester, s store.Store) {
				must(t, "Spend", s.OnceIDs.Spend(background, *onceID("one"), noon))
				other := store.OnceID{Space: "test", ID: "one", Value: "other", Expires: noon.Add(time.Second)}
				wantError(t, "Spend again", s.OnceIDs.Spend(background, other, noon), store.ErrExists)
				got := find(t, s, "test", "one", noon)
				equal(t, "value", got.Value, "value of one")
				equalTime(t, "Expires", got.Expires, farAhead)
			},
		},
		{
			name: "spaces are separate",
			why:  "Space separates ids of different purposes and owners, whatever characters they contain.",
			run: func(t tester, s store.Store) {
				for _, id := range []store.OnceID{
					{Space: "a", ID: "b:c"}, {Space: "a:b", ID: "c"}, {Space: "a:b:c", ID: ""}, {Space: "", ID: "a:b:c"},
					{Space: "a/b", ID: "c"}, {Space: "a", ID: "b/c"}, {Space: "ab", ID: "c"}, {Space: "a", ID: "bc"},
					{Space: "A", ID: "bc"}, {Space: "a", ID: "bc "}, {Space: "a|b", ID: "c"}, {Space: "a", ID: "b|c"},
				} {
					id.Expires, id.Value = farAhead, "v"
					must(t, fmt.Sprintf("Spend(%q, %q)", id.Space, id.ID), s.OnceIDs.Spend(background, id, noon))
				}
			},
		},
	}
}

func find(t tester, s store.Store, space, id string, now time.Time) store.OnceID {
	t.Helper()
	found, err := s.OnceIDs.Find(background, space, id, now)
	must(t, "Find", err)
	return found
}
