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

// completeTimes returns Config.RemindBefore as it is used.
func completeTimes(times []time.Duration) ([]time.Duration, []error) {
	var problems []error
	for i, before := range times {
		if before < leastBefore || before > mostBefore {
			problems = append(problems, fmt.Errorf("Config.RemindBefore[%d] is %s; it must be from %s to %s", i, before, leastBefore, mostBefore))
		}
	}
	times = slices.Clone(times)
	longestFirst(times)
	times = slices.Compact(times)
	if n := len(times); n > store.MaxReminders {
		problems = append(problems, fmt.Errorf("Config.RemindBefore has %d times; it may have at most %d", n, store.MaxReminders))
	}
	return times, problems
}

// ReminderTimes returns how long before its expiry the host is told of a key
// under the given settings, the longest time first; none where they switch
// reminders off. sent is false without Config.RemindBefore: nobody is told then,
// whatever the settings say.
func (s *Service) ReminderTimes(settings store.Instance) (before []time.Duration, sent bool) {
	if len(s.cfg.RemindBefore) == 0 {
		return nil, false
	}
	if settings.RemindersOff {
		return nil, true
	}
	for _, at := range settings.RemindBefore {
		if at > 0 {
			before = append(before, at)
		}
	}
	if len(before) == 0 {
		before = slices.Clone(s.cfg.RemindBefore)
	}
	longestFirst(before)
	return before, true
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
