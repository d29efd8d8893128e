package apikey_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// before are times as settings hold them.
func before(times ...time.Duration) (all [store.MaxReminders]time.Duration) {
	copy(all[:], times)
	return all
}

// reminders changes what settings say of reminders.
func (r *rig) reminders(off bool, times ...time.Duration) {
	r.t.Helper()
	settings, err := r.Settings(r.t.Context(), admin)
	require.NoError(r.t, err)
	settings.RemindersOff, settings.RemindBefore = off, before(times...)
	_, err = r.SaveSettings(r.t.Context(), admin, settings)
	require.NoError(r.t, err)
}

// TestReminderSettings goes through the last days of one key while settings
// change. Each step is one by the process that made the step before, and by one
// that has just started.
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

func TestReminderSettingsAreChecked(t *testing.T) {
	r := newRig(t)
	full := before(8*day, 7*day, 6*day, 5*day, 4*day, 3*day, 2*day, day)
	for _, c := range []struct {
		name  string
		times [store.MaxReminders]time.Duration
		says  string
	}{
		{"the shortest and the longest", before(366*day, time.Hour), ""},
		{"as many as there can be", full, ""},
		{"none", before(), ""},
		{"too short", before(day, time.Hour-1), "remind_before: Each time must be from 1 hour to 366 days."},
		{"too long", before(366*day + 1), "remind_before: Each time must be from 1 hour to 366 days."},
		{"below zero", before(-day), "remind_before: Each time must be from 1 hour to 366 days."},
		{"twice", before(day, 7*day, day), "remind_before: No time may be there twice."},
	} {
		t.Run(c.name, func(t *testing.T) {
			settings, err := r.Settings(t.Context(), admin)
			require.NoError(t, err)
			had := settings
			settings.RemindBefore = c.times
			_, previewed := r.PreviewSettings(t.Context(), admin, settings, nil, 0)
			saved, err := r.SaveSettings(t.Context(), admin, settings)
			if c.says == "" {
				require.NoError(t, err)
				require.NoError(t, previewed)
				require.Equal(t, c.times, saved.RemindBefore)
				return
			}
			for _, err := range []error{previewed, err} {
				require.ErrorAs(t, err, new(*apikey.InvalidError))
				require.ErrorContains(t, err, c.says)
			}
			got, err := r.Settings(t.Context(), admin)
			require.NoError(t, err)
			require.Equal(t, had, got)
		})
	}
	t.Run("all that is wrong at once", func(t *testing.T) {
		_, err := r.SaveSettings(t.Context(), admin, store.Instance{Rules: store.Rules{MaxKeys: -1}, RemindBefore: before(time.Minute)})
		require.ErrorContains(t, err, "max_keys")
		require.ErrorContains(t, err, "remind_before")
	})
	t.Run("order and gaps are no change", func(t *testing.T) {
		r.reminders(false, 30*day, 7*day)
		had := len(r.events(store.EventQuery{}))
		r.reminders(false, 0, 7*day, 0, 30*day)
		require.Len(t, r.events(store.EventQuery{}), had)
		settings, err := r.Settings(t.Context(), admin)
		require.NoError(t, err)
		require.Equal(t, before(30*day, 7*day), settings.RemindBefore)
	})
	t.Run("no token ends", func(t *testing.T) {
		key, secret := r.create(owner, "team-a", "project.list")
		token := r.mustLogin(key.ID, secret)
		r.reminders(true, 3*day)
		require.False(t, r.ended(token))
	})
	t.Run("only an organization admin", func(t *testing.T) {
		_, err := r.SaveSettings(t.Context(), owner, store.Instance{RemindersOff: true})
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
	})
}

func TestReminderTimes(t *testing.T) {
	var in inbox
	sends := newRig(t, in.config, func(c *apikey.Config) {
		c.Reminders.Before = []time.Duration{time.Hour, 3 * day}
		c.Defaults.RemindersOff = true
	})
	for _, c := range []struct {
		name     string
		settings store.Instance
		want     []time.Duration
	}{
		{"the host's", store.Instance{}, []time.Duration{3 * day, time.Hour}},
		{"an administrator's", store.Instance{RemindBefore: before(0, day, 7*day)}, []time.Duration{7 * day, day}},
		{"off", store.Instance{RemindersOff: true, RemindBefore: before(day)}, nil},
	} {
		times, sent := sends.ReminderTimes(c.settings)
		require.Equal(t, c.want, times, c.name)
		require.True(t, sent)
	}
	_, sent := newRig(t).ReminderTimes(store.Instance{})
	require.False(t, sent, "without a hook")

	// Defaults hold until settings are saved.
	sends.expiring("ci", 2*day)
	require.NoError(t, sends.Remind(t.Context()))
	require.Empty(t, in.take())
	settings, err := sends.Settings(t.Context(), admin)
	require.NoError(t, err)
	require.True(t, settings.RemindersOff)
	sends.reminders(false)
	require.NoError(t, sends.Remind(t.Context()))
	require.Equal(t, []string{"ci 72h0m0s"}, in.take())
}

// TestReminderSettingsChangeMeanwhile: what settings say when a reminder is
// about to be sent counts, not what they said when keys were listed.
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

// TestReminderSettingsInAnOutage: while settings cannot be read nothing is
// sent, and it is sent afterwards.
func TestReminderSettingsInAnOutage(t *testing.T) {
	var in inbox
	broken := false
	r := rigOn(t, harness.Tapped(memstore.New(), harness.While(&broken, store.ErrUnavailable), "Settings.Instance"), in.config)
	r.expiring("ci", 10*day)
	broken = true
	require.ErrorIs(t, r.note(r.Remind(t.Context())), store.ErrUnavailable)
	require.Empty(t, in.take())
	broken = false
	require.NoError(t, r.Remind(t.Context()))
	require.Len(t, in.take(), 1)
}

// TestReminderSettingsBeyondTheCache: a replica whose cache does not know yet
// that reminders were switched on or off acts on it all the same.
func TestReminderSettingsBeyondTheCache(t *testing.T) {
	for name, off := range map[string]bool{"switched on": false, "switched off": true} {
		t.Run(name, func(t *testing.T) {
			var in inbox
			a := newRig(t)
			k := a.expiring("ci", 10*day)
			a.reminders(!off)
			st := a.store
			watch := &deafWatch{from: st.Watch}
			st.Watch = watch
			c, err := cache.New(st, cache.Config{Bound: time.Minute})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { c.Run(ctx) })
			defer running.Wait()
			defer cancel()
			require.Eventually(t, c.Vouched, time.Minute, time.Millisecond)
			b := rigOn(t, c.Store(), in.config)
			_, err = b.Get(t.Context(), owner, k.ID)
			require.NoError(t, err)
			_, err = b.Settings(t.Context(), admin)
			require.NoError(t, err)
			watch.deafen()
			a.reminders(off)
			require.NoError(t, b.Remind(t.Context()))
			require.Equal(t, off, len(in.take()) == 0)
		})
	}
}

// TestTwoTimesAtOnce lets one replica send the last reminder while another is
// still sending the one before.
func TestTwoTimesAtOnce(t *testing.T) {
	var in inbox
	other := newRig(t, in.config)
	r := rigOn(t, other.store, func(c *apikey.Config) {
		c.Reminders.Send = func(ctx context.Context, reminder apikey.Reminder) error {
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

// TestReminderNotesAreRead: a note that cannot be read sends nothing.
func TestReminderNotesAreRead(t *testing.T) {
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

// TestPreviewOfReminders foretells which keys a change makes the host be told
// of, and then makes it.
func TestPreviewOfReminders(t *testing.T) {
	var in inbox
	r := newRig(t, in.config)
	r.expiring("never", 0)
	r.expiring("far", 50*day)
	r.expiring("near", 9*day)
	disabled := r.expiring("disabled", 9*day)
	_, err := r.Disable(t.Context(), owner, disabled.ID, 0)
	require.NoError(t, err)
	require.NoError(t, r.Remind(t.Context()))
	require.Equal(t, []string{"near 720h0m0s"}, in.take())
	for _, c := range []struct {
		name  string
		off   bool
		times []time.Duration
		want  []string
	}{
		{"nothing new", false, []time.Duration{30 * day, 7 * day}, nil},
		{"fewer", false, []time.Duration{day}, nil},
		{"off", true, []time.Duration{60 * day}, nil},
		{"longer", false, []time.Duration{60 * day}, []string{"far 1440h0m0s"}},
		{"between", false, []time.Duration{10 * day}, []string{"near 240h0m0s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			settings, err := r.Settings(t.Context(), admin)
			require.NoError(t, err)
			settings.RemindersOff, settings.RemindBefore = c.off, before(c.times...)
			page, err := r.PreviewSettings(t.Context(), admin, settings, nil, 0)
			require.NoError(t, err)
			require.Equal(t, 4, page.Looked)
			var got []string
			for _, e := range page.Effects {
				require.True(t, e.Reminded)
				require.Equal(t, e.Before, e.After)
				got = append(got, e.Key.Name)
			}
			r.reminders(c.off, c.times...)
			require.NoError(t, r.Remind(t.Context()))
			require.Equal(t, len(c.want), len(got))
			if len(c.want) > 0 {
				require.Equal(t, c.want, in.take())
				require.Contains(t, c.want[0], got[0])
			}
			require.Empty(t, in.take())
			r.reminders(false)
		})
	}
	t.Run("where nobody is told", func(t *testing.T) {
		page, err := rigOn(t, r.store).PreviewSettings(t.Context(), admin, store.Instance{RemindBefore: before(366 * day)}, nil, 0)
		require.NoError(t, err)
		require.Empty(t, page.Effects)
	})
}
