package reminders_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/reminders"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestReminderSettings changes settings in the last days of one key. Each step is
// made by the process that made the step before, and by one that has just started.
func TestReminderSettings(t *testing.T) {
	const off = time.Duration(-1)
	type step struct {
		left  time.Duration   // until the expiry
		times []time.Duration // what settings say from here on; nil: as before
		sent  []string
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"the host's own", []step{
			{30 * day, nil, []string{"ci 720h0m0s"}}, {7 * day, nil, []string{"ci 168h0m0s"}}, {day, nil, []string{"ci 24h0m0s"}},
		}},
		{"an administrator's", []step{
			{31 * day, []time.Duration{2 * time.Hour, 14 * day}, nil}, {29 * day, nil, nil}, {14 * day, nil, []string{"ci 336h0m0s"}}, {7 * day, nil, nil},
			{2 * time.Hour, nil, []string{"ci 2h0m0s"}}, {time.Hour, nil, nil},
		}},
		{"the host's own again", []step{
			{31 * day, []time.Duration{day}, nil}, {8 * day, []time.Duration{}, []string{"ci 720h0m0s"}}, {7 * day, nil, []string{"ci 168h0m0s"}},
		}},
		{"off", []step{
			{31 * day, []time.Duration{off}, nil}, {30 * day, nil, nil}, {time.Hour, nil, nil},
		}},
		{"what came while they were off is sent once, and of several the last", []step{
			{31 * day, []time.Duration{off}, nil}, {6 * day, []time.Duration{}, []string{"ci 168h0m0s"}}, {5 * day, nil, nil}, {day, nil, []string{"ci 24h0m0s"}},
		}},
		{"off and on again", []step{
			{30 * day, nil, []string{"ci 720h0m0s"}}, {29 * day, []time.Duration{off}, nil}, {28 * day, []time.Duration{}, nil},
		}},
		{"a time that is added and had come is sent once", []step{
			{7 * day, []time.Duration{7 * day}, []string{"ci 168h0m0s"}}, {5 * day, []time.Duration{7 * day, 6 * day}, []string{"ci 144h0m0s"}}, {4 * day, nil, nil},
		}},
		{"but not after one of a shorter time", []step{
			{20 * time.Hour, []time.Duration{30 * day, day}, []string{"ci 24h0m0s"}}, {19 * time.Hour, []time.Duration{30 * day, 7 * day, day}, nil}, {18 * time.Hour, []time.Duration{7 * day}, nil},
		}},
		{"the last one is taken away", []step{
			{20 * time.Hour, nil, []string{"ci 24h0m0s"}}, {19 * time.Hour, []time.Duration{30 * day, 7 * day}, nil},
		}},
		{"taken away and given back", []step{
			{7 * day, nil, []string{"ci 168h0m0s"}}, {6 * day, []time.Duration{30 * day}, nil}, {5 * day, []time.Duration{30 * day, 7 * day}, nil}, {4 * day, []time.Duration{}, nil},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in inbox
			r := newRig(t, in.config)
			ends := noon.Add(40 * day)
			r.expiring("ci", 40*day)
			for _, s := range c.steps {
				r.clock.Set(ends.Add(-s.left))
				if s.times != nil {
					isOff := slices.Equal(s.times, []time.Duration{off})
					if isOff {
						s.times = nil
					}
					r.reminders(isOff, s.times...)
				}
				fresh := rigOn(t, r.store, in.config)
				fresh.clock.Set(r.clock.Now())
				require.NoError(t, r.Remind(t.Context()))
				require.NoError(t, fresh.Remind(t.Context()))
				require.NoError(t, r.Remind(t.Context()))
				got := in.take()
				require.Equal(t, len(s.sent), len(got), "%s before the end: %q", s.left, got)
				if len(s.sent) > 0 {
					require.Equal(t, s.sent, got)
				}
			}
		})
	}
}

// TestReminderSettingsChangeMeanwhile tests that the settings right before a
// reminder is sent count, and not those at the time when keys were listed.
func TestReminderSettingsChangeMeanwhile(t *testing.T) {
	for name, change := range map[string]func(r *rig){
		"off":         func(r *rig) { r.reminders(true) },
		"other times": func(r *rig) { r.reminders(false, 3*day) },
	} {
		t.Run(name, func(t *testing.T) {
			var in inbox
			st, tap := harness.NewTap()
			r := rigOn(t, st, in.config)
			r.expiring("ci", 10*day)
			onceListed(tap, func() { change(r) })
			require.NoError(t, r.Remind(t.Context()))
			require.Empty(t, in.take())
		})
	}
}

// TestReminderSettingsInAnOutage tests that nothing is sent while settings cannot
// be read, and that the reminder is sent afterwards.
func TestReminderSettingsInAnOutage(t *testing.T) {
	var in inbox
	broken := false
	r := rigOn(t, harness.Tapped(memstore.New(), harness.While(&broken, store.ErrUnavailable), "Settings.Instance"), in.config)
	r.expiring("ci", 10*day)
	broken = true
	require.ErrorIs(t, (r.Remind(t.Context())), store.ErrUnavailable)
	require.Empty(t, in.take())
	broken = false
	require.NoError(t, r.Remind(t.Context()))
	require.Len(t, in.take(), 1)
}

// TestReminderSettingsBeyondTheCache tests that a replica follows reminders being
// switched on or off even if its cache has the old settings.
func TestReminderSettingsBeyondTheCache(t *testing.T) {
	for name, off := range map[string]bool{"switched on": false, "switched off": true} {
		t.Run(name, func(t *testing.T) {
			var in inbox
			a := newRig(t)
			k := a.expiring("ci", 10*day)
			a.reminders(!off)
			st := a.store
			watch := &harness.DeafWatch{From: st.Watch}
			st.Watch = watch
			c, err := cache.New(st, cache.Config{Bound: time.Minute})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { c.Run(ctx) })
			defer running.Wait()
			defer cancel()
			require.Eventually(t, c.Usable, time.Minute, time.Millisecond)
			b := rigOn(t, c.Store(), in.config)
			_, err = b.Get(t.Context(), owner, k.ID)
			require.NoError(t, err)
			_, err = b.Settings(t.Context(), admin)
			require.NoError(t, err)
			watch.Deafen()
			a.reminders(off)
			require.NoError(t, b.Remind(t.Context()))
			require.Equal(t, off, len(in.take()) == 0)
		})
	}
}

// TestTwoTimesAtOnce tests one replica that sends the last reminder while another
// is still sending the one before.
func TestTwoTimesAtOnce(t *testing.T) {
	var in inbox
	other := newRig(t, in.config)
	r := rigOn(t, other.store, func(s *setup) {
		s.send = func(ctx context.Context, reminder reminders.Reminder) error {
			if err := other.Remind(ctx); err != nil {
				return err
			}
			return in.send(ctx, reminder)
		}
	})
	r.expiring("ci", 40*day)
	r.clock.Set(noon.Add(33 * day))
	other.clock.Set(noon.Add(39 * day))
	require.NoError(t, r.Remind(t.Context()))
	require.Equal(t, []string{"ci 168h0m0s", "ci 24h0m0s"}, in.take())
	for _, at := range []time.Duration{34 * day, 39 * day} {
		third := rigOn(t, r.store, in.config)
		third.clock.Set(noon.Add(at))
		require.NoError(t, third.Remind(t.Context()))
		require.Empty(t, in.take())
	}
}

// TestReminderRecordsAreRead tests that nothing is sent if a record cannot be read.
func TestReminderRecordsAreRead(t *testing.T) {
	var in inbox
	r := newRig(t, in.config)
	r.expiring("ci", 10*day)
	require.NoError(t, r.Remind(t.Context()))
	require.Len(t, in.take(), 1)
	st := r.store
	st.OnceIDs = garbledIDs{st.OnceIDs}
	other := rigOn(t, st, in.config)
	require.ErrorContains(t, other.Remind(t.Context()), "malformed")
	require.Empty(t, in.take())
}

type garbledIDs struct{ store.OnceIDs }

func (g garbledIDs) Find(ctx context.Context, space, id string, now time.Time) (store.OnceID, error) {
	found, err := g.OnceIDs.Find(ctx, space, id, now)
	found.Value = "garbled"
	return found, err
}
