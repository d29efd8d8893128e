// Package reminders reminds the host of API keys that are about to expire:
//
//	sender, err := reminders.New(st, srv.APIKeys(), func(ctx context.Context, r reminders.Reminder) error {
//		return mail(ctx, r.Key.CreatedBy.ID, "The key "+r.Key.Name+" ends on "+r.Expires.Format(time.DateOnly))
//	})
//
// Package oauth uses this package if its Config.Reminders is set.
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

// Reminder says that a key is about to expire.
type Reminder struct {
	// ID identifies the reminder. It is the same if this reminder is sent again,
	// and differs for another key, time or end. It has 32 characters.
	ID string
	// Key is the key at the time of the call.
	Key apikey.Key
	// Expires is the instant from which the key can no longer log in: its expiry, or
	// the earlier end that rules set.
	Expires time.Time
	// Before is the configured time before the end for which the reminder is sent.
	Before time.Duration
}

// Sender sends reminders. It is safe for concurrent use.
type Sender struct {
	keys    *apikey.Service
	records *records
	send    func(context.Context, Reminder) error
}

// New returns a Sender for the keys of a service that uses st. st.OnceIDs is
// required.
//
// send is called once for each key and each of the times before its end that the
// service's ReminderTimes returns.
//
// The end is the key's expiry, or an earlier end by rules that apply to all keys
// from a date. For a key whose end rules set, send may be called early: by up to an
// hour, or by up to a day if only the rules of its workspace have a date. At that
// interval one replica reads all keys.
//
// If several times of a key have passed, only the reminder of the shortest one is
// sent: this happens if the key was created late, or if a time was added or reminders
// were switched on after the time had passed. After a reminder, none with a longer
// time is sent for the same key and end. So a change of settings sends at most one
// reminder per key, and repeats none.
//
// All replicas together make one call. There is none for a key that is disabled,
// deleted or expired by then. A call that failed, or whose process died, is made
// again with the same Reminder.ID, after 5 minutes, then 10, and so on up to 6
// hours, until the key has ended. (For a key whose end rules set, it waits for the next
// time that all keys are read.) So send may be called twice for one reminder: store
// the ids if your users must not get it twice. ctx ends after a minute, and send
// must return then.
func New(st store.Store, keys *apikey.Service, send func(ctx context.Context, r Reminder) error) (*Sender, error) {
	if st.OnceIDs == nil || keys == nil || send == nil {
		return nil, errors.New("reminders: Store.OnceIDs, keys and send are required")
	}
	sent := &records{once: st.OnceIDs, now: keys.Now, skip: make(map[string]time.Time)}
	return &Sender{keys: keys, records: sent, send: send}, nil
}

const (
	// sendTimeout bounds one call of send.
	sendTimeout = time.Minute
	// How often all keys are read: scanEnforced while the instance's rules apply to
	// all keys from a date, otherwise scanDaily, since a workspace's rules may.
	scanEnforced = time.Hour
	scanDaily    = 24 * time.Hour
)

// reader returns the actor that reads all keys.
func reader() apikey.Actor { return apikey.OrganizationAdmin("reminders") }

// Remind finds the keys that are about to expire by the present settings, and sends
// the reminders whose time has come. Call it every few minutes, in any number of
// replicas. It returns when all its calls of send have returned. It joins all
// failures into its error; a later call tries them again. If the settings cannot be
// read, it sends nothing.
func (s *Sender) Remind(ctx context.Context) error {
	settings, times, err := s.settings(ctx)
	if err != nil || len(times) == 0 {
		return err
	}
	now := s.keys.Now()
	expiring := store.KeyQuery{
		NotAfterFrom: now.Add(time.Microsecond), // a key that ends now has expired
		NotAfterTo:   now.Add(times[0] + time.Microsecond),
	}
	return errors.Join(s.remindAll(ctx, times, 0, false, expiring), s.remindEnforced(ctx, times, settings.Rules))
}

// settings returns the settings and the times in force, the longest first.
func (s *Sender) settings(ctx context.Context) (store.InstanceSettings, []time.Duration, error) {
	settings, err := s.keys.Settings(ctx, reader())
	if err != nil {
		return settings, nil, fmt.Errorf("reminders: %w", err)
	}
	times, _ := s.keys.ReminderTimes(settings.Reminders)
	return settings, times, nil
}

// remindEnforced sends reminders of the keys whose end rules set, before their own
// expiry. No index finds them, so one replica reads all keys, once in each
// interval, and sends the reminders that come before the next interval. It claims
// and records the scan like a reminder, so that an interrupted scan is made again.
func (s *Sender) remindEnforced(ctx context.Context, times []time.Duration, rules store.Rules) error {
	every := scanDaily
	if !rules.EnforcedFrom.IsZero() {
		every = scanEnforced
	}
	begin := s.keys.Now().Truncate(every)
	name := fmt.Sprintf("%s.%d", every, begin.Unix())
	scan := due{id: "scan." + name, series: "scanned." + name, ends: begin.Add(every), before: every}
	claimed, err := s.records.claim(ctx, scan)
	if err != nil || !claimed {
		return err
	}
	err = s.remindAll(ctx, times, every, true, store.KeyQuery{})
	if errors.Is(err, errIncomplete) {
		return err
	}
	return errors.Join(err, s.records.sent(ctx, scan))
}

// errIncomplete says that not all keys were read.
var errIncomplete = errors.New("reminders: not all keys were read; a later call tries again")

// remindAll sends the due reminders of the keys that q lists, and those due within
// early. With byRules it does so for keys whose end rules set, and otherwise for the
// others. If one cannot be sent, it goes on with the next.
func (s *Sender) remindAll(ctx context.Context, times []time.Duration, early time.Duration, byRules bool, q store.KeyQuery) error {
	q.Disabled, q.Limit = new(bool), store.MaxPage
	var problems []error
	for more := true; more; more = q.After != nil {
		page, err := s.keys.List(ctx, reader(), q)
		if err != nil {
			return errors.Join(append(problems, fmt.Errorf("%w: %w", errIncomplete, err))...)
		}
		for i := range page.Keys {
			if d := dueOf(&page.Keys[i], times, s.keys.Now(), early); d.id != "" && page.Keys[i].Standing.ByRules == byRules {
				if err := s.remind(ctx, d); err != nil {
					problems = append(problems, err)
				}
			}
			if err := ctx.Err(); err != nil {
				return errors.Join(append(problems, fmt.Errorf("%w: %w", errIncomplete, err))...)
			}
		}
		q.After = page.Next
	}
	return errors.Join(problems...)
}

// due is a reminder whose time has come.
type due struct {
	id     string // the Reminder.ID; empty: no reminder is due
	series string // identifies all reminders of one key and end
	key    string
	ends   time.Time
	before time.Duration
	early  time.Duration // how long before its time it may be sent
}

// dueOf returns the reminder of a key that is due or will be within early. If there
// are several, it returns the one with the shortest time.
func dueOf(k *apikey.Key, times []time.Duration, now time.Time, early time.Duration) due {
	ends := k.Standing.Expires
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

// remind sends a reminder, unless it was sent or another process is sending it.
func (s *Sender) remind(ctx context.Context, d due) error {
	claimed, err := s.records.claim(ctx, d)
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
	if err := s.send(sending, Reminder{ID: d.id, Key: key, Expires: d.ends, Before: d.before}); err != nil {
		return fmt.Errorf("reminders: key %s: %w", d.key, err)
	}
	return s.records.sent(ctx, d)
}
