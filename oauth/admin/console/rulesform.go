package console

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// rulesForm returns the form fields of rules.
func rulesForm(r store.Rules, workspace bool) url.Values {
	f := url.Values{"limit": {"none"}, "effect": {"new"}}
	switch {
	case r.MaxKeys > 0:
		f.Set("limit", "own")
		f.Set("max_keys", strconv.Itoa(r.MaxKeys))
	case workspace && r.MaxKeys == 0:
		f.Set("limit", "inherit")
	}
	if r.RequireExpiry {
		f.Set("require_expiry", "yes")
	}
	if r.MaxLifetime > 0 {
		f.Set("max_lifetime", typedSpan(r.MaxLifetime))
	}
	if !r.EnforcedFrom.IsZero() {
		f.Set("effect", "all")
		f.Set("enforced_at", r.EnforcedFrom.UTC().Format(time.DateOnly))
	}
	return f
}

// rules reads the form. before are the saved rules: if the day of enforced_at was
// not changed, its time of day is kept.
func (f *form) rules(workspace bool, before store.Rules) (rules store.Rules) {
	limits := []string{"own", "none"}
	if workspace {
		limits = append(limits, "inherit")
	}
	switch f.choice("limit", "Choose one.", limits...) {
	case "own":
		rules.MaxKeys = f.number("max_keys", "Type a number of keys, 1 or more.")
	case "none":
		if workspace {
			rules.MaxKeys = store.Unlimited
		}
	}
	rules.RequireExpiry = f.Get("require_expiry") != ""
	if text := f.Get("max_lifetime"); strings.TrimSpace(text) != "" {
		var ok bool
		if rules.MaxLifetime, ok = parseSpan(text); !ok || rules.MaxLifetime < time.Minute {
			f.fail("max_lifetime", "Type a number of days, such as 90, or hours, such as 12h; at least 1m. Leave it empty for no bound.")
		}
	}
	if f.choice("effect", "Choose one.", "new", "all") == "all" {
		rules.EnforcedFrom = f.day("enforced_at", "Choose the day from which the rules apply to all keys.")
		if rules.EnforcedFrom.Equal(before.EnforcedFrom.UTC().Truncate(day)) {
			rules.EnforcedFrom = before.EnforcedFrom
		}
	}
	return rules
}

// fillReminders sets the form fields of reminders.
func fillReminders(f url.Values, r store.Reminders) {
	f.Set("reminders", "on")
	if r.Off {
		f.Set("reminders", "off")
	}
	var typed []string
	for _, before := range r.Before {
		typed = append(typed, typedSpan(before))
	}
	f.Set("remind_before", strings.Join(typed, ", "))
}

// reminders reads the form fields of reminders.
func (f *form) reminders() (r store.Reminders) {
	r.Off = f.choice("reminders", "Choose whether reminders are sent.", "on", "off") == "off"
	if strings.TrimSpace(f.Get("remind_before")) == "" {
		return r
	}
	times := strings.Split(f.Get("remind_before"), ",")
	if len(times) > store.MaxReminders {
		f.fail("remind_before", "Type at most "+strconv.Itoa(store.MaxReminders)+" times.")
		return r
	}
	for _, text := range times {
		before, ok := parseSpan(text)
		if !ok {
			f.fail("remind_before", "Type numbers of days separated by commas, such as 30, 7, 1, or hours, such as 12h.")
		}
		r.Before = append(r.Before, before)
	}
	return r
}
