package console_test

import (
	"html"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

const day = 24 * time.Hour

// reminding configures a host that sends reminders.
func reminding(_ *store.Store, keys *apikey.Config, _ *console.Config) {
	keys.RemindBefore = []time.Duration{30 * day, 7 * day, day}
}

func (r *rig) settings() store.InstanceSettings {
	r.t.Helper()
	settings, err := r.keys.Settings(r.t.Context(), people["ada"].Actor)
	require.NoError(r.t, err)
	return settings
}

// asked returns the form of settings with the given reminders.
func (r *rig) asked(do, choice, before string) *page {
	r.t.Helper()
	return r.post("ada", "/settings", r.form("ada", "/settings", "keys", "on", "direct", "on", "limit", "none", "key_limit", "none", "workspace_limit", "none", "unit", "days", "effect", "new",
		"reminders", choice, "remind_before", before, "do", do))
}

func TestReminderSettings(t *testing.T) {
	r := newRig(t, reminding)
	fresh := r.get("ada", "/settings").Body
	require.Contains(t, fresh, `name="reminders" value="on" checked`)
	require.Contains(t, fresh, `name="remind_before" value=""`)
	require.Contains(t, fresh, "Empty: 30 days, 7 days, 1 day, the default of this service")

	preview := r.asked("preview", "on", "40, 12h,7d")
	require.Equal(t, http.StatusOK, preview.StatusCode, preview.Body)
	require.Contains(t, preview.Body, "<li>a reminder is sent 40 days, 7 days, 12 hours before a key expires</li>")
	require.Zero(t, r.settings().Version, "a preview saves nothing")

	save := preview.fields()
	save.Set("do", "save")
	require.Equal(t, "/settings?done=settings", r.post("ada", "/settings", save).redirectTarget())
	times := []time.Duration{40 * day, 7 * day, 12 * time.Hour}
	require.Equal(t, times, r.settings().Reminders.Before)
	require.Contains(t, r.get("ada", "/settings").Body, `name="remind_before" value="40, 7, 12h"`)
	require.Contains(t, r.get("ada", "/settings/events").Body, "times of reminders")

	preview = r.asked("preview", "off", "40, 7, 12h")
	require.Contains(t, preview.Body, "<li>no reminder is sent before a key expires</li>")
	require.Contains(t, preview.Body, "No existing key ends")
	save = preview.fields()
	save.Set("do", "save")
	r.post("ada", "/settings", save).redirectTarget()
	require.True(t, r.settings().Reminders.Off)
	require.Equal(t, times, r.settings().Reminders.Before, "for when they are on again")
	require.Contains(t, r.get("ada", "/settings").Body, `name="reminders" value="off" checked`)
	require.Contains(t, r.get("ada", "/settings/events").Body, "reminders on or off")

	r.asked("save", "on", " ").redirectTarget()
	require.False(t, r.settings().Reminders.Off)
	require.Zero(t, r.settings().Reminders.Before, "the host's own")

	for _, c := range []struct{ name, choice, before, field, says string }{
		{"no choice", "", "30", "reminders", "Choose whether reminders are sent"},
		{"another choice", "maybe", "30", "reminders", "Choose whether reminders are sent"},
		{"words", "on", "soon", "remind_before", "Type numbers of days separated by commas"},
		{"no commas", "on", "30 7 1", "remind_before", "Type numbers of days separated by commas"},
		{"nothing between", "on", "30,,7", "remind_before", "Type numbers of days separated by commas"},
		{"below zero", "on", "-7", "remind_before", "Type numbers of days separated by commas"},
		{"none", "on", "0", "remind_before", "Type numbers of days separated by commas"},
		{"more than fits", "on", "99999999999999999999", "remind_before", "Type numbers of days separated by commas"},
		{"a million years", "on", "365000000", "remind_before", "Type numbers of days separated by commas"},
		{"too many", "on", "1,2,3,4,5,6,7,8,9", "remind_before", "Type at most 8 reminder times"},
		{"too short", "on", "59m", "remind_before", "Each time must be from 1 hour to 366 days."},
		{"too long", "on", "367", "remind_before", "Each time must be from 1 hour to 366 days."},
		{"twice", "on", "1, 24h", "remind_before", "No time may be listed twice."},
		{"markup", "on", `"><script>`, "remind_before", "Type numbers of days separated by commas"},
	} {
		t.Run("refused: "+c.name, func(t *testing.T) {
			for _, do := range []string{"preview", "save"} {
				got := r.asked(do, c.choice, c.before)
				require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode, got.Body)
				label := map[string]string{"reminders": "Reminders: ", "remind_before": "Times of reminders: "}[c.field]
				require.Contains(t, got.Body, `<a href="#f-`+c.field+`">`+label)
				require.Contains(t, got.Body, `id="f-`+c.field+`"`)
				require.Contains(t, got.Body, c.says)
				require.Contains(t, got.Body, `value="`+html.EscapeString(c.before)+`"`, "what was typed is there to be mended")
				require.Zero(t, r.settings().Reminders.Before)
			}
		})
	}
}

// TestNoReminders: if the host sends no reminders, the page says so, and the reminders in
// the saved settings are kept.
func TestNoReminders(t *testing.T) {
	r := newRig(t)
	settings := r.settings()
	settings.Reminders = store.Reminders{Off: true, Before: []time.Duration{5 * day}}
	_, err := r.keys.SaveSettings(t.Context(), people["ada"].Actor, settings)
	require.NoError(t, err)
	body := r.get("ada", "/settings").Body
	require.Contains(t, body, "This service does not send reminders.")
	require.NotContains(t, body, `name="reminders"`)
	preview := r.post("ada", "/settings", r.form("ada", "/settings", "keys", "on", "direct", "on", "limit", "own", "key_limit", "none", "workspace_limit", "none", "max_keys", "3", "unit", "days", "effect", "new", "do", "preview"))
	require.NotContains(t, preview.Body, "reminder")
	save := preview.fields()
	save.Set("do", "save")
	r.post("ada", "/settings", save).redirectTarget()
	require.Equal(t, 3, r.settings().Rules.MaxKeys)
	require.True(t, r.settings().Reminders.Off)
	require.Equal(t, []time.Duration{5 * day}, r.settings().Reminders.Before)

	t.Run("a form with reminders does not change them either", func(t *testing.T) {
		r.asked("save", "on", "9").redirectTarget()
		require.True(t, r.settings().Reminders.Off)
		require.Equal(t, []time.Duration{5 * day}, r.settings().Reminders.Before)
	})
}

// The form reads the values that it shows unchanged.
func FuzzSpan(f *testing.F) {
	for _, text := range []string{"", "30", "12h", " 90m ", "1d", "5400s", "36600", "1h30m", "1.5s", "-1h", "\u0661"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		span, ok := console.ParseSpan(text)
		if !ok {
			return
		}
		require.Positive(t, span)
		again, ok := console.ParseSpan(console.TypedSpan(span))
		require.True(t, ok)
		require.Equal(t, span, again)
	})
}
