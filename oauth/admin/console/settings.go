package console

import (
	"net/http"
	"net/url"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// settingsPage is the form of the settings of the instance or of one workspace,
// and the preview of a change.
type settingsPage struct {
	Form    url.Values // what its fields hold
	Updated moment
	Version int64
	Preview *preview
	Words   []string // what a change asks for
	// Of the instance:
	Sent bool   // reminders are, by the host at all
	Own  string // when, as the host chose, in words
	// Of one workspace, whose id is empty otherwise:
	store.Workspace
	InForce []string
	Default []string // the instance's rules
}

// instancePage shows the instance's record.
func (s *call) instancePage(settings store.Instance) settingsPage {
	own, sent := s.keys().ReminderTimes(store.Instance{})
	page := settingsPage{
		Form: rulesForm(settings.Rules, false), Sent: sent, Own: timesInWords(own),
		Updated: momentOf(settings.Updated, s.keys().Now(), "never"), Version: settings.Version,
	}
	if settings.KeysOff {
		page.Form.Set("keys", "off")
	}
	fillReminders(page.Form, settings)
	return page
}

// editSettings shows the instance's settings.
func (s *call) editSettings() error {
	settings, err := s.keys().Settings(s.r.Context(), s.actor())
	if err != nil {
		return err
	}
	return s.show(http.StatusOK, "settings", frame{Here: "settings", Title: "API keys", Data: s.instancePage(settings)})
}

// saveSettings first shows what new settings would do, and then saves them.
func (s *call) saveSettings() error {
	ctx, values := s.r.Context(), s.r.PostForm
	settings, err := s.keys().Settings(ctx, s.actor())
	if err != nil {
		return err
	}
	wanted := settings
	c := settingsChange{page: s.instancePage(settings), form: "settings", here: "settings", title: "API keys", at: []string{"settings"}}
	wanted.Rules, c.wrong = readRules(values, false, settings.Rules)
	switch values.Get("keys") {
	case "on", "off":
		wanted.KeysOff = values.Get("keys") == "off"
	default:
		c.wrong = append(c.wrong, problem{"keys", "API keys: choose whether they are on."})
	}
	if c.page.Sent { // otherwise the page asks for none, and what is saved stays as it is
		c.wrong = append(c.wrong, readReminders(values, &wanted)...)
	}
	wanted.Version = s.seen()
	c.page.Words = append(inWords(wanted.Rules, false), s.remindersInWords(wanted)...)
	c.save = func() error {
		_, err := s.keys().SaveSettings(ctx, s.actor(), wanted)
		return err
	}
	c.look = func(after *store.KeyCursor) (apikey.Page[apikey.Effect], error) {
		return s.keys().PreviewSettings(ctx, s.actor(), wanted, after, store.MaxPage)
	}
	return s.changeSettings(c)
}

// settingsChange is a change of settings: its form, and what to do about it.
type settingsChange struct {
	page              settingsPage
	form, here, title string   // the page of the form, its entry in the menu and its title
	at                []string // its address
	wrong             []problem
	save              func() error
	look              func(*store.KeyCursor) (apikey.Page[apikey.Effect], error)
}

// changeSettings shows what a change would do, and saves it when that was seen.
func (s *call) changeSettings(c settingsChange) error {
	c.page.Form, c.page.Version = without(s.r.PostForm, "form", "version", "do"), s.seen()
	ask := func(status int, wrong []problem) error {
		return s.show(status, c.form, frame{Here: c.here, Title: c.title, Problems: wrong, Data: c.page})
	}
	if len(c.wrong) > 0 {
		return ask(http.StatusUnprocessableEntity, c.wrong)
	}
	if s.r.PostForm.Get("do") == "save" {
		if err := c.save(); err != nil {
			return s.orAsk(err, ask)
		}
		return s.redirect("done=settings", c.at...)
	}
	var err error
	if c.page.Preview, err = s.preview(c.look); err != nil {
		return s.orAsk(err, ask)
	}
	return s.show(http.StatusOK, "preview", frame{Here: c.here, Title: "Before you save", Data: c.page})
}

// seen is the version that the form was made from; 0 is: never saved. A form
// without one matches no record.
func (s *call) seen() int64 {
	if s.r.PostForm.Get("version") == "0" {
		return 0
	}
	return s.version()
}
