package apikey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// Reminders tells the host of keys that are about to expire.
type Reminders struct {
	// Send, unless nil, is called once for each key and each of the times in
	// Before; of several that have come at once, as for a key made late, only
	// for the last. Across all replicas one call is made, and none for a key
	// that is disabled, deleted or expired by then. A call that failed, or
	// whose process died, is made again with the same Reminder.ID, after 5
	// minutes, then 10, and so on up to 6 hours, until the key has expired:
	// who must not tell twice keeps the ids. ctx ends after SendTimeout, and
	// Send must return then. It needs Store.OnceIDs.
	Send func(ctx context.Context, r Reminder) error
	// Before says how long before the expiry. Default 30, 7 and 1 days; from
	// 1 hour to 366 days each.
	Before []time.Duration
}

// Reminder is one key that is about to expire.
type Reminder struct {
	// ID is the same whenever this reminder is sent again, and another one
	// for another key, time or expiry. It has 32 characters.
	ID string
	// Key is the key as it is, without digests.
	Key store.Key
	// Ends is the instant from which no login with the key passes: its expiry,
	// or earlier where settings say so.
	Ends time.Time
	// Before is which of Reminders.Before has come.
	Before time.Duration
}

const (
	// SendTimeout bounds one call of Reminders.Send.
	SendTimeout = time.Minute
	// noteTimeout bounds the writing of what was sent.
	noteTimeout = 5 * time.Second

	// firstRetry is longer than a call can take, so that no second one is
	// made while it lasts.
	firstRetry = 5 * time.Minute
	lastRetry  = 6 * time.Hour

	leastBefore = time.Hour
	mostBefore  = 366 * 24 * time.Hour

	// clocksApart keeps notes longer than the key lives, for a replica whose
	// clock is behind.
	clocksApart = 24 * time.Hour

	spaceReminder = "apikey.reminder"
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
	slices.Sort(r.Before)
	r.Before = slices.Compact(r.Before)
	return problems
}

// Remind looks for keys about to expire and calls Reminders.Send for those
// whose time has come. Call it every few minutes, in any number of replicas;
// it returns when the calls it makes have returned. What failed is joined into
// the error and tried again by a later call. Without Reminders.Send it does
// nothing.
func (s *Service) Remind(ctx context.Context) error {
	if s.cfg.Reminders.Send == nil {
		return nil
	}
	now := s.now()
	before := s.cfg.Reminders.Before
	q := store.KeyQuery{
		NotAfterFrom: now.Add(time.Microsecond), // a key that ends now has expired
		NotAfterTo:   now.Add(before[len(before)-1] + time.Microsecond),
		Disabled:     new(bool),
		Limit:        store.MaxPage,
	}
	var problems []error
	for {
		page, err := s.store.Keys.List(ctx, q)
		if err != nil {
			return errors.Join(append(problems, fmt.Errorf("apikey: list expiring keys: %w", err))...)
		}
		for i := range page.Keys {
			if err := s.remind(ctx, &page.Keys[i]); err != nil {
				problems = append(problems, err)
			}
			if err := ctx.Err(); err != nil {
				return errors.Join(append(problems, err)...)
			}
		}
		if page.Next == nil {
			return errors.Join(problems...)
		}
		q.After = page.Next
	}
}

// remind sends the reminder of one key that has come, if nobody did or is at
// it. Attempts are numbered, and each number is spent once, with the time of
// the next one as its value; a reminder that was sent is spent too. So no two
// replicas make one attempt, and an attempt whose process died is followed by
// the next.
func (s *Service) remind(ctx context.Context, k *store.Key) error {
	now := s.now()
	id, before := reminderOf(k, s.cfg.Reminders.Before, now)
	if id == "" || s.reminded.rests(id, now) {
		return nil
	}
	sent, err := s.wasSent(ctx, id)
	if err != nil || sent {
		return err
	}
	claimed, err := s.claim(ctx, id, k.NotAfter)
	if err != nil || !claimed {
		return err
	}
	// Whoever made the attempt before may have come through since, and the
	// key may have changed since it was listed.
	if sent, err := s.wasSent(ctx, id); err != nil || sent {
		return err
	}
	found, err := s.lookup(ctx, k.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("apikey: remind: read key: %w", err)
	}
	now = s.now()
	ends, _ := policy.EndsAt(&found.Key, policy.EffectiveRules(s.effective(found.Instance), found.Workspace))
	if again, _ := reminderOf(&found.Key, s.cfg.Reminders.Before, now); found.Key.Disabled || ended(ends, now) || again != id {
		return nil
	}
	sending, cancel := context.WithTimeout(ctx, SendTimeout)
	defer cancel()
	if err := s.cfg.Reminders.Send(sending, Reminder{ID: id, Key: blank(found.Key), Ends: ends, Before: before}); err != nil {
		return fmt.Errorf("apikey: remind of key %s: %w", k.ID, err)
	}
	// A process that is told to end between the two would have it sent again.
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	err = s.store.OnceIDs.Spend(noting, store.OnceID{Space: spaceReminder, ID: id, Expires: k.NotAfter.Add(clocksApart)}, now)
	if err != nil && !errors.Is(err, store.ErrExists) {
		return fmt.Errorf("apikey: remind: note what was sent: %w", err)
	}
	s.reminded.add(id, k.NotAfter)
	return nil
}

// reminderOf returns the id of the last reminder that has come, and how long
// before the expiry it is; empty if none has.
func reminderOf(k *store.Key, all []time.Duration, now time.Time) (id string, before time.Duration) {
	for _, before := range all { // in ascending order
		if !k.NotAfter.IsZero() && !now.Before(k.NotAfter.Add(-before)) {
			sum := sha256.Sum256(fmt.Appendf(nil, "latchkey reminder\x00%s\x00%d\x00%d", k.ID, k.NotAfter.UnixMicro(), before))
			return hex.EncodeToString(sum[:16]), before
		}
	}
	return "", 0
}

func (s *Service) wasSent(ctx context.Context, id string) (bool, error) {
	sent, err := s.store.OnceIDs.Find(ctx, spaceReminder, id, s.now())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("apikey: remind: %w", err)
	}
	s.reminded.add(id, sent.Expires)
	return true, nil
}

// claim spends the number of the attempt that is due, and reports whether this
// process got it.
func (s *Service) claim(ctx context.Context, id string, expires time.Time) (bool, error) {
	now := s.now()
	wait := firstRetry
	for attempt := 1; ; attempt++ {
		once := store.OnceID{Space: spaceReminder, ID: fmt.Sprintf("%s.%d", id, attempt), Expires: expires.Add(clocksApart)}
		made, err := s.store.OnceIDs.Find(ctx, once.Space, once.ID, now)
		switch {
		case err == nil:
			next, err := time.Parse(time.RFC3339Nano, made.Value)
			if err != nil {
				return false, fmt.Errorf("apikey: remind: the note of an attempt is malformed: %w", err)
			}
			if now.Before(next) {
				s.reminded.add(id, next)
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
