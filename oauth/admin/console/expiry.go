package console

import (
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// expiryForm is the choice of a key's expiry.
type expiryForm struct {
	Choices  []expiryChoice
	Date     string // the day that was typed
	Min, Max string // the first and last day that can be chosen
}

type expiryChoice struct {
	Value, Label, Note string
	Checked            bool
	allowed            bool // the rules in force allow it
	expiry             apikey.Expiry
}

// offerExpiry sets the choices that the rules in force allow. An existing key can
// also keep its expiry.
func (f *keyForm) offerExpiry() {
	f.endless = f.mayBeEndless()
	f.Expiry = expiryForm{Date: f.Get("expires_on"), Min: f.now.UTC().Format(time.DateOnly)}
	if f.Rules.MaxLifetime > 0 {
		// The key works until the end of the day, which must be within the maximum
		// lifetime.
		f.Expiry.Max = f.since.Add(f.Rules.MaxLifetime - day).UTC().Format(time.DateOnly)
	}
	offered := slices.DeleteFunc(f.expiryChoices(), func(c expiryChoice) bool { return !c.allowed })
	f.Expiry.Choices = offered
	// By default an existing key keeps its expiry, and a new one gets 90 days or, if
	// that is not allowed, a shorter time.
	for _, value := range []string{f.Get("expires"), "keep", "90d", "30d", "7d"} {
		if i := slices.IndexFunc(offered, func(c expiryChoice) bool { return c.Value == value }); i >= 0 {
			offered[i].Checked = true
			return
		}
	}
	if len(offered) > 0 {
		offered[0].Checked = true
	}
}

// expiryChoices returns all choices.
func (f *keyForm) expiryChoices() []expiryChoice {
	longest, latest := f.Rules.MaxLifetime, f.since.Add(f.Rules.MaxLifetime)
	list := []expiryChoice{{Value: "keep", Label: "As it is", allowed: f.Page != "new"}}
	exact := false
	for _, preset := range []struct {
		value, label string
		life         time.Duration
	}{{"7d", "7 days", 7 * day}, {"30d", "30 days", 30 * day}, {"90d", "90 days", 90 * day}, {"365d", "1 year", 365 * day}} {
		at := f.now.Add(preset.life)
		allowed := longest == 0 || !at.After(latest)
		exact = exact || allowed && preset.life == longest
		list = append(list, expiryChoice{
			Value: preset.value, Label: preset.label, Note: "until " + at.UTC().Format(dayText),
			allowed: allowed, expiry: apikey.Expiry{At: at.Truncate(time.Second)},
		})
	}
	return append(list, expiryChoice{
		Value: "longest", Label: "As long as allowed", Note: "until " + latest.UTC().Format(instantText),
		allowed: longest > 0 && !exact && latest.After(f.now), expiry: apikey.Expiry{At: latest},
	}, expiryChoice{
		Value: "date", Label: "Until a day of your choice", Note: "to the end of that day, UTC",
		allowed: f.Expiry.Max == "" || f.Expiry.Max >= f.Expiry.Min,
	}, expiryChoice{
		Value: "never", Label: "Never", Note: "works until it is disabled or deleted", allowed: longest == 0 && !f.Rules.RequireExpiry && f.endless,
	})
}

// expiry reads the choice. nil means that the key keeps its expiry. The service
// decides whether the rules allow the choice.
func (f *keyForm) expiry() *apikey.Expiry {
	chosen, choices := f.Get("expires"), f.expiryChoices()
	i := slices.IndexFunc(choices, func(c expiryChoice) bool { return c.Value == chosen })
	switch {
	case i < 0, chosen == "longest" && f.Rules.MaxLifetime == 0:
		f.fail("expires", "Choose when the key ends.")
		return nil
	case chosen == "keep":
		return nil
	case chosen == "date":
		text := f.Get("expires_on")
		expiry, err := apikey.ParseExpiry(text)
		if err != nil || text == "" {
			f.fail("expires_on", "Choose a day, such as "+f.now.UTC().AddDate(0, 3, 0).Format(time.DateOnly)+".")
		}
		return &expiry
	}
	return &choices[i].expiry
}
