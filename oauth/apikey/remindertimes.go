package apikey

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// timesProblem says what is wrong with times of reminders, of which zero is none.
func timesProblem(times []time.Duration) string {
	const least, most = time.Hour, 366 * 24 * time.Hour
	for i, before := range times {
		switch {
		case before == 0:
		case before < least, before > most:
			return "Each time must be from 1 hour to 366 days."
		case slices.Contains(times[:i], before):
			return "No time may be there twice."
		}
	}
	if len(times) > store.MaxReminders {
		return fmt.Sprintf("There may be at most %d times.", store.MaxReminders)
	}
	return ""
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

// keptTimes returns times as they are saved, so that they compare: the longest
// first, and no gaps.
func keptTimes(times [store.MaxReminders]time.Duration) [store.MaxReminders]time.Duration {
	longestFirst(times[:])
	return times
}
