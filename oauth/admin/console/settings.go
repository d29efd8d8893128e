package console

import (
	"net/http"
	"net/url"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// settingsPage is the data of the settings of the instance or of one workspace,
// and of the preview of a change.
type settingsPage struct {
	Here    string // the template of the form, and its entry in the menu
	Title   string
	Address []string   // the path of the page
	Form    url.Values // the values of its fields
	Updated time.Time
	Version int64
	Preview *preview
	Wanted  store.Rules // the rules after the change
	// The change switches keys off, or direct use.
	Stops, StopsDirect bool
	// For the instance only: whether the host sends reminders, the times that the host
	// configured, and the times after the change.
	RemindersSent                  bool
	ConfiguredReminders, Reminders []time.Duration
	// For one workspace only; the workspace's id is empty on the page of the instance.
	// Default are the instance's rules.
	store.Workspace
	InForce, Default store.Rules
}

// settings shows the settings of the instance, and the preview of new ones, or saves
// them.
func (s *call) settings() error {
	ctx := s.r.Context()
	settings, err := s.keys().Settings(ctx, s.actor())
	if err != nil {
		return err
	}
	page := settingsPage{
		Here: "settings", Title: "API keys", Address: []string{"settings"},
		Form: rulesForm(settings.Rules, false), Updated: settings.Updated, Version: settings.Version,
	}
	page.ConfiguredReminders, page.RemindersSent = s.keys().ReminderTimes(store.Reminders{})
	if s.r.Method != http.MethodPost {
		if settings.KeysOff {
			page.Form.Set("keys", "off")
		}
		if settings.DirectOff {
			page.Form.Set("direct", "off")
		}
		fillReminders(page.Form, settings.Reminders)
		return s.showSettings(http.StatusOK, page, nil)
	}
	f, wanted := form{Values: s.r.PostForm}, settings
	wanted.Version = s.version(0)
	wanted.Rules = f.rules(false, settings.Rules)
	wanted.KeysOff = f.choice("keys", "Choose whether API keys are on.", "on", "off") == "off"
	wanted.DirectOff = f.choice("direct", "Choose whether direct use is on.", "on", "off") == "off"
	if page.RemindersSent { // otherwise the form has no such fields, and the saved ones are kept
		wanted.Reminders = f.reminders()
	}
	page.Wanted, page.Stops, page.StopsDirect = wanted.Rules, wanted.KeysOff && !settings.KeysOff, wanted.DirectOff && !settings.DirectOff
	page.Reminders, _ = s.keys().ReminderTimes(wanted.Reminders)
	return s.changeSettings(page, f.wrong, func() error {
		_, err := s.keys().SaveSettings(ctx, s.actor(), wanted)
		return err
	}, func(after *store.KeyCursor) (apikey.Page[apikey.KeyPreview], error) {
		return s.keys().PreviewSettings(ctx, s.actor(), wanted, after, store.MaxPage)
	})
}

func (s *call) showSettings(status int, page settingsPage, wrong []problem) error {
	return s.show(status, page.Here, frame{Here: page.Here, Title: page.Title, Problems: wrong, Data: page})
}

// changeSettings shows the preview of a change, or saves the change if the preview
// was confirmed.
func (s *call) changeSettings(page settingsPage, wrong []problem, save func() error, read func(*store.KeyCursor) (apikey.Page[apikey.KeyPreview], error)) error {
	current := page.Version
	page.Form, page.Version = without(s.r.PostForm, "form", "version", "do"), s.version(0)
	ask := func(status int, wrong []problem) error {
		if status == http.StatusConflict {
			page.Version = current // the page says what was changed, so the person may now change that version
		}
		return s.showSettings(status, page, wrong)
	}
	if len(wrong) > 0 {
		return ask(http.StatusUnprocessableEntity, wrong)
	}
	switch s.r.PostForm.Get("do") {
	case "edit":
		return ask(http.StatusOK, nil)
	case "save":
		return s.handleFormError(s.redirectUnless(save(), "done=settings", page.Address...), ask)
	}
	var err error
	if page.Preview, err = s.preview(read); err != nil {
		return s.handleFormError(err, ask)
	}
	return s.show(http.StatusOK, "preview", frame{Here: page.Here, Title: "Before you save", Data: page})
}
