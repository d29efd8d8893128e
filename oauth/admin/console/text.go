package console

import (
	"cmp"
	"html/template"
	"strconv"
	"strings"
	"time"
)

// functions are what templates can call.
func functions() template.FuncMap {
	return template.FuncMap{
		"count": count, "span": spanText,
		"list":  func(items ...any) []any { return items },
		"actor": actorText, "who": whoText, "deed": deed, "fields": fieldsText, "words": words,
	}
}

// count is a number with its noun.
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

// moment is an instant for people, in UTC, and for programs.
type moment struct {
	ISO  string // empty: there is none
	Text string
	Day  string // without the time of day
	Ago  string // how far from now
}

// When shows an instant; the zero one shows as the word given for it.
func (f frame) When(t time.Time, none string) moment {
	if t.IsZero() {
		return moment{Text: none}
	}
	t = t.UTC()
	return moment{ISO: t.Format(time.RFC3339), Text: t.Format(instantText), Day: t.Format(dayText), Ago: distance(t.Sub(f.now))}
}

// Past reports whether an instant is over.
func (f frame) Past(t time.Time) bool { return !t.IsZero() && !f.now.Before(t) }

// distance says how far away something is: "in 3 days", "2 hours ago".
func distance(d time.Duration) string {
	for _, u := range []struct {
		from, size time.Duration
		name       string
	}{
		{730 * day, 365 * day, "year"}, {60 * day, 30 * day, "month"}, {2 * day, day, "day"},
		{time.Hour, time.Hour, "hour"}, {time.Minute, time.Minute, "minute"},
	} {
		if d.Abs() < u.from {
			continue
		}
		text := count(int(d.Abs()/u.size), u.name, u.name+"s")
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

type unit struct {
	name string
	size time.Duration
}

func units() []unit {
	return []unit{{"days", day}, {"hours", time.Hour}, {"minutes", time.Minute}, {"seconds", time.Second}}
}

// span is a length of time in the largest unit that it is a whole number of.
func span(d time.Duration) (n int, unit string) {
	for _, u := range units() {
		if d%u.size == 0 {
			return int(d / u.size), u.name
		}
	}
	return int(d / time.Second), "seconds"
}

// spanText is a length of time for people.
func spanText(d time.Duration) string {
	n, unit := span(d)
	return count(n, strings.TrimSuffix(unit, "s"), unit)
}

// typedSpan is a length of time as parseSpan reads it. Parts of seconds are cut off.
func typedSpan(d time.Duration) string {
	n, unit := span(d)
	if unit == "days" {
		return strconv.Itoa(n)
	}
	return strconv.Itoa(n) + unit[:1]
}

// parseSpan reads a length of time of at most 100 years, such as "30", "7 days" or
// "12h". A number alone is one of days.
func parseSpan(text string) (time.Duration, bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	name := strings.TrimLeft(text, "0123456789")
	n, err := strconv.ParseInt(text[:len(text)-len(name)], 10, 64)
	name = cmp.Or(strings.TrimSpace(name), "days")
	for _, u := range units() {
		if name == u.name || name == strings.TrimSuffix(u.name, "s") || name == u.name[:1] {
			return time.Duration(n) * u.size, err == nil && n >= 1 && n <= int64(100*366*day/u.size)
		}
	}
	return 0, false
}
