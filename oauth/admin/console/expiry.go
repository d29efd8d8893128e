package console

import (
	"slices"
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
	allowed            bool // by the rules in force
	expiry             apikey.Expiry
}

const day = 24 * time.Hour

// offerExpiry offers what the rules in force allow, and a key that exists to stay
// as it is.
func (f *keyForm) offerExpiry() {
	f.Expiry = expiryForm{Date: f.Values.Get("expires_on"), Min: f.now.UTC().Format(time.DateOnly)}
	if f.rules.MaxLifetime > 0 {
		// A day lasts to its end, which must come before.
		f.Expiry.Max = f.since.Add(f.rules.MaxLifetime - day).UTC().Format(time.DateOnly)
		f.Expiry.Hint = "Keys may live " + spanText(f.rules.MaxLifetime) + " at most" + map[string]string{
			"new":    ".",
			"change": ". That counts from the newest secret: rotate the key to prolong it further.",
			"rotate": ", from this rotation on.",
		}[f.page]
	}
	offered := slices.DeleteFunc(f.expiryChoices(), func(c expiryChoice) bool { return !c.allowed })
	f.Expiry.Choices = offered
	// If none is chosen, a key that exists stays as it is, and a new one gets 90 days
	// or what comes next to it.
	for _, value := range []string{f.Values.Get("expires"), "keep", "90d", "30d", "7d"} {
		if i := slices.IndexFunc(offered, func(c expiryChoice) bool { return c.Value == value }); i >= 0 {
			offered[i].Checked = true
			return
		}
	}
	if len(offered) > 0 {
		offered[0].Checked = true
	}
}

// expiryChoices are all there are.
func (f *keyForm) expiryChoices() []expiryChoice {
	longest, latest := f.rules.MaxLifetime, f.since.Add(f.rules.MaxLifetime)
	list := []expiryChoice{{Value: "keep", Label: "As it is", Note: f.Key.Expires.Text, allowed: f.page != "new"}}
	exact := false
	for _, preset := range []struct {
		value, label string
		life         time.Duration
	}{{"7d", "7 days", 7 * day}, {"30d", "30 days", 30 * day}, {"90d", "90 days", 90 * day}, {"365d", "1 year", 365 * day}} {
		at := f.now.Add(preset.life)
		allowed := longest == 0 || !at.After(latest)
		exact = exact || allowed && preset.life == longest
		list = append(list, expiryChoice{
			Value: preset.value, Label: preset.label, Note: "until " + at.UTC().Format("2 Jan 2006"),
			allowed: allowed, expiry: apikey.Expiry{At: at.Truncate(time.Second)},
		})
	}
	return append(list, expiryChoice{
		Value: "longest", Label: "As long as allowed", Note: "until " + momentOf(latest, f.now, "").Text,
		allowed: longest > 0 && !exact && latest.After(f.now), expiry: apikey.Expiry{At: latest},
	}, expiryChoice{
		Value: "date", Label: "Until a day of your choice", Note: "to the end of that day, UTC",
		allowed: f.Expiry.Max == "" || f.Expiry.Max >= f.Expiry.Min,
	}, expiryChoice{
		Value: "never", Label: "Never", Note: "works until somebody ends it", allowed: longest == 0 && !f.rules.RequireExpiry,
	})
}

// expiry reads the choice; nil is a key that stays as it is. Whether the rules allow
// it decides the service.
func (f *keyForm) expiry() (*apikey.Expiry, []problem) {
	chosen, choices := f.Values.Get("expires"), f.expiryChoices()
	i := slices.IndexFunc(choices, func(c expiryChoice) bool { return c.Value == chosen })
	switch {
	case i < 0, chosen == "longest" && f.rules.MaxLifetime == 0:
		return nil, []problem{{"expires", "Expiry: choose when the key ends."}}
	case chosen == "keep":
		return nil, nil
	case chosen != "date":
		return &choices[i].expiry, nil
	}
	text := f.Values.Get("expires_on")
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return nil, []problem{{"expires_on", "Expiry: choose a day, such as " + f.now.UTC().AddDate(0, 3, 0).Format(time.DateOnly) + "."}}
	}
	expiry, err := apikey.ParseExpiry(text)
	if err != nil {
		return nil, []problem{{"expires_on", "Expiry: choose a day of this century."}}
	}
	return &expiry, nil
}
