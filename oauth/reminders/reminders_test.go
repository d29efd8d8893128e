package reminders_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/reminders"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

const day = 24 * time.Hour

// inbox collects reminders.
type inbox struct {
	mu   sync.Mutex
	got  []reminders.Reminder
	fail error
}

func (i *inbox) send(_ context.Context, r reminders.Reminder) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.fail != nil {
		return i.fail
	}
	i.got = append(i.got, r)
	return nil
}

// take returns the reminders since the last call, as names and days.
func (i *inbox) take() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	texts := []string{}
	for _, r := range i.got {
		texts = append(texts, r.Key.Name+" "+r.Before.String())
	}
	i.got = nil
	slices.Sort(texts)
	return texts
}

func (i *inbox) config(s *setup) { s.send = i.send }

// expiring makes a key that ends after the given time.
func (r *rig) expiring(name string, in time.Duration) apikey.Key {
	r.t.Helper()
	k, _ := r.create(owner, "team-a", "project.list", func(s *apikey.Spec) {
		s.Name = name
		if in > 0 {
			s.Expiry = apikey.Expiry{At: r.clock.Now().Add(in)}
		}
	})
	return k
}

func TestReminders(t *testing.T) {
	var in inbox
	r := newRig(t, in.config)
	remind := func() []string {
		require.NoError(t, r.Remind(t.Context()))
		require.NoError(t, r.Remind(t.Context()))
		return in.take()
	}
	r.expiring("never", 0)
	k := r.expiring("ci", 40*day)
	require.Empty(t, remind())
	r.clock.Set(noon.Add(10*day - time.Microsecond))
	require.Empty(t, remind(), "a moment too early")
	r.clock.Set(noon.Add(10 * day))
	require.Equal(t, []string{"ci 720h0m0s"}, remind())
	r.clock.Set(noon.Add(20 * day))
	require.Empty(t, remind())
	r.clock.Set(noon.Add(33 * day))
	require.Equal(t, []string{"ci 168h0m0s"}, remind())
	r.clock.Set(noon.Add(40*day - time.Minute))
	require.Equal(t, []string{"ci 24h0m0s"}, remind())
	r.clock.Set(noon.Add(40 * day))
	require.Empty(t, remind(), "it has expired")

	t.Run("a later expiry gets reminders again", func(t *testing.T) {
		r.clock.Set(noon.Add(39 * day))
		_, err := r.Update(t.Context(), owner, k.ID, apikey.Changes{Expiry: ptr(apikey.Expiry{At: noon.Add(60 * day)})})
		require.NoError(t, err)
		require.Equal(t, []string{"ci 720h0m0s"}, remind())
	})
	t.Run("of several that are due, the one with the shortest time", func(t *testing.T) {
		r.expiring("brief", 2*day)
		require.Equal(t, []string{"brief 168h0m0s"}, remind())
	})
	t.Run("another process does not send it again", func(t *testing.T) {
		other := rigOn(t, r.store, in.config)
		other.clock.Set(r.clock.Now())
		require.NoError(t, other.Remind(t.Context()))
		require.Empty(t, in.take())
	})
}

// A process whose context ends while the host sends still records that the reminder
// was sent.
func TestASentReminderIsRecordedAtTheEnd(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	sent := 0
	r := newRig(t, func(s *setup) {
		s.send = func(context.Context, reminders.Reminder) error {
			sent++
			end()
			return nil
		}
	})
	r.expiring("ci", 10*day)
	require.ErrorIs(t, r.Remind(ctx), context.Canceled)
	require.Equal(t, 1, sent)
	r.clock.Set(r.clock.Now().Add(time.Hour))
	after := rigOn(t, r.store, func(s *setup) {
		s.send = func(context.Context, reminders.Reminder) error { sent++; return nil }
	})
	after.clock.Set(r.clock.Now())
	require.NoError(t, after.Remind(t.Context()))
	require.Equal(t, 1, sent)
}

func TestRemindersCarryTheKey(t *testing.T) {
	var in inbox
	r := newRig(t, in.config)
	k := r.expiring("ci", 10*day)
	require.NoError(t, r.Remind(t.Context()))
	require.Len(t, in.got, 1)
	got := in.got[0]
	require.Len(t, got.ID, 32)
	require.Equal(t, noon.Add(10*day), got.Expires)
	require.Equal(t, k.ID, got.Key.ID)

	settings, err := r.Settings(t.Context(), admin)
	require.NoError(t, err)
	settings.Rules = store.Rules{MaxLifetime: 2 * day, EnforcedFrom: noon}
	_, err = r.SaveSettings(t.Context(), admin, settings)
	require.NoError(t, err)
	other := r.expiring("other", 2*day)
	require.NoError(t, r.Remind(t.Context()))
	require.Equal(t, other.ID, in.got[1].Key.ID)
	require.NotEqual(t, got.ID, in.got[1].ID)
	require.Len(t, in.got, 3)
	again := in.got[2]
	require.Equal(t, k.ID, again.Key.ID, "it has another end now")
	require.NotEqual(t, got.ID, again.ID)
	require.Equal(t, noon.Add(2*day), again.Expires)
	r.clock.Set(noon.Add(9 * day))
	require.NoError(t, r.Remind(t.Context()))
	require.Len(t, in.got, 3, "a key that settings have ended is not about to expire")
}

// TestNoReminder tests that there is none for a key that is disabled or deleted,
// even if that happens after it was listed.
func TestNoReminder(t *testing.T) {
	end := map[string]func(r *rig, k apikey.Key){
		"deleted": func(r *rig, k apikey.Key) { require.NoError(r.t, r.Delete(r.t.Context(), owner, k.ID, 0)) },
		"disabled": func(r *rig, k apikey.Key) {
			_, err := r.Disable(r.t.Context(), owner, k.ID, 0)
			require.NoError(r.t, err)
		},
		"prolonged": func(r *rig, k apikey.Key) {
			_, err := r.Update(r.t.Context(), owner, k.ID, apikey.Changes{Expiry: &apikey.Expiry{}})
			require.NoError(r.t, err)
		},
	}
	for name, change := range end {
		t.Run(name, func(t *testing.T) {
			var in inbox
			r := newRig(t, in.config)
			change(r, r.expiring("ci", 10*day))
			require.NoError(t, r.Remind(t.Context()))
			require.Empty(t, in.take())
		})
		t.Run(name+" after it was listed", func(t *testing.T) {
			var in inbox
			st, tap := harness.NewTap()
			r := rigOn(t, st, in.config)
			k := r.expiring("ci", 10*day)
			onceListed(tap, func() { change(r, k) })
			require.NoError(t, r.Remind(t.Context()))
			require.Empty(t, in.take())
		})
	}
	t.Run("enabled again", func(t *testing.T) {
		var in inbox
		r := newRig(t, in.config)
		k := r.expiring("ci", 10*day)
		_, err := r.Disable(t.Context(), owner, k.ID, 0)
		require.NoError(t, err)
		require.NoError(t, r.Remind(t.Context()))
		_, err = r.Enable(t.Context(), owner, k.ID, 0)
		require.NoError(t, err)
		require.NoError(t, r.Remind(t.Context()))
		require.Len(t, in.take(), 1)
	})
}

// onceListed calls a function after the next list of keys.
func onceListed(tap *storetest.Tap, do func()) {
	tap.After(func(call string, err error) error {
		if call == "Keys.List" {
			tap.After(nil)
			do()
		}
		return err
	})
}

// TestRemindersAcrossReplicas tests that each reminder is sent by exactly one of
// many replicas that call Remind at the same time.
func TestRemindersAcrossReplicas(t *testing.T) {
	const replicas, keys = 6, 40
	var in inbox
	st := memstore.New()
	var all []*rig
	for range replicas {
		all = append(all, rigOn(t, st, in.config))
	}
	for range keys {
		all[0].expiring("ci", 40*day)
	}
	for _, hours := range []int{10 * 24, 10*24 + 1, 33 * 24, 39 * 24} {
		for _, r := range all {
			r.clock.Set(noon.Add(time.Duration(hours) * time.Hour))
		}
		var group sync.WaitGroup
		for _, r := range all {
			group.Go(func() {
				if err := r.Remind(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	count := map[string]int{}
	for _, r := range in.got {
		count[r.ID]++
	}
	require.Len(t, count, 3*keys)
	require.Equal(t, 3*keys, len(in.got), "exactly one call each")
}

// TestTwoClaimsAtOnce tests two replicas that both find no attempt before either
// makes one.
func TestTwoClaimsAtOnce(t *testing.T) {
	var in inbox
	st := memstore.New()
	st.OnceIDs = meetingIDs{st.OnceIDs, make(chan struct{})}
	first, second := rigOn(t, st, in.config), rigOn(t, st, in.config)
	for range 20 {
		first.expiring("ci", 10*day)
	}
	var group sync.WaitGroup
	for _, r := range []*rig{first, second} {
		group.Go(func() {
			if err := r.Remind(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, 20, len(in.got))
}

// meetingIDs makes two replicas look for an attempt at the same time.
type meetingIDs struct {
	store.OnceIDs
	meet chan struct{}
}

func (m meetingIDs) Find(ctx context.Context, space, id string, now time.Time) (store.OnceID, error) {
	found, err := m.OnceIDs.Find(ctx, space, id, now)
	if strings.Contains(id, ".") { // of an attempt
		select {
		case m.meet <- struct{}{}:
		case <-m.meet:
		case <-time.After(time.Second): // the other one is past it
		}
	}
	return found, err
}

// TestTheSlowOneComesThrough tests a replica that has just made its own claim when
// a slow replica, whose claim had expired, sends the reminder.
func TestTheSlowOneComesThrough(t *testing.T) {
	var in inbox
	sending, send, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	slow := newRig(t, func(s *setup) {
		s.send = func(ctx context.Context, r reminders.Reminder) error {
			close(sending)
			<-send
			return in.send(ctx, r)
		}
	})
	slow.expiring("ci", 10*day)
	go func() { done <- slow.Remind(context.Background()) }()
	<-sending
	next := rigOn(t, harness.Tapped(slow.store, func(context.Context, string) error {
		close(send)
		return <-done
	}, "OnceIDs.Spend"), in.config)
	next.clock.Set(noon.Add(5 * time.Minute))
	require.NoError(t, next.Remind(t.Context()))
	require.Len(t, in.take(), 1)
}

func TestRemindersAreRetried(t *testing.T) {
	in := inbox{fail: errors.New("the mail server is down")}
	r := newRig(t, in.config)
	k := r.expiring("ci", 3*day)
	var tries []time.Duration
	for at := time.Duration(0); at < 3*day; at += time.Minute {
		r.clock.Set(noon.Add(at))
		if err := r.Remind(t.Context()); err != nil {
			require.ErrorContains(t, err, k.ID)
			tries = append(tries, at)
		}
	}
	require.Equal(t, []time.Duration{0, 5 * time.Minute, 15 * time.Minute, 35 * time.Minute, 75 * time.Minute, 155 * time.Minute}, tries[:6])
	require.LessOrEqual(t, len(tries), 24, "in the end every 6 hours, for both reminders")
	in.fail = nil
	r.clock.Set(noon.Add(3*day - time.Second))
	require.NoError(t, r.Remind(t.Context()))
	require.Empty(t, in.take(), "not before its time")

	k = r.expiring("other", 5*day)
	in.fail = errors.New("still down")
	require.Error(t, r.Remind(t.Context()))
	in.fail = nil
	r.clock.Advance(4 * time.Minute)
	require.NoError(t, r.Remind(t.Context()))
	require.Empty(t, in.take())
	other := rigOn(t, r.store, in.config)
	other.clock.Set(r.clock.Now().Add(time.Minute))
	require.NoError(t, other.Remind(t.Context()), "another replica takes over")
	require.Equal(t, k.ID, in.got[0].Key.ID)
}

func TestConfig(t *testing.T) {
	var in inbox
	st := memstore.New()
	st.OnceIDs = nil
	r := rigOn(t, st)
	_, err := reminders.New(st, r.Service, in.send)
	require.ErrorContains(t, err, "OnceIDs")
	_, err = reminders.New(r.store, r.Service, nil)
	require.Error(t, err)

	r = newRig(t, in.config, func(s *setup) { s.RemindBefore = []time.Duration{2 * time.Hour, 3 * day} })
	r.expiring("ci", 4*day)
	require.NoError(t, r.Remind(t.Context()))
	require.Empty(t, in.take())
	r.clock.Advance(day)
	require.NoError(t, r.Remind(t.Context()))
	require.Equal(t, []string{"ci 72h0m0s"}, in.take())

	r = newRig(t, in.config, func(s *setup) { s.DefaultRemindersOff = true })
	r.expiring("ci", 2*day)
	require.NoError(t, r.Remind(t.Context()))
	require.Empty(t, in.take(), "defaults hold until settings are saved")
	r.reminders(false)
	require.NoError(t, r.Remind(t.Context()))
	require.Equal(t, []string{"ci 168h0m0s"}, in.take())
}
