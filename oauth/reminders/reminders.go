// Package reminders tells the host of API keys that are about to expire:
//
//	sender, err := reminders.New(st, srv.APIKeys(), func(ctx context.Context, r reminders.Reminder) error {
//		return mail(ctx, r.Key.CreatedBy.ID, "The key "+r.Key.Name+" ends on "+r.Ends.Format(time.DateOnly))
//	})
//
// Package oauth does so itself, if its Config.Reminders is set.
package reminders

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// Reminder is one key that is about to expire.
type Reminder struct {
	// ID is the same whenever this reminder is sent again, and another one
	// for another key, time or end. It has 32 characters.
	ID string
	// Key is the key as it is.
	Key apikey.Key
	// Ends is the instant from which no login with the key passes: its expiry,
	// or earlier where rules say so.
	Ends time.Time
	// Before is which of the times has come.
	Before time.Duration
}

// Sender sends reminders. It is safe for concurrent use.
type Sender struct {
	keys  *apikey.Service
	notes notes
	send  func(context.Context, Reminder) error
}

// New returns a Sender for the keys of a service on st, which needs OnceIDs.
//
// send is called once for each key and each of the times before its end that
// ReminderTimes of the service names, and not while it names none.
//
// The end is the key's expiry or, where rules hold for all keys from a date,
// what they make of it. For a key that they end earlier send may be called
// before its time: by up to an hour or, where only its workspace's own rules
// name a date, a day. So often all keys are gone through, by one replica.
//
// Of several times that have come at once only the last is sent: for a key
// made late, and likewise where a time was added, or reminders switched on,
// when it had come already. After one, none of a longer time is sent of the
// same key and end. So a change of settings sends at most one reminder of a key
// at once, and none again.
//
// Across all replicas one call is made, and none for a key that is disabled,
// deleted or expired by then. A call that failed, or whose process died, is made
// again with the same Reminder.ID, after 5 minutes, then 10, and so on up to 6
// hours (for a key that rules end, not before all are gone through again), until
// the key has ended: who must not tell twice keeps the ids. ctx ends after a
// minute, and send must return then.
func New(st store.Store, keys *apikey.Service, send func(ctx context.Context, r Reminder) error) (*Sender, error) {
	if st.OnceIDs == nil || keys == nil || send == nil {
		return nil, errors.New("reminders: Store.OnceIDs, keys and send are needed")
	}
	return &Sender{keys: keys, notes: newNotes(st.OnceIDs, keys.Now), send: send}, nil
}

const (
	// sendTimeout bounds one call of the host's.
	sendTimeout = time.Minute
	// How often all keys are gone through: while the instance's rules hold for
	// all keys from a date, and otherwise, since those of a workspace may.
	scanEnforced = time.Hour
	scanElse     = 24 * time.Hour
)

// reader sees all keys and changes nothing.
func reader() apikey.Actor { return apikey.OrganizationAdmin("reminders") }

// Remind looks for keys about to expire and sends the reminders whose time has
// come, by the settings as they are now. Call it every few minutes, in any number
// of replicas; it returns when the calls it makes have returned. What failed is
// joined into the error and tried again by a later call; while settings cannot be
// read nothing is sent.
func (s *Sender) Remind(ctx context.Context) error {
	settings, times, err := s.settings(ctx)
	if err != nil || len(times) == 0 {
		return err
	}
	return errors.Join(s.remindExpiring(ctx, times), s.remindEnforced(ctx, times, settings.Rules))
}

// settings returns the times in force, the longest first.
func (s *Sender) settings(ctx context.Context) (store.InstanceSettings, []time.Duration, error) {
	settings, err := s.keys.Settings(ctx, reader())
	if err != nil {
		return settings, nil, fmt.Errorf("reminders: %w", err)
	}
	times, _ := s.keys.ReminderTimes(settings.Reminders)
	return settings, times, nil
}

// remindExpiring reminds of the keys that end by their own expiry.
func (s *Sender) remindExpiring(ctx context.Context, times []time.Duration) error {
	now := s.keys.Now()
	return s.remindAll(ctx, times, 0, false, store.KeyQuery{
		NotAfterFrom: now.Add(time.Microsecond), // a key that ends now has expired
		NotAfterTo:   now.Add(times[0] + time.Microsecond),
	})
}

// remindEnforced reminds of the keys that rules end before their own expiry.
// No index finds them, so all keys are gone through, once in each stretch of
// time and by one replica; the reminders that will come before the next time
// are sent now. The scan is claimed and noted as a reminder is, so that one
// that was cut off is made again.
func (s *Sender) remindEnforced(ctx context.Context, times []time.Duration, rules store.Rules) error {
	every := scanElse
	if !rules.EnforcedFrom.IsZero() {
		every = scanEnforced
	}
	begin := s.keys.Now().Truncate(every)
	name := fmt.Sprintf("%s.%d", every, begin.Unix())
	scan := due{id: "scan." + name, series: "scanned." + name, ends: begin.Add(every), before: every}
	claimed, err := s.notes.claim(ctx, scan)
	if err != nil || !claimed {
		return err
	}
	err = s.remindAll(ctx, times, every, true, store.KeyQuery{})
	if errors.Is(err, errCut) {
		return err
	}
	return errors.Join(err, s.notes.sent(ctx, scan))
}

// errCut: not all keys were looked at.
var errCut = errors.New("reminders")

// remindAll sends the reminders that come within early of the keys in a list that
// end by rules, or of the others. It goes on where one cannot be sent.
func (s *Sender) remindAll(ctx context.Context, times []time.Duration, early time.Duration, byRules bool, q store.KeyQuery) error {
	q.Disabled, q.Limit = new(bool), store.MaxPage
	var problems []error
	for more := true; more; more = q.After != nil {
		page, err := s.keys.List(ctx, reader(), q)
		if err != nil {
			return errors.Join(append(problems, fmt.Errorf("%w: %w", errCut, err))...)
		}
		for i := range page.Keys {
			if d := dueOf(&page.Keys[i], times, s.keys.Now(), early); d.id != "" && page.Keys[i].Standing.ByRules == byRules {
				if err := s.remind(ctx, d); err != nil {
					problems = append(problems, err)
				}
			}
			if err := ctx.Err(); err != nil {
				return errors.Join(append(problems, fmt.Errorf("%w: %w", errCut, err))...)
			}
		}
		q.After = page.Next
	}
	return errors.Join(problems...)
}

// due is a reminder that has come.
type due struct {
	id     string // of Reminder; empty: none has come
	series string // of all reminders of one key and end
	key    string
	ends   time.Time
	before time.Duration
	early  time.Duration // by which it may be sent
}

// dueOf is the last reminder of a key that has come, up to early before its time.
func dueOf(k *apikey.Key, times []time.Duration, now time.Time, early time.Duration) due {
	ends := k.Standing.Ends
	if ends.IsZero() || k.Standing.State == policy.StateDisabled || k.Standing.State == policy.StateExpired {
		return due{}
	}
	for _, before := range slices.Backward(times) {
		if !now.Add(early).Before(ends.Add(-before)) {
			return due{id: idOf(k.ID, ends, before), series: idOf(k.ID, ends, 0), key: k.ID, ends: ends, before: before, early: early}
		}
	}
	return due{}
}

func idOf(key string, ends time.Time, before time.Duration) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "latchkey reminder\x00%s\x00%d\x00%d", key, ends.UnixMicro(), before))
	return hex.EncodeToString(sum[:16])
}

// remind sends a reminder, if nobody did or is at it.
func (s *Sender) remind(ctx context.Context, d due) error {
	claimed, err := s.notes.claim(ctx, d)
	if err != nil || !claimed {
		return err
	}
	// The key and the settings may have changed since they were read.
	_, times, err := s.settings(ctx)
	if err != nil {
		return err
	}
	key, err := s.keys.Get(ctx, reader(), d.key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("reminders: %w", err)
	case dueOf(&key, times, s.keys.Now(), d.early).id != d.id:
		return nil
	}
	sending, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := s.send(sending, Reminder{ID: d.id, Key: key, Ends: d.ends, Before: d.before}); err != nil {
		return fmt.Errorf("reminders: key %s: %w", d.key, err)
	}
	return s.notes.sent(ctx, d)
}
