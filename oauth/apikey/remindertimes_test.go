package apikey_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

const day = 24 * time.Hour

// reminders changes the settings of reminders.
func (r *rig) reminders(off bool, times ...time.Duration) {
	r.t.Helper()
	settings, err := r.Settings(r.t.Context(), admin)
	require.NoError(r.t, err)
	settings.Reminders = store.Reminders{Off: off, Before: times}
	_, err = r.SaveSettings(r.t.Context(), admin, settings)
	require.NoError(r.t, err)
}

func TestReminderSettingsAreChecked(t *testing.T) {
	r := newRig(t)
	full := []time.Duration{8 * day, 7 * day, 6 * day, 5 * day, 4 * day, 3 * day, 2 * day, day}
	for _, c := range []struct {
		name  string
		times []time.Duration
		says  string
	}{
		{"the shortest and the longest", []time.Duration{366 * day, time.Hour}, ""},
		{"as many as there can be", full, ""},
		{"none", nil, ""},
		{"too short", []time.Duration{day, time.Hour - 1}, "remind_before: Each time must be from 1 hour to 366 days."},
		{"too long", []time.Duration{366*day + 1}, "remind_before: Each time must be from 1 hour to 366 days."},
		{"zero", []time.Duration{day, 0}, "remind_before: Each time must be from 1 hour to 366 days."},
		{"below zero", []time.Duration{-day}, "remind_before: Each time must be from 1 hour to 366 days."},
		{"one too many", append(full, 9*day), "remind_before: There may be at most 8 times."},
		{"twice", []time.Duration{day, 7 * day, day}, "remind_before: No time may be listed twice."},
	} {
		t.Run(c.name, func(t *testing.T) {
			settings, err := r.Settings(t.Context(), admin)
			require.NoError(t, err)
			had := settings
			settings.Reminders.Before = c.times
			_, previewed := r.PreviewSettings(t.Context(), admin, settings, nil, 0)
			saved, err := r.SaveSettings(t.Context(), admin, settings)
			if c.says == "" {
				require.NoError(t, err)
				require.NoError(t, previewed)
				require.Equal(t, c.times, saved.Reminders.Before)
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
		_, err := r.SaveSettings(t.Context(), admin, store.InstanceSettings{
			Instance:  store.Instance{Rules: store.Rules{MaxKeys: -1}},
			Reminders: store.Reminders{Before: []time.Duration{time.Minute}},
		})
		require.ErrorContains(t, err, "max_keys")
		require.ErrorContains(t, err, "remind_before")
	})
	t.Run("order is no change", func(t *testing.T) {
		r.reminders(false, 30*day, 7*day)
		had := len(r.events(store.EventQuery{}))
		r.reminders(false, 7*day, 30*day)
		require.Len(t, r.events(store.EventQuery{}), had)
		settings, err := r.Settings(t.Context(), admin)
		require.NoError(t, err)
		require.Equal(t, []time.Duration{30 * day, 7 * day}, settings.Reminders.Before)
	})
	t.Run("no token is revoked", func(t *testing.T) {
		key, secret := r.create(owner, "team-a", "project.list")
		token := r.mustLogin(key.ID, secret)
		r.reminders(true, 3*day)
		require.False(t, r.revoked(token))
	})
	t.Run("only an organization admin", func(t *testing.T) {
		_, err := r.SaveSettings(t.Context(), owner, store.InstanceSettings{Reminders: store.Reminders{Off: true}})
		require.ErrorAs(t, err, new(*apikey.ForbiddenError))
	})
}

func TestReminderTimes(t *testing.T) {
	sends := newRig(t, func(c *apikey.Config) {
		c.RemindBefore = []time.Duration{time.Hour, 3 * day}
		c.DefaultRemindersOff = true
	})
	for _, c := range []struct {
		name      string
		reminders store.Reminders
		want      []time.Duration
	}{
		{"the host's", store.Reminders{}, []time.Duration{3 * day, time.Hour}},
		{"an administrator's", store.Reminders{Before: []time.Duration{day, 7 * day}}, []time.Duration{7 * day, day}},
		{"off", store.Reminders{Off: true, Before: []time.Duration{day}}, nil},
	} {
		times, sent := sends.ReminderTimes(c.reminders)
		require.Equal(t, c.want, times, c.name)
		require.True(t, sent)
	}
	settings, err := sends.Settings(t.Context(), admin)
	require.NoError(t, err)
	require.True(t, settings.Reminders.Off, "Defaults hold until settings are saved")
	times, sent := newRig(t).ReminderTimes(store.Reminders{Before: []time.Duration{day}})
	require.False(t, sent, "without times of the host's")
	require.Empty(t, times)
}

func TestReminderTimesConfig(t *testing.T) {
	for says, times := range map[string][]time.Duration{
		"from 1 hour to 366 days": {day, 367 * day},
		"be listed twice":         {day, day},
		"Each time must be":       {day, 0},
		"at most 8":               {day, 2 * day, 3 * day, 4 * day, 5 * day, 6 * day, 7 * day, 8 * day, 9 * day},
	} {
		_, err := apikey.New(memstore.New(), apikey.Config{Permissions: catalog, Options: apikey.Options{RemindBefore: times}})
		require.ErrorContains(t, err, "Config.RemindBefore: ")
		require.ErrorContains(t, err, says)
	}
}
