package console

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
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
	return map[string]string{
		"name": "Name: ", "permissions": "Permissions: ", "expires": "Expiry: ", "expires_on": "Expiry: ", "grace": "Grace period: ",
		"keys": "API keys: ", "limit": "Limit: ", "max_keys": "Limit: ", "max_lifetime": "Maximum lifetime: ",
		"effect": "Effect: ", "enforced_at": "Effect: ", "reminders": "Reminders: ", "remind_before": "Reminders: ",
		"from": "From: ", "to": "To: ",
	}[p.Field]
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

// choice reads a field whose value must be one of words.
func (f *form) choice(field, reason string, words ...string) string {
	word := f.Get(field)
	if !slices.Contains(words, word) {
		f.fail(field, reason)
	}
	return word
}

func (f *form) day(field, reason string) time.Time {
	at, err := time.Parse(time.DateOnly, f.Get(field))
	if err != nil || at.IsZero() {
		f.fail(field, reason)
	}
	return at
}

// number reads a whole number of at least 1.
func (f *form) number(field, reason string) int {
	n, err := strconv.ParseInt(strings.TrimSpace(f.Get(field)), 10, 32)
	if err != nil || n < 1 {
		f.fail(field, reason)
	}
	return int(n)
}
