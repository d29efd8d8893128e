package apikey_test

import (
	"github.com/stretchr/testify/require"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

const day = 24 * time.Hour

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
	sends := newRig(t, func(c *apikey.Config) {
		c.RemindBefore = []time.Duration{time.Hour, 3 * day}
		c.DefaultRemindersOff = true
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
	settings, err := sends.Settings(t.Context(), admin)
	require.NoError(t, err)
	require.True(t, settings.RemindersOff, "Defaults hold until settings are saved")
	times, sent := newRig(t).ReminderTimes(store.Instance{RemindBefore: before(day)})
	require.False(t, sent, "without times of the host's")
	require.Empty(t, times)
}

func TestReminderTimesConfig(t *testing.T) {
	for says, times := range map[string][]time.Duration{
		"from 1 hour to 366 days": {day, 367 * day},
		"be there twice":          {day, day},
		"may be 0":                {day, 0},
		"at most 8":               {day, 2 * day, 3 * day, 4 * day, 5 * day, 6 * day, 7 * day, 8 * day, 9 * day},
	} {
		_, err := apikey.New(memstore.New(), apikey.Config{Permissions: catalog, Options: apikey.Options{RemindBefore: times}})
		require.ErrorContains(t, err, "Config.RemindBefore: ")
		require.ErrorContains(t, err, says)
	}
}
