package apikey

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

const (
	leastBefore = time.Hour
	mostBefore  = 366 * 24 * time.Hour
)

func (r *Reminders) complete() []error {
	var problems []error
	r.Before = slices.Clone(r.Before)
	if len(r.Before) == 0 {
		r.Before = []time.Duration{30 * 24 * time.Hour, 7 * 24 * time.Hour, 24 * time.Hour}
	}
	for i, before := range r.Before {
		if before < leastBefore || before > mostBefore {
			problems = append(problems, fmt.Errorf("Config.Reminders.Before[%d] is %s; it must be from %s to %s", i, before, leastBefore, mostBefore))
		}
	}
	longestFirst(r.Before)
	r.Before = slices.Compact(r.Before)
	if n := len(r.Before); n > store.MaxReminders {
		problems = append(problems, fmt.Errorf("Config.Reminders.Before has %d times; it may have at most %d", n, store.MaxReminders))
	}
	return problems
}

// ReminderTimes returns how long before its expiry the host is told of a key
// under the given settings, the longest time first; none where they switch
// reminders off. sent is false without Config.Reminders.Send: nobody is told
// then, whatever the settings say.
func (s *Service) ReminderTimes(settings store.Instance) (before []time.Duration, sent bool) {
	return slices.Clone(s.timesOf(settings)), s.cfg.Reminders.Send != nil
}

// timesOf are the times in force under settings, the longest first.
func (s *Service) timesOf(settings store.Instance) []time.Duration {
	if settings.RemindersOff {
		return nil
	}
	var times []time.Duration
	for _, before := range settings.RemindBefore {
		if before > 0 {
			times = append(times, before)
		}
	}
	if len(times) == 0 {
		return s.cfg.Reminders.Before
	}
	longestFirst(times)
	return times
}

func longestFirst(times []time.Duration) {
	slices.SortFunc(times, func(a, b time.Duration) int { return cmp.Compare(b, a) })
}

func checkReminders(bad *InvalidError, times [store.MaxReminders]time.Duration) {
	for i, before := range times {
		switch {
		case before == 0:
		case before < leastBefore, before > mostBefore:
			bad.add("remind_before", "Each time must be from 1 hour to 366 days.")
			return
		case slices.Contains(times[:i], before):
			bad.add("remind_before", "No time may be there twice.")
			return
		}
	}
}

// keptTimes returns times as they are saved, so that they compare: the longest
// first, and no gaps.
func keptTimes(times [store.MaxReminders]time.Duration) [store.MaxReminders]time.Duration {
	longestFirst(times[:])
	return times
}
