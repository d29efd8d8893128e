package console

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// form are the fields of a form, and what is wrong with them.
type form struct {
	url.Values
	wrong []problem
}

// problem is what is wrong with a form, and the field to mend; none if it is
// the form as a whole.
type problem struct{ Field, Reason string }

// Label begins a sentence such as "It may not be empty.", for the list of problems
// stands apart from the fields.
func (p problem) Label() string {
	return map[string]string{
		"name": "Name: ", "permissions": "Permissions: ", "expires": "Expiry: ", "expires_on": "Expiry: ", "grace": "Grace period: ",
		"keys": "API keys: ", "limit": "Limit: ", "max_keys": "Limit: ", "max_lifetime": "Maximum lifetime: ",
		"effect": "Effect: ", "enforced_from": "Effect: ", "reminders": "Reminders: ", "remind_before": "Reminders: ",
		"from": "From: ", "to": "To: ",
	}[p.Field]
}

// fail keeps the first reason of each field.
func (f *form) fail(field, reason string) {
	if !slices.ContainsFunc(f.wrong, func(p problem) bool { return p.Field == field }) {
		f.wrong = append(f.wrong, problem{field, reason})
	}
}

// has reports whether one of some fields was filled.
func (f *form) has(fields ...string) bool {
	return slices.ContainsFunc(fields, func(field string) bool { return f.Get(field) != "" })
}

// choice reads one of some words.
func (f *form) choice(field, reason string, words ...string) string {
	word := f.Get(field)
	if !slices.Contains(words, word) {
		f.fail(field, reason)
	}
	return word
}

// day reads a day.
func (f *form) day(field, reason string) time.Time {
	at, err := time.Parse(time.DateOnly, f.Get(field))
	if err != nil || at.IsZero() {
		f.fail(field, reason)
	}
	return at
}

// number reads a whole number from 1 on.
func (f *form) number(field, reason string) int {
	n, err := strconv.ParseInt(strings.TrimSpace(f.Get(field)), 10, 32)
	if err != nil || n < 1 {
		f.fail(field, reason)
	}
	return int(n)
}
