package console

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// form holds the fields of a form, and the problems with them.
type form struct {
	url.Values
	wrong []problem
}

// problem says what is wrong with a field. An empty Field means the whole form.
type problem struct{ Field, Reason string }

// Label returns the name of the field, for the list of problems, which is not
// beside the field.
func (p problem) Label() string {
	if p.Field == "" {
		return ""
	}
	name := nameText(p.Field)
	return strings.ToUpper(name[:1]) + name[1:] + ": "
}

// fail keeps the first reason of each field.
func (f *form) fail(field, reason string) {
	if !slices.ContainsFunc(f.wrong, func(p problem) bool { return p.Field == field }) {
		f.wrong = append(f.wrong, problem{field, reason})
	}
}

// has reports whether at least one of the fields has a value.
func (f *form) has(fields ...string) bool {
	return slices.ContainsFunc(fields, func(field string) bool { return f.Get(field) != "" })
}

// choice reads a field whose value must be one of words; otherwise it adds reason.
func (f *form) choice(field, reason string, words ...string) string {
	word := f.Get(field)
	if !slices.Contains(words, word) {
		f.fail(field, reason)
	}
	return word
}

// day reads a date, which stands for its first instant in UTC.
func (f *form) day(field, reason string) time.Time {
	at, err := time.Parse(time.DateOnly, f.Get(field))
	if err != nil || at.IsZero() {
		f.fail(field, reason)
	}
	return at
}

// number reads a whole number from 1 to 2147483647.
func (f *form) number(field, reason string) int {
	n, err := strconv.ParseInt(strings.TrimSpace(f.Get(field)), 10, 32)
	if err != nil || n < 1 {
		f.fail(field, reason)
	}
	return int(n)
}

// limit is a limit of rules with its form fields: the choice and the number.
type limit struct {
	choice, number, noun string
	value                *int
}

func limitsOf(r *store.Rules) []limit {
	return []limit{
		{"limit", "max_keys", "keys", &r.MaxKeys},
		{"key_limit", "key_requests", "requests", &r.KeyRequests},
		{"workspace_limit", "workspace_requests", "requests", &r.WorkspaceRequests},
	}
}

// rulesForm returns the form fields of rules.
func rulesForm(r store.Rules, workspace bool) url.Values {
	f := url.Values{"effect": {"new"}}
	for _, limit := range limitsOf(&r) {
		f.Set(limit.choice, "none")
		switch {
		case *limit.value > 0:
			f.Set(limit.choice, "own")
			f.Set(limit.number, strconv.Itoa(*limit.value))
		case workspace && *limit.value == 0:
			f.Set(limit.choice, "inherit")
		}
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

// rules reads the form. before are the saved rules: if the day of enforced_at is the
// saved one, the saved time of day is kept.
func (f *form) rules(workspace bool, before store.Rules) (rules store.Rules) {
	for _, limit := range limitsOf(&rules) {
		switch chosen := f.choice(limit.choice, "Choose one.", "own", "none", "inherit"); {
		case chosen == "own":
			*limit.value = f.number(limit.number, "Type a number of "+limit.noun+", 1 to 2147483647.")
		case chosen == "none" && workspace:
			*limit.value = store.Unlimited
		case chosen == "inherit" && !workspace:
			f.fail(limit.choice, "Choose one.")
		}
	}
	rules.RequireExpiry = f.Get("require_expiry") != ""
	if text := f.Get("max_lifetime"); strings.TrimSpace(text) != "" {
		var ok bool
		if rules.MaxLifetime, ok = parseSpan(text); !ok || rules.MaxLifetime < time.Minute {
			f.fail("max_lifetime", "Type a number of days, such as 90, or hours, such as 12h; at least 1m (one minute) and at most 36600 days. Leave it empty to set no maximum here.")
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
		f.fail("remind_before", "Type at most "+strconv.Itoa(store.MaxReminders)+" reminder times, separated by commas.")
		return r
	}
	for _, text := range times {
		before, ok := parseSpan(text)
		if !ok {
			f.fail("remind_before", "Type numbers of days separated by commas, such as 30, 7, 1, or hours, such as 12h. Each time must be from 1 hour to 366 days.")
		}
		r.Before = append(r.Before, before)
	}
	return r
}
