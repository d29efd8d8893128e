package apikey

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// timesProblem says what is wrong with times of reminders.
func timesProblem(times []time.Duration) string {
	const least, most = time.Hour, 366 * 24 * time.Hour
	for i, before := range times {
		switch {
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
func (s *Service) ReminderTimes(r store.Reminders) (before []time.Duration, sent bool) {
	if len(s.cfg.RemindBefore) == 0 {
		return nil, false
	}
	if r.Off {
		return nil, true
	}
	if len(r.Before) == 0 {
		return longestFirst(s.cfg.RemindBefore), true
	}
	return longestFirst(r.Before), true
}

// longestFirst returns times in the order in which they are saved, so that they compare.
func longestFirst(times []time.Duration) []time.Duration {
	return slices.SortedFunc(slices.Values(times), func(a, b time.Duration) int { return cmp.Compare(b, a) })
}
