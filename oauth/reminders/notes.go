package reminders

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// Replicas coordinate by one-time ids in the store:
//
//	ID.1, ID.2 ...      attempts at one reminder
//	series.1 ...        reminders sent of one key and end
//
// The value of an attempt says how long before the end the next attempt may be
// made. The value of a sent reminder is its time before the end. Each number is
// spent once, so no two replicas make the same attempt, and if a process died
// during an attempt, the next one is made.
const space = "apikey.reminder"

const (
	// noteTimeout bounds the write that records a sent reminder.
	noteTimeout = 5 * time.Second

	// firstRetry is longer than a call of send can take, so that there is no second
	// call at the same time.
	firstRetry = 5 * time.Minute
	lastRetry  = 6 * time.Hour

	// clocksApart is how long notes are kept after the key has ended, for replicas
	// whose clock is slow.
	clocksApart = 24 * time.Hour

	// maxResting bounds the entries of resting.
	maxResting = 100_000
)

// notes reads and writes the records of attempts and sent reminders.
type notes struct {
	once store.OnceIDs
	now  func() time.Time

	// resting holds until when a reminder need not be looked up, to save reads.
	mu      *sync.Mutex
	resting map[string]time.Time
}

func newNotes(once store.OnceIDs, now func() time.Time) notes {
	return notes{once: once, now: now, mu: new(sync.Mutex), resting: make(map[string]time.Time)}
}

func noteOf(id string, n int, ends time.Time) store.OnceID {
	return store.OnceID{Space: space, ID: fmt.Sprintf("%s.%d", id, n), Expires: ends.Add(clocksApart)}
}

// read returns the values of all notes of one id.
func (n notes) read(ctx context.Context, id string, ends time.Time) ([]time.Duration, error) {
	var values []time.Duration
	for {
		note := noteOf(id, len(values)+1, ends)
		found, err := n.once.Find(ctx, note.Space, note.ID, n.now())
		switch {
		case errors.Is(err, store.ErrNotFound):
			return values, nil
		case err != nil:
			return nil, fmt.Errorf("reminders: %w", err)
		}
		value, err := time.ParseDuration(found.Value)
		if err != nil {
			return nil, fmt.Errorf("reminders: the record of a reminder is malformed: %w", err)
		}
		values = append(values, value)
	}
}

// claim reports whether this process must send a reminder now: neither it nor a
// later one was sent, and this process has claimed the next attempt.
func (n notes) claim(ctx context.Context, d due) (bool, error) {
	if n.rests(d.id) {
		return false, nil
	}
	if done, err := n.wasSent(ctx, d); err != nil || done {
		return false, err
	}
	attempts, err := n.read(ctx, d.id, d.ends)
	if err != nil {
		return false, err
	}
	now, wait := n.now(), firstRetry
	for _, left := range attempts {
		if next := d.ends.Add(-left); now.Before(next) {
			n.rest(d.id, next)
			return false, nil
		}
		wait = min(2*wait, lastRetry)
	}
	attempt := noteOf(d.id, len(attempts)+1, d.ends)
	attempt.Value = d.ends.Sub(now.Add(wait)).String()
	err = n.once.Spend(ctx, attempt, now)
	if errors.Is(err, store.ErrExists) { // another process was faster
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reminders: %w", err)
	}
	// The process that made the attempt before may have succeeded meanwhile.
	done, err := n.wasSent(ctx, d)
	return err == nil && !done, err
}

// wasSent reports whether a reminder of the key was sent at this or a later time
// before its end.
func (n notes) wasSent(ctx context.Context, d due) (bool, error) {
	sent, err := n.read(ctx, d.series, d.ends)
	done := slices.ContainsFunc(sent, func(before time.Duration) bool { return before <= d.before })
	if done {
		n.rest(d.id, d.ends)
	}
	return done, err
}

// sent records that a reminder was sent. It ignores the end of ctx: if the process
// is stopped right after the call of send, the reminder is not sent again.
func (n notes) sent(ctx context.Context, d due) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	for number := 1; ; number++ {
		note := noteOf(d.series, number, d.ends)
		note.Value = d.before.String()
		err := n.once.Spend(ctx, note, n.now())
		switch {
		case err == nil:
			n.rest(d.id, d.ends)
			return nil
		case !errors.Is(err, store.ErrExists): // the number is spent for another time before the end
			return fmt.Errorf("reminders: record that the reminder was sent: %w", err)
		}
	}
}

func (n notes) rests(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now().Before(n.resting[id])
}

func (n notes) rest(id string, until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.resting) >= maxResting {
		clear(n.resting)
	}
	n.resting[id] = until
}
