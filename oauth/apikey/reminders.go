package apikey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// Reminders tells the host of keys that are about to expire.
type Reminders struct {
	// Send, unless nil, is called once for each key and each of the times
	// before its end that the settings name, or those in Before where they
	// name none; not at all while they switch reminders off.
	//
	// The end is the key's expiry or, where rules hold for all keys from a
	// date, what they make of it. For a key that they end earlier Send may be
	// called before its time: by up to an hour or, where only its workspace's
	// own rules name a date, a day. So often all keys are gone through, by one
	// replica.
	//
	// Of several times that have come at once only the last is sent: for a key
	// made late, and likewise where a time was added, or reminders switched
	// on, when it had come already. After one, none of a longer time is sent
	// of the same key and end. So a change of settings sends at most one
	// reminder of a key at once, and none again.
	//
	// Across all replicas one call is made, and none for a key that is
	// disabled, deleted or expired by then. A call that failed, or whose
	// process died, is made again with the same Reminder.ID, after 5 minutes,
	// then 10, and so on up to 6 hours (for a key that rules end, not before
	// all are gone through again), until the key has ended: who must not tell
	// twice keeps the ids. ctx ends after a minute, and Send must
	// return then. It needs Store.OnceIDs.
	Send func(ctx context.Context, r Reminder) error
	// Before says how long before the end, unless settings say otherwise.
	// Default 30, 7 and 1 days; at most store.MaxReminders, from 1 hour to 366
	// days each.
	Before []time.Duration
}

// Reminder is one key that is about to expire.
type Reminder struct {
	// ID is the same whenever this reminder is sent again, and another one
	// for another key, time or end. It has 32 characters.
	ID string
	// Key is the key as it is.
	Key Key
	// Ends is the instant from which no login with the key passes: its expiry,
	// or earlier where rules say so.
	Ends time.Time
	// Before is which of the times has come.
	Before time.Duration
}

// sendTimeout bounds one call of Reminders.Send.
const sendTimeout = time.Minute

// Remind looks for keys about to expire and calls Reminders.Send for those
// whose time has come, by the settings as they are now. Call it every few
// minutes, in any number of replicas; it returns when the calls it makes have
// returned. What failed is joined into the error and tried again by a later
// call; while settings cannot be read nothing is sent. Without Reminders.Send
// it does nothing.
func (s *Service) Remind(ctx context.Context) error {
	if s.cfg.Reminders.Send == nil {
		return nil
	}
	instance, err := s.store.Settings.Instance(ctx)
	if err != nil {
		return fmt.Errorf("apikey: remind: read settings: %w", err)
	}
	times := s.timesOf(s.effective(instance))
	if len(times) == 0 {
		return nil
	}
	return errors.Join(s.remindExpiring(ctx, times), s.remindEnforced(ctx, s.effective(instance)))
}

// remindExpiring reminds of the keys that end by their own expiry.
func (s *Service) remindExpiring(ctx context.Context, times []time.Duration) error {
	now := s.now()
	q := store.KeyQuery{
		NotAfterFrom: now.Add(time.Microsecond), // a key that ends now has expired
		NotAfterTo:   now.Add(times[0] + time.Microsecond),
		Disabled:     new(bool),
		Limit:        store.MaxPage,
	}
	return s.remindAll(ctx, q, 0, false)
}

// remindAll sends the reminders that come within early of the keys in a list that
// end by rules, or of the others. It goes on where one cannot be sent.
func (s *Service) remindAll(ctx context.Context, q store.KeyQuery, early time.Duration, byRules bool) error {
	var problems []error
	for {
		page, err := s.store.Keys.List(ctx, q)
		if err != nil {
			return errors.Join(append(problems, fmt.Errorf("%w: list keys: %w", errCut, err))...)
		}
		page.Instance = s.effective(page.Instance)
		for i := range page.Keys {
			if d := s.dueAt(foundOf(&page, i), s.now(), early); d.id != "" && d.byRules == byRules {
				if err := s.remind(ctx, d); err != nil {
					problems = append(problems, err)
				}
			}
			if err := ctx.Err(); err != nil {
				return errors.Join(append(problems, fmt.Errorf("%w: %w", errCut, err))...)
			}
		}
		if page.Next == nil {
			return errors.Join(problems...)
		}
		q.After = page.Next
	}
}

// errCut: not all keys were looked at.
var errCut = errors.New("apikey: remind")

// due is a reminder that has come.
type due struct {
	id     string // of Reminder; empty: none has come
	series string // of all reminders of one key and end
	key    string
	ends   time.Time
	before time.Duration
	early  time.Duration // by which it may be sent

	byRules bool // the key ends by rules
}

// dueAt is the reminder of a key that would be sent, if it was not yet, up to early
// before its time.
func (s *Service) dueAt(f *store.Found, now time.Time, early time.Duration) due {
	standing := standingAt(f, now)
	if s.cfg.Reminders.Send == nil || standing.State == policy.StateDisabled || standing.State == policy.StateExpired {
		return due{}
	}
	d := dueOf(f.Key.ID, standing.Ends, s.timesOf(f.Instance), now.Add(early))
	d.early, d.byRules = early, standing.ByRules
	return d
}

// dueOf returns the last reminder that has come of a key that ends then, of the
// times in the order of timesOf.
func dueOf(key string, ends time.Time, times []time.Duration, now time.Time) due {
	if ends.IsZero() {
		return due{}
	}
	for _, before := range slices.Backward(times) {
		if !now.Before(ends.Add(-before)) {
			return due{id: reminderID(key, ends, before), series: reminderID(key, ends, 0), key: key, ends: ends, before: before}
		}
	}
	return due{}
}

func reminderID(key string, ends time.Time, before time.Duration) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "latchkey reminder\x00%s\x00%d\x00%d", key, ends.UnixMicro(), before))
	return hex.EncodeToString(sum[:16])
}

// remind sends a reminder, if nobody did or is at it. Attempts are numbered,
// and each number is spent once, with the time of the next one as its value;
// what was sent is noted in the same way. So no two replicas make one attempt,
// and an attempt whose process died is followed by the next.
func (s *Service) remind(ctx context.Context, d due) error {
	if s.reminded.rests(d.id, s.now()) {
		return nil
	}
	sent, _, err := s.sent(ctx, d)
	if err != nil || sent {
		return err
	}
	claimed, err := s.claim(ctx, d)
	if err != nil || !claimed {
		return err
	}
	// Whoever made the attempt before may have come through since, and the
	// key and the settings may have changed since they were read.
	sent, next, err := s.sent(ctx, d)
	if err != nil || sent {
		return err
	}
	found, err := s.lookup(ctx, d.key)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("apikey: remind: read key: %w", err)
	}
	found.Instance = s.effective(found.Instance)
	if s.dueAt(&found, s.now(), d.early).id != d.id {
		return nil
	}
	sending, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := s.cfg.Reminders.Send(sending, Reminder{ID: d.id, Key: s.shown(&found, s.now()), Ends: d.ends, Before: d.before}); err != nil {
		return fmt.Errorf("apikey: remind of key %s: %w", d.key, err)
	}
	return s.noteSent(ctx, d, next)
}
