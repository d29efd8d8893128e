package storetest

import (
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func usageRules() []rule {
	day := func(n int) time.Time { return time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC) }
	count := func(n int, logins, refusals int64) store.Count {
		return store.Count{Workspace: "team-a", Key: "key-1", Day: day(n), Logins: logins, Refusals: refusals}
	}
	return []rule{
		{
			name: "adds up by day",
			why:  "Add adds each count to its day in UTC, whatever its time or zone. ByDay returns the days oldest first, and leaves empty days out.",
			run: func(t tester, s store.Store) {
				late, early := count(3, 1, 0), count(3, 2, 5)
				late.Day = day(4).Add(-time.Microsecond)
				early.Day = time.Date(2026, 3, 2, 20, 0, 0, 0, time.FixedZone("west", -5*3600))
				must(t, "Add", s.Usage.Add(background, []store.Count{count(7, 0, 4), late, early, count(5, 0, 0)}))
				must(t, "Add", s.Usage.Add(background, []store.Count{count(7, 3, 1), count(1, 1, 0)}))
				must(t, "Add of nothing", s.Usage.Add(background, nil))
				wantDays(t, s, "key-1", day(1), day(31), count(1, 1, 0), count(3, 3, 5), count(7, 3, 5))
				days, err := s.Usage.ByDay(background, "team-a", "key-1", day(1), day(31))
				must(t, "ByDay", err)
				for i := range days {
					days[i].Logins = 99
				}
				wantDays(t, s, "key-1", day(1), day(2), count(1, 1, 0))
			},
		},
		{
			name: "from <= day < to",
			why:  "ByDay returns the days whose midnight is in the span. The start is included, the end is not.",
			run: func(t tester, s store.Store) {
				for n := 1; n <= 5; n++ {
					must(t, "Add", s.Usage.Add(background, []store.Count{count(n, int64(n), 0)}))
				}
				wantDays(t, s, "key-1", day(2), day(4), count(2, 2, 0), count(3, 3, 0))
				wantDays(t, s, "key-1", day(2).Add(time.Second), day(4).Add(time.Second), count(3, 3, 0), count(4, 4, 0))
				wantDays(t, s, "key-1", day(4), day(2))
				wantDays(t, s, "none", day(1), day(31))
			},
		},
		{
			name: "another workspace sees nothing",
			why:  "Counts belong to one key of one workspace.",
			run: func(t tester, s store.Store) {
				must(t, "Add", s.Usage.Add(background, []store.Count{count(1, 1, 1)}))
				for _, foreign := range []string{"team-b", "Team-a", ""} {
					days, err := s.Usage.ByDay(background, foreign, "key-1", day(1), day(31))
					must(t, "ByDay", err)
					equal(t, "days in "+foreign, len(days), 0)
				}
			},
		},
		{
			name: "prune removes old days",
			why:  "Prune removes the days of all keys before the given time, and returns how many.",
			run: func(t tester, s store.Store) {
				other := count(2, 1, 1)
				other.Key = "key-2"
				must(t, "Add", s.Usage.Add(background, []store.Count{count(1, 1, 0), count(2, 2, 0), count(3, 3, 0), other}))
				for _, want := range []int{3, 0} {
					n, err := s.Usage.Prune(background, day(3))
					must(t, "Prune", err)
					equal(t, "pruned", n, want)
				}
				wantDays(t, s, "key-1", day(1), day(31), count(3, 3, 0))
				wantDays(t, s, "key-2", day(1), day(31))
			},
		},
		{
			name: "no count is lost",
			why:  "Replicas add at once; every count arrives.",
			run: func(t tester, s store.Store) {
				errs := race(16, func(int) error {
					for range 5 {
						if err := s.Usage.Add(background, []store.Count{count(1, 1, 2), count(2, 3, 4)}); err != nil {
							return err
						}
					}
					return nil
				})
				for _, err := range errs {
					must(t, "Add", err)
				}
				wantDays(t, s, "key-1", day(1), day(31), count(1, 80, 160), count(2, 240, 320))
			},
		},
	}
}

func wantDays(t tester, s store.Store, key string, from, to time.Time, want ...store.Count) {
	t.Helper()
	got, err := s.Usage.ByDay(background, "team-a", key, from, to)
	must(t, "ByDay", err)
	equalText(t, "days", countText(got), countText(want))
}

func countText(counts []store.Count) []string {
	var text []string
	for _, c := range counts {
		text = append(text, fmt.Sprintf("%s %s %s: %d logins, %d refusals", c.Workspace, c.Key, stamp(c.Day), c.Logins, c.Refusals))
	}
	return text
}
