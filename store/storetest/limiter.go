package storetest

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// slack is by how much a result may be below the exact time ahead: a limiter that uses its
// server's clock answers after some time has passed. The rules use steps of hours, so
// slack hides no error.
const slack = time.Minute

func limiterRules() []rule {
	return []rule{
		{
			name: "moves within the window",
			why:  "Each step moves the arrival time ahead, until the result would be more than the window ahead. A refused step changes nothing.",
			run: func(t tester, s store.Store) {
				for n := 1; n <= 5; n++ {
					advance(t, s, "id", noon, time.Hour, 5*time.Hour, time.Duration(n)*time.Hour, true)
				}
				for range 3 {
					advance(t, s, "id", noon, time.Hour, 5*time.Hour, 5*time.Hour, false)
				}
			},
		},
		{
			name: "refills as time goes by",
			why:  "As the caller's clock advances, the id may use that time again. An arrival time that has passed counts as now. This rule is for limiters within a process.",
			run: func(t tester, s store.Store) {
				if ownClock(t, s) {
					return
				}
				for n := 1; n <= 3; n++ {
					advance(t, s, "id", noon, time.Second, 3*time.Second, time.Duration(n)*time.Second, true)
				}
				later := noon.Add(time.Second)
				advance(t, s, "id", later.Add(-time.Microsecond), time.Second, 3*time.Second, 2*time.Second+time.Microsecond, false)
				advance(t, s, "id", later, time.Second, 3*time.Second, 3*time.Second, true)
				advance(t, s, "id", later, time.Second, 3*time.Second, 3*time.Second, false)
				advance(t, s, "id", noon.Add(time.Hour), time.Second, 3*time.Second, time.Second, true)
			},
		},
		{
			name: "a step of 0 only reads",
			why:  "A step of 0 changes nothing. Without a stored arrival time the result is 0 ahead.",
			run: func(t tester, s store.Store) {
				advance(t, s, "id", noon, 0, 2*time.Hour, 0, false)
				advance(t, s, "id", noon, time.Hour, 2*time.Hour, time.Hour, true)
				advance(t, s, "id", noon, 0, 2*time.Hour, time.Hour, false)
				if !ownClock(t, s) {
					advance(t, s, "id", noon.Add(time.Hour), 0, 2*time.Hour, 0, false)
				}
			},
		},
		{
			name: "a step longer than the window never moves",
			why:  "With a window shorter than the step every attempt is refused.",
			run: func(t tester, s store.Store) {
				advance(t, s, "id", noon, 2*time.Hour, time.Hour, 0, false)
				advance(t, s, "id", noon, time.Hour, 0, 0, false)
			},
		},
		{
			name: "ids do not share their count",
			why:  "The use of one id does not affect another, even if only case or a separator differs.",
			run: func(t tester, s store.Store) {
				for _, id := range []string{"a:b", "a", "A", "a:", "", "192.0.2.1", "192.0.2.11"} {
					advance(t, s, id, noon, time.Hour, time.Hour, time.Hour, true)
					advance(t, s, id, noon, time.Hour, time.Hour, time.Hour, false)
				}
			},
		},
		{
			name: "a clock that is behind allows nothing at once",
			why:  "A call with an earlier now is compared with the stored arrival time, which counts as at most one window ahead.",
			run: func(t tester, s store.Store) {
				advance(t, s, "id", noon, 2*time.Hour, 2*time.Hour, 2*time.Hour, true)
				ahead, moved, err := s.Limiter.Advance(background, "id", noon.Add(-3*time.Hour), time.Hour, 2*time.Hour)
				must(t, "Advance", err)
				equal(t, "three hours earlier: moved", moved, false)
				equal(t, "three hours earlier: almost a window ahead or more", ahead > 2*time.Hour-slack, true)
			},
		},
		{
			name: "B29 a wrong clock blocks for one window at most",
			why:  "A caller whose clock is years ahead, or a clock that is set back, leaves an arrival time far ahead. It counts as one window ahead.",
			run: func(t tester, s store.Store) {
				for _, wrong := range []time.Time{noon.AddDate(2, 0, 0), noon.Add(48 * time.Hour), noon.AddDate(-2, 0, 0)} {
					id := wrong.String()
					_, _, err := s.Limiter.Advance(background, id, wrong, time.Hour, 2*time.Hour)
					must(t, "Advance", err)
					ahead, _, err := s.Limiter.Advance(background, id, noon, 0, 2*time.Hour)
					must(t, "Advance", err)
					equal(t, "at most a window ahead", ahead <= 2*time.Hour, true)
					if !ownClock(t, s) {
						_, moved, err := s.Limiter.Advance(background, id, noon.Add(time.Hour), time.Hour, 2*time.Hour)
						must(t, "Advance", err)
						equal(t, "an hour later: moved", moved, true)
					}
				}
			},
		},
		{
			name: "exactly window/step attempts at one instant pass",
			why:  "Advance is atomic: attempts at one instant, whatever replica they use, cannot exceed the limit.",
			run: func(t tester, s store.Store) {
				for round := range 5 {
					var moved atomic.Int64
					errs := race(32, func(int) error {
						_, ok, err := s.Limiter.Advance(background, fmt.Sprint("id-", round), noon, time.Hour, 10*time.Hour)
						if ok {
							moved.Add(1)
						}
						return err
					})
					for _, err := range errs {
						must(t, "Advance", err)
					}
					equal(t, "attempts that passed", moved.Load(), 10)
				}
			},
		},
	}
}

// ownClock reports whether the limiter uses its server's clock and not the caller's.
func ownClock(t tester, s store.Store) bool {
	t.Helper()
	_, _, err := s.Limiter.Advance(background, "probe", noon, time.Hour, time.Hour)
	must(t, "Advance", err)
	ahead, _, err := s.Limiter.Advance(background, "probe", noon.AddDate(100, 0, 0), 0, time.Hour)
	must(t, "Advance", err)
	return ahead > 0
}

func advance(t tester, s store.Store, id string, now time.Time, step, window, ahead time.Duration, moved bool) {
	t.Helper()
	got, ok, err := s.Limiter.Advance(background, id, now, step, window)
	must(t, "Advance", err)
	what := fmt.Sprintf("Advance(%q, now %s, step %s, window %s)", id, now.Format("15:04:05"), step, window)
	if got > ahead || got < 0 || got < ahead && (!ownClock(t, s) || got <= ahead-slack) {
		t.Errorf("%s: got %s ahead, want %s", what, got, ahead)
	}
	equal(t, what+": moved", ok, moved)
}
