package reminders

import (
	"strconv"
	"time"
)

const MaxResting = maxResting

// Rest has s remember n reminders that need no look, and returns how many it remembers.
func (s *Sender) Rest(n int, until time.Time) int {
	for i := range n {
		s.notes.rest(strconv.Itoa(i), until)
	}
	return len(s.notes.resting)
}
