package console

import (
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// settingsPage is the form of settings, and the preview of a change.
type settingsPage struct {
	KeysOff bool
	Rules   rulesForm
	Words   []string
	// Reminders are of the instance only.
	Reminders remindersForm
	Updated   moment
	Version   int64
	Preview   *preview
	// Of one workspace:
	ID        string
	Suspended bool
	Deleted   bool
	Keys      int
	InForce   []string
}

// editSettings shows the instance's settings.
func (s *call) editSettings() error {
	settings, err := s.keys().Settings(s.r.Context(), s.actor())
	if err != nil {
		return err
	}
	now := s.keys().Now()
	f := s.frame("settings", "API keys", settingsPage{
		KeysOff: settings.KeysOff, Rules: showRules(settings.Rules, false, now), Words: s.inWords(settings), Reminders: s.showReminders(settings),
		Updated: momentOf(settings.Updated, now, "never"), Version: settings.Version,
	})
	return s.page("settings", f)
}

// saveSettings first shows what new settings would do, and then saves them.
func (s *call) saveSettings() error {
	ctx, values := s.r.Context(), s.r.PostForm
	settings, err := s.keys().Settings(ctx, s.actor())
	if err != nil {
		return err
	}
	now := s.keys().Now()
	page := settingsPage{
		KeysOff: values.Get("keys") == "off", Rules: typedRules(values, now), Words: s.inWords(settings), Reminders: s.typedReminders(values),
		Updated: momentOf(settings.Updated, now, "never"), Version: s.seen(),
	}
	rules, wrong := readRules(page.Rules, false, settings.Rules)
	if keys := values.Get("keys"); keys != "on" && keys != "off" {
		wrong = append(wrong, problem{"keys", "API keys: choose whether they are on."})
	}
	wanted := settings
	wanted.KeysOff, wanted.Rules, wanted.Version = page.KeysOff, rules, page.Version
	wrong = append(wrong, page.Reminders.readInto(&wanted)...)
	show := func(status int, wrong []problem) error {
		f := s.frame("settings", "API keys", page)
		f.Problems = wrong
		return s.show(status, "settings", f)
	}
	if len(wrong) > 0 {
		return show(http.StatusUnprocessableEntity, wrong)
	}
	if values.Get("do") == "save" {
		_, err := s.keys().SaveSettings(ctx, s.actor(), wanted)
		if err != nil {
			return s.orAsk(err, show)
		}
		return s.redirect("done=settings", "settings")
	}
	page.Preview, err = s.preview(now, func(after *store.KeyCursor) (apikey.EffectPage, error) {
		return s.keys().PreviewSettings(ctx, s.actor(), wanted, after, store.MaxPage)
	})
	if err != nil {
		return s.orAsk(err, show)
	}
	page.Words = s.inWords(wanted)
	return s.page("preview", s.frame("settings", "Before you save", page))
}

// inWords says what settings ask for.
func (s *call) inWords(settings store.Instance) []string {
	return append(inWords(settings.Rules, false), s.remindersInWords(settings)...)
}

// seen is the version that the form was made from; 0 is: never saved. A form
// without one matches no record.
func (s *call) seen() int64 {
	if s.r.PostForm.Get("version") == "0" {
		return 0
	}
	return s.version()
}
