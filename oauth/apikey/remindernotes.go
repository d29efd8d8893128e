package apikey

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// What reminders leave behind are one-time ids, so that replicas agree:
//
//	ID.1, ID.2 ...      attempts at one reminder; the time of the next one
//	series.1 ...        reminders sent of one key and end; how long
//	                    before it
const spaceReminder = "apikey.reminder"

const (
	// noteTimeout bounds the writing of what was sent.
	noteTimeout = 5 * time.Second

	// firstRetry is longer than a call can take, so that no second one is
	// made while it lasts.
	firstRetry = 5 * time.Minute
	lastRetry  = 6 * time.Hour

	// clocksApart keeps notes longer than the key lives, for a replica whose
	// clock is behind.
	clocksApart = 24 * time.Hour
)

func noteOf(id string, n int, expires time.Time) store.OnceID {
	return store.OnceID{Space: spaceReminder, ID: fmt.Sprintf("%s.%d", id, n), Expires: expires.Add(clocksApart)}
}

// sent reports whether a reminder of the key was sent at this or a later time
// before its end, and which note comes next.
func (s *Service) sent(ctx context.Context, d due) (sent bool, next int, err error) {
	for next = 1; ; next++ {
		note := noteOf(d.series, next, d.ends)
		noted, err := s.store.OnceIDs.Find(ctx, note.Space, note.ID, s.now())
		switch {
		case errors.Is(err, store.ErrNotFound):
			return false, next, nil
		case err != nil:
			return false, 0, fmt.Errorf("apikey: remind: %w", err)
		}
		before, err := time.ParseDuration(noted.Value)
		if err != nil {
			return false, 0, fmt.Errorf("apikey: remind: the note of what was sent is malformed: %w", err)
		}
		if before <= d.before {
			s.reminded.add(d.id, d.ends)
			return true, 0, nil
		}
	}
}

// noteSent notes that a reminder was sent. The note does not end with ctx: if the
// process is stopped right after the call, the reminder is not sent again.
func (s *Service) noteSent(ctx context.Context, d due, n int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	for ; ; n++ {
		note := noteOf(d.series, n, d.ends)
		note.Value = d.before.String()
		err := s.store.OnceIDs.Spend(ctx, note, s.now())
		switch {
		case err == nil:
			s.reminded.add(d.id, d.ends)
			return nil
		case !errors.Is(err, store.ErrExists): // of another time before the end
			return fmt.Errorf("apikey: remind: note what was sent: %w", err)
		}
	}
}

// claim spends the number of the attempt that is due, and reports whether this
// process got it.
func (s *Service) claim(ctx context.Context, d due) (bool, error) {
	now := s.now()
	wait := firstRetry
	for attempt := 1; ; attempt++ {
		once := noteOf(d.id, attempt, d.ends)
		made, err := s.store.OnceIDs.Find(ctx, once.Space, once.ID, now)
		switch {
		case err == nil:
			next, err := time.Parse(time.RFC3339Nano, made.Value)
			if err != nil {
				return false, fmt.Errorf("apikey: remind: the note of an attempt is malformed: %w", err)
			}
			if now.Before(next) {
				s.reminded.add(d.id, next)
				return false, nil
			}
			wait = min(2*wait, lastRetry)
			continue
		case !errors.Is(err, store.ErrNotFound):
			return false, fmt.Errorf("apikey: remind: %w", err)
		}
		once.Value = now.Add(wait).Format(time.RFC3339Nano)
		err = s.store.OnceIDs.Spend(ctx, once, now)
		if errors.Is(err, store.ErrExists) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("apikey: remind: %w", err)
		}
		return true, nil
	}
}

// reminded remembers until when a reminder needs no look, to save reads.
type reminded struct {
	mu    *sync.Mutex
	until map[string]time.Time
}

const maxReminded = 100_000

func newReminded() reminded { return reminded{new(sync.Mutex), make(map[string]time.Time)} }

func (r reminded) rests(id string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.until[id])
}

func (r reminded) add(id string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.until) >= maxReminded {
		clear(r.until)
	}
	r.until[id] = until
}
