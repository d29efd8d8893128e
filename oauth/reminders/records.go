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
	// recordTimeout bounds the write that records a sent reminder.
	recordTimeout = 5 * time.Second

	// firstRetry is longer than a call of send can take, so that there is no second
	// call at the same time.
	firstRetry = 5 * time.Minute
	lastRetry  = 6 * time.Hour

	// clockSkew is how long records are kept after the key has ended, for replicas
	// whose clock is slow.
	clockSkew = 24 * time.Hour

	// maxSkip bounds the entries of skip.
	maxSkip = 100_000
)

// records reads and writes the records of attempts and sent reminders.
type records struct {
	once store.OnceIDs
	now  func() time.Time

	// skip holds until when a reminder need not be looked up, to save reads.
	mu   sync.Mutex
	skip map[string]time.Time
}

func recordOf(id string, n int, ends time.Time) store.OnceID {
	return store.OnceID{Space: space, ID: fmt.Sprintf("%s.%d", id, n), Expires: ends.Add(clockSkew)}
}

// read returns the values of all records of one id.
func (r *records) read(ctx context.Context, id string, ends time.Time) ([]time.Duration, error) {
	var values []time.Duration
	for {
		record := recordOf(id, len(values)+1, ends)
		found, err := r.once.Find(ctx, record.Space, record.ID, r.now())
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
func (r *records) claim(ctx context.Context, d due) (bool, error) {
	if r.skipped(d.id) {
		return false, nil
	}
	if done, err := r.wasSent(ctx, d); err != nil || done {
		return false, err
	}
	attempts, err := r.read(ctx, d.id, d.ends)
	if err != nil {
		return false, err
	}
	now, wait := r.now(), firstRetry
	for _, left := range attempts {
		if next := d.ends.Add(-left); now.Before(next) {
			r.skipUntil(d.id, next)
			return false, nil
		}
		wait = min(2*wait, lastRetry)
	}
	attempt := recordOf(d.id, len(attempts)+1, d.ends)
	attempt.Value = d.ends.Sub(now.Add(wait)).String()
	err = r.once.Spend(ctx, attempt, now)
	if errors.Is(err, store.ErrExists) { // another process was faster
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reminders: %w", err)
	}
	// The process that made the attempt before may have succeeded meanwhile.
	done, err := r.wasSent(ctx, d)
	return err == nil && !done, err
}

// wasSent reports whether a reminder of the key was sent at this or a later time
// before its end.
func (r *records) wasSent(ctx context.Context, d due) (bool, error) {
	sent, err := r.read(ctx, d.series, d.ends)
	done := slices.ContainsFunc(sent, func(before time.Duration) bool { return before <= d.before })
	if done {
		r.skipUntil(d.id, d.ends)
	}
	return done, err
}

// sent records that a reminder was sent. It ignores the end of ctx: if the process
// is stopped right after the call of send, the reminder is not sent again.
func (r *records) sent(ctx context.Context, d due) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	for number := 1; ; number++ {
		record := recordOf(d.series, number, d.ends)
		record.Value = d.before.String()
		err := r.once.Spend(ctx, record, r.now())
		switch {
		case err == nil:
			r.skipUntil(d.id, d.ends)
			return nil
		case !errors.Is(err, store.ErrExists): // the number is spent for another time before the end
			return fmt.Errorf("reminders: record that the reminder was sent: %w", err)
		}
	}
}

func (r *records) skipped(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now().Before(r.skip[id])
}

func (r *records) skipUntil(id string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.skip) >= maxSkip {
		clear(r.skip)
	}
	r.skip[id] = until
}
