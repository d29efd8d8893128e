package console

import (
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// settingsPage is the form of settings, and the preview of a change.
type settingsPage struct {
	KeysOff bool
	Rules   rulesForm
	Words   []string
	Updated moment
	Version int64
	Preview *preview
	// Of one workspace:
	ID        string
	Suspended bool
	Deleted   bool
	Keys      int
	InForce   []string
}

// preview is what a change would do.
type preview struct {
	Effects []effectView
	More    int // touched and not shown
	Looked  int
	Partly  bool // there are more keys than were looked at
	Die     int  // end at once
	Earlier int  // end, or end earlier, later on
	Later   int  // live longer
}

type effectView struct {
	Key         keyView
	Before, Now moment
	Dies        bool
}

// How much of a preview is looked at, and shown.
const (
	maxLooked = 20_000
	maxShown  = 100
)

// editSettings shows the instance's settings.
func (s *call) editSettings() error {
	settings, err := s.keys().Settings(s.r.Context(), s.actor())
	if err != nil {
		return err
	}
	now := s.keys().Now()
	f := s.frame("settings", "API keys", settingsPage{
		KeysOff: settings.KeysOff, Rules: showRules(settings.Rules, false, now), Words: inWords(settings.Rules, false),
		Updated: momentOf(settings.Updated, now, "never"), Version: settings.Version,
	})
	f.Notice = notices()[s.r.URL.Query().Get("done")]
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
		KeysOff: values.Get("keys") == "off", Rules: typedRules(values, now), Words: inWords(settings.Rules, false),
		Updated: momentOf(settings.Updated, now, "never"), Version: s.seen(),
	}
	rules, wrong := readRules(page.Rules, false, settings.Rules)
	if keys := values.Get("keys"); keys != "on" && keys != "off" {
		wrong = append(wrong, problem{"keys", "API keys: choose whether they are on."})
	}
	show := func(status int, wrong ...problem) error {
		f := s.frame("settings", "API keys", page)
		f.Problems = wrong
		return s.show(status, "settings", f)
	}
	if len(wrong) > 0 {
		return show(http.StatusUnprocessableEntity, wrong...)
	}
	wanted := store.Instance{KeysOff: page.KeysOff, Rules: rules, Version: page.Version}
	if values.Get("do") == "save" {
		_, err := s.keys().SaveSettings(ctx, s.actor(), wanted)
		if status, wrong := problems(err); len(wrong) > 0 {
			return show(status, wrong...)
		}
		if err != nil {
			return err
		}
		return s.redirect("done=settings", "settings")
	}
	page.Preview, err = s.preview(now, func(after *store.KeyCursor) (apikey.EffectPage, error) {
		return s.keys().PreviewSettings(ctx, s.actor(), wanted, after, store.MaxPage)
	})
	if status, wrong := problems(err); len(wrong) > 0 {
		return show(status, wrong...)
	}
	if err != nil {
		return err
	}
	page.Words = inWords(rules, false)
	return s.page("preview", s.frame("settings", "Before you save", page))
}

// seen is the version that the form was made from; 0 is: never saved. A form
// without one matches no record.
func (s *call) seen() int64 {
	if s.r.PostForm.Get("version") == "0" {
		return 0
	}
	return s.version()
}

// preview goes through the keys.
func (s *call) preview(now time.Time, look func(*store.KeyCursor) (apikey.EffectPage, error)) (*preview, error) {
	shown := &preview{}
	var after *store.KeyCursor
	for {
		page, err := look(after)
		if err != nil {
			return nil, err
		}
		shown.Looked += page.Looked
		for i := range page.Effects {
			shown.add(&page.Effects[i], now)
		}
		if after = page.Next; after == nil {
			return shown, nil
		}
		if shown.Looked >= maxLooked {
			shown.Partly = true
			return shown, nil
		}
	}
}

func (p *preview) add(e *apikey.Effect, now time.Time) {
	v := effectView{Key: viewOf(&e.Key, now), Before: momentOf(e.Before, now, "Never"), Now: momentOf(e.After, now, "Never")}
	switch {
	case !e.After.IsZero() && !e.After.After(now):
		v.Dies = true
		v.Now = moment{Text: "At once"}
		p.Die++
	case !e.After.IsZero() && (e.Before.IsZero() || e.After.Before(e.Before)):
		p.Earlier++
	default:
		p.Later++
	}
	if !e.Before.IsZero() && !e.Before.After(now) {
		v.Before = moment{Text: "Ended"}
	}
	if len(p.Effects) == maxShown {
		p.More++
		return
	}
	p.Effects = append(p.Effects, v)
}
