package storetest

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func limiterRules() []rule {
	return []rule{
		{
			name: "moves within the window",
			why:  "Each step moves the arrival time on, until it would lie more than the window ahead; a step that is refused changes nothing.",
			run: func(t tester, s store.Store) {
				for n := 1; n <= 5; n++ {
					advance(t, s, "id", noon, time.Second, 5*time.Second, noon.Add(time.Duration(n)*time.Second), true)
				}
				for range 3 {
					advance(t, s, "id", noon, time.Second, 5*time.Second, noon.Add(5*time.Second), false)
				}
				advance(t, s, "id", noon, time.Second, 6*time.Second, noon.Add(6*time.Second), true)
			},
		},
		{
			name: "refills as time goes by",
			why:  "What the caller's clock gains, the id may use again; an arrival time that is past starts anew from now.",
			run: func(t tester, s store.Store) {
				for n := 1; n <= 3; n++ {
					advance(t, s, "id", noon, time.Second, 3*time.Second, noon.Add(time.Duration(n)*time.Second), true)
				}
				later := noon.Add(time.Second)
				advance(t, s, "id", later.Add(-time.Microsecond), time.Second, 3*time.Second, noon.Add(3*time.Second), false)
				advance(t, s, "id", later, time.Second, 3*time.Second, noon.Add(4*time.Second), true)
				advance(t, s, "id", later, time.Second, 3*time.Second, noon.Add(4*time.Second), false)
				much := noon.Add(time.Hour)
				advance(t, s, "id", much, time.Second, 3*time.Second, much.Add(time.Second), true)
			},
		},
		{
			name: "a step of 0 only reads",
			why:  "A step of 0 moves nothing; without anything kept it reads now.",
			run: func(t tester, s store.Store) {
				advance(t, s, "id", noon, 0, time.Minute, noon, false)
				advance(t, s, "id", noon, time.Second, time.Minute, noon.Add(time.Second), true)
				advance(t, s, "id", noon, 0, time.Minute, noon.Add(time.Second), false)
				advance(t, s, "id", noon.Add(time.Hour), 0, time.Minute, noon.Add(time.Hour), false)
			},
		},
		{
			name: "a step wider than the window never moves",
			why:  "A window smaller than the step lets nothing through.",
			run: func(t tester, s store.Store) {
				advance(t, s, "id", noon, time.Minute, time.Second, noon, false)
				advance(t, s, "id", noon, time.Minute, 0, noon, false)
			},
		},
		{
			name: "ids are apart",
			why:  "One id's use takes nothing from another's, also where only case or a separator differs.",
			run: func(t tester, s store.Store) {
				for _, id := range []string{"a:b", "a", "A", "a:", "", "192.0.2.1", "192.0.2.11"} {
					advance(t, s, id, noon, time.Second, time.Second, noon.Add(time.Second), true)
					advance(t, s, id, noon, time.Second, time.Second, noon.Add(time.Second), false)
				}
			},
		},
		{
			name: "a clock that runs behind gains nothing at once",
			why:  "An earlier now meets the arrival time that is kept, as far as it lies within the window ahead.",
			run: func(t tester, s store.Store) {
				advance(t, s, "id", noon, 2*time.Second, 2*time.Second, noon.Add(2*time.Second), true)
				earlier := noon.Add(-time.Minute)
				at, moved, err := s.Limiter.Advance(background, "id", earlier, time.Second, 2*time.Second)
				must(t, "Advance", err)
				equal(t, "a minute earlier: moved", moved, false)
				equal(t, "a minute earlier: an arrival before the window's end", at.Before(earlier.Add(2*time.Second)), false)
			},
		},
		{
			name: "of many at one instant exactly window/step pass",
			why:  "Advance is atomic: attempts at one instant, through whichever replica, cannot exceed the limit.",
			run: func(t tester, s store.Store) {
				for round := range 5 {
					var moved atomic.Int64
					errs := race(32, func(int) error {
						_, ok, err := s.Limiter.Advance(background, fmt.Sprint("id-", round), noon, 100*time.Millisecond, time.Second)
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

func advance(t tester, s store.Store, id string, now time.Time, by, window time.Duration, arrival time.Time, moved bool) {
	t.Helper()
	at, ok, err := s.Limiter.Advance(background, id, now, by, window)
	must(t, "Advance", err)
	what := fmt.Sprintf("Advance(%q, now %s, by %s, window %s)", id, now.Format("15:04:05"), by, window)
	equalTime(t, what+": arrival", at.UTC(), arrival)
	equal(t, what+": moved", ok, moved)
}
