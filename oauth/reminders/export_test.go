package reminders

import (
	"strconv"
	"time"
)

const MaxSkipped = maxSkip

// SkipReminders makes s remember n reminders that need not be looked up, and returns how
// many it remembers.
func (s *Sender) SkipReminders(n int, until time.Time) int {
	for i := range n {
		s.records.skipUntil(strconv.Itoa(i), until)
	}
	return len(s.records.skip)
}
