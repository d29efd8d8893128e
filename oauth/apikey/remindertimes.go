package apikey

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// timesProblem returns what is wrong with the times of reminders, or the empty
// text.
func timesProblem(times []time.Duration) string {
	const least, most = time.Hour, 366 * 24 * time.Hour
	for i, before := range times {
		switch {
		case before < least, before > most:
			return "Each time must be from 1 hour to 366 days."
		case slices.Contains(times[:i], before):
			return "No time may be listed twice."
		}
	}
	if len(times) > store.MaxReminders {
		return fmt.Sprintf("There may be at most %d times.", store.MaxReminders)
	}
	return ""
}

// ReminderTimes returns how long before a key's expiry reminders are sent under the
// given settings, the longest time first. It returns none if the settings switch
// reminders off. sent is false if Config.RemindBefore is empty: then no reminders
// are sent, whatever the settings say.
func (s *Service) ReminderTimes(r store.Reminders) (before []time.Duration, sent bool) {
	switch {
	case len(s.cfg.RemindBefore) == 0:
		return nil, false
	case r.Off:
		return nil, true
	case len(r.Before) == 0:
		r.Before = s.cfg.RemindBefore
	}
	return longestFirst(r.Before), true
}

// longestFirst sorts times, the longest first. They are saved in this order, so
// that equal lists compare equal.
func longestFirst(times []time.Duration) []time.Duration {
	return slices.SortedFunc(slices.Values(times), func(a, b time.Duration) int { return cmp.Compare(b, a) })
}
