package console

import (
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// expiryForm is the choice of when a key ends.
type expiryForm struct {
	Choices  []expiryChoice
	Date     string // the day chosen
	Min, Max string // the days that can be
	Hint     string
}

type expiryChoice struct {
	Value, Label, Note string
	Checked            bool
}

const day = 24 * time.Hour

// preset are lengths of time that a person picks with one click.
type preset struct {
	value, label string
	life         time.Duration
}

func presets() []preset {
	return []preset{{"7d", "7 days", 7 * day}, {"30d", "30 days", 30 * day}, {"90d", "90 days", 90 * day}, {"365d", "1 year", 365 * day}}
}

// offerExpiry offers what the rules in force allow, and a key that exists to stay
// as it is.
func (k *keyForm) offerExpiry() {
	rules, now, exists := k.rules, k.now, k.page != "new"
	f := expiryForm{Date: k.Values.Get("expires_on"), Min: now.UTC().Format(time.DateOnly)}
	var latest time.Time
	if rules.MaxLifetime > 0 {
		latest = k.since.Add(rules.MaxLifetime)
		// A day lasts to its end, which must come before.
		f.Max = latest.UTC().Add(-day).Format(time.DateOnly)
		f.Hint = "Keys may live " + spanText(rules.MaxLifetime) + " at most" + map[string]string{
			"new":    ".",
			"change": ". That counts from the newest secret: rotate the key to prolong it further.",
			"rotate": ", from this rotation on.",
		}[k.page]
	}
	fits := func(t time.Time) bool { return latest.IsZero() || !t.After(latest) }
	offer := func(value, label, note string) {
		f.Choices = append(f.Choices, expiryChoice{value, label, note, false})
	}
	if exists {
		offer("keep", "As it is", k.Key.Expires.Text)
	}
	exact := false
	for _, p := range presets() {
		if fits(now.Add(p.life)) {
			offer(p.value, p.label, "until "+now.Add(p.life).UTC().Format("2 Jan 2006"))
			exact = exact || p.life == rules.MaxLifetime
		}
	}
	if !latest.IsZero() && !exact && latest.After(now) {
		offer("longest", "As long as allowed", "until "+momentOf(latest, now, "").Text)
	}
	if f.Max == "" || f.Max >= f.Min {
		offer("date", "Until a day of your choice", "to the end of that day, UTC")
	}
	if !rules.RequireExpiry && rules.MaxLifetime == 0 {
		offer("never", "Never", "works until somebody ends it")
	}
	f.check(k.Values.Get("expires"), exists)
	k.Expiry = f
}

// check marks the chosen one; if there is none, 90 days or what comes next to
// it, and for a key that exists what it has.
func (f *expiryForm) check(chosen string, keep bool) {
	for _, want := range []string{chosen, map[bool]string{true: "keep"}[keep], "90d", "30d", "7d"} {
		for i := range f.Choices {
			if f.Choices[i].Value == want {
				f.Choices[i].Checked = true
				return
			}
		}
	}
	if len(f.Choices) > 0 {
		f.Choices[0].Checked = true
	}
}

// expiry reads the choice; nil is a key that stays as it is.
func (k *keyForm) expiry() (*apikey.Expiry, []problem) {
	var expiry apikey.Expiry
	chosen := k.Values.Get("expires")
	for _, p := range presets() {
		if p.value == chosen {
			expiry = apikey.ExpiresAt(k.now.Add(p.life).Truncate(time.Second))
			return &expiry, nil
		}
	}
	switch chosen {
	case "keep":
		return nil, nil
	case "never":
		return &expiry, nil
	case "longest":
		if k.rules.MaxLifetime > 0 {
			expiry = apikey.ExpiresAt(k.since.Add(k.rules.MaxLifetime))
			return &expiry, nil
		}
	case "date":
		text := k.Values.Get("expires_on")
		if _, err := time.Parse(time.DateOnly, text); err != nil {
			return nil, []problem{{"expires_on", "Expiry: choose a day, such as " + k.now.UTC().AddDate(0, 3, 0).Format(time.DateOnly) + "."}}
		}
		expiry, err := apikey.ParseExpiry(text)
		if err != nil {
			return nil, []problem{{"expires_on", "Expiry: choose a day of this century."}}
		}
		return &expiry, nil
	}
	return nil, []problem{{"expires", "Expiry: choose when the key ends."}}
}
