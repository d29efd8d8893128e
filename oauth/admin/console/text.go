package console

import (
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// functions returns the functions of the templates.
func functions() template.FuncMap {
	return template.FuncMap{
		"count": count, "span": spanText,
		"list":  func(items ...any) []any { return items },
		"actor": actorText, "who": whoText, "actionText": actionText, "changes": changeTexts, "nameText": nameText,
		"kind": kindOf, "ofKind": ofKind, "jwk": jwkOf, "entry": entryOf,
	}
}

// count returns a number and its noun, in the singular or the plural.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

const (
	day         = 24 * time.Hour
	dayText     = "2 Jan 2006"
	instantText = "2 Jan 2006, 15:04 UTC"
)

// moment holds the texts of an instant, in UTC.
type moment struct {
	ISO  string // empty for the zero time
	Text string
	Day  string // without the time of day
	Ago  string // relative to now
}

// When returns the texts of an instant. For the zero time, Text is ifZero.
func (f frame) When(t time.Time, ifZero string) moment {
	if t.IsZero() {
		return moment{Text: ifZero}
	}
	t = t.UTC()
	return moment{ISO: t.Format(time.RFC3339), Text: t.Format(instantText), Day: t.Format(dayText), Ago: distance(t.Sub(f.now))}
}

// Past reports whether an instant has passed.
func (f frame) Past(t time.Time) bool { return !t.IsZero() && !f.now.Before(t) }

// Only reports whether a credential works, and no other of its key. If id is empty, it
// reports whether none works. A trust whose entry the host has removed does not work.
func (f frame) Only(credentials []store.Credential, id string) bool {
	return !slices.ContainsFunc(credentials, func(c store.Credential) bool {
		works := !f.Past(c.NotAfter) && (c.Trust == nil || entryOf(f.entries, c.Trust.Issuer).Issuer != "")
		return (c.ID == id) != works
	})
}

// distance returns a text such as "in 3 days" or "2 hours ago".
func distance(d time.Duration) string {
	for _, u := range []struct {
		from, size time.Duration
		name       string
	}{
		{730 * day, 365 * day, "year"}, {60 * day, 30 * day, "month"}, {2 * day, day, "day"},
		{time.Hour, time.Hour, "hour"}, {time.Minute, time.Minute, "minute"},
	} {
		// Between a choice and the page that shows it, up to half a minute may pass. An
		// instant that was chosen 60 days ahead is then still shown as "in 2 months".
		if d.Abs()+30*time.Second < u.from {
			continue
		}
		text := count(int((d.Abs()+u.size/2)/u.size), u.name, u.name+"s")
		if d > 0 {
			return "in " + text
		}
		return text + " ago"
	}
	if d > 0 {
		return "in less than a minute"
	}
	return "just now"
}

// spanText returns a duration in words.
func spanText(d time.Duration) string {
	switch {
	case d%day == 0:
		return count(int(d/day), "day", "days")
	case d%time.Hour == 0:
		return count(int(d/time.Hour), "hour", "hours")
	}
	return d.String()
}

// typedSpan returns a duration in the form that parseSpan reads.
func typedSpan(d time.Duration) string {
	switch {
	case d%day == 0:
		return strconv.Itoa(int(d / day))
	case d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return d.String()
}

// parseSpan reads a number of days, such as "30" or "30d", or a duration of
// time.ParseDuration, such as "12h". It accepts one second to about 100 years.
func parseSpan(text string) (time.Duration, bool) {
	const longest = 36_600
	text = strings.TrimSpace(text)
	if days, err := strconv.Atoi(strings.TrimSuffix(text, "d")); err == nil {
		return time.Duration(days) * day, days >= 1 && days <= longest
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= time.Second && d <= longest*day
}
