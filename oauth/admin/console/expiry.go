package console

import (
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// expiryForm is the choice of a key's expiry.
type expiryForm struct {
	Choices  []expiryChoice
	Chosen   string // the value of the chosen one
	Date     string // the day that was typed
	Min, Max string // the first and last day that can be chosen
}

type expiryChoice struct{ Value, Label, Note string }

// expiryForm returns the choices that the rules in force allow. The form of an existing
// key also offers to keep its expiry. The rules are about keys: a public key or a trust may
// have any expiry, or end with its key.
func (f *keyForm) expiryForm() expiryForm {
	keep, longest, latest := "As it is", f.Rules.MaxLifetime, f.since.Add(f.Rules.MaxLifetime)
	if f.Adds() {
		keep, longest = "With the key", 0
	}
	e := expiryForm{Date: f.Get("expires_on"), Min: f.now.UTC().Format(time.DateOnly)}
	if longest > 0 {
		// The key works until the end of the day, which must be within the maximum
		// lifetime.
		e.Max = latest.Add(-day).UTC().Format(time.DateOnly)
	}
	offer := func(value, label, note string, allowed bool) {
		if allowed {
			e.Choices = append(e.Choices, expiryChoice{value, label, note})
		}
	}
	offer("keep", keep, "", f.Page != "new")
	presetIsLongest := false
	for _, preset := range []struct {
		value, label string
		life         time.Duration
	}{{"7d", "7 days", 7 * day}, {"30d", "30 days", 30 * day}, {"90d", "90 days", 90 * day}, {"365d", "1 year", 365 * day}} {
		at := f.now.Add(preset.life)
		allowed := longest == 0 || !at.After(latest)
		presetIsLongest = presetIsLongest || allowed && preset.life == longest
		offer(preset.value, preset.label, "until "+at.UTC().Format(dayText), allowed)
	}
	offer("longest", "As long as allowed", "until "+latest.UTC().Format(instantText), longest > 0 && !presetIsLongest && latest.After(f.now))
	offer("date", "Until a day of your choice", "to the end of that day, UTC", e.Max == "" || e.Max >= e.Min)
	offer("never", "Never", "works until it is disabled or deleted", !f.Adds() && longest == 0 && !f.Rules.RequireExpiry && f.mayNeverExpire())
	// By default an existing key keeps its expiry, and a new one gets 90 days or, if
	// that is not allowed, a shorter time.
	for _, value := range []string{f.Get("expires"), "keep", "90d", "30d", "7d", "longest", "date", "never"} {
		if slices.ContainsFunc(e.Choices, func(c expiryChoice) bool { return c.Value == value }) {
			e.Chosen = value
			break
		}
	}
	return e
}

// expiry reads the choice. It returns nil for "keep". If the choice is
// wrong, it calls fail, and returns nil or an empty expiry. The service decides whether
// the rules allow the choice.
func (f *keyForm) expiry() *apikey.Expiry {
	switch chosen := f.Get("expires"); chosen {
	case "keep":
		return nil
	case "never":
		return &apikey.Expiry{}
	case "date":
		text := f.Get("expires_on")
		expiry, err := apikey.ParseExpiry(text)
		if err != nil || text == "" {
			f.fail("expires_on", "Choose a day, such as "+f.now.UTC().AddDate(0, 3, 0).Format(time.DateOnly)+".")
		}
		return &expiry
	case "longest":
		if f.Rules.MaxLifetime > 0 {
			return &apikey.Expiry{At: f.since.Add(f.Rules.MaxLifetime)}
		}
	default:
		if life, ok := parseSpan(chosen); ok {
			return &apikey.Expiry{At: f.now.Add(life).Truncate(time.Second)}
		}
	}
	f.fail("expires", "Choose when the key ends.")
	return nil
}
