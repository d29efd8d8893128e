package console

import (
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/store"
)

// functions are what templates can call.
func functions() template.FuncMap {
	return template.FuncMap{
		"count":   count,
		"count64": func(n int64, one, many string) string { return count(int(n), one, many) },
		"list":    func(items ...any) []any { return items },
	}
}

// count is a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// moment is an instant for people, in UTC, and for programs.
type moment struct {
	ISO  string // empty: there is none
	Text string
	Day  string // without the time of day
	Ago  string // how far from now
}

// momentOf shows an instant; the zero one shows as the word given for it.
func momentOf(t, now time.Time, none string) moment {
	if t.IsZero() {
		return moment{Text: none}
	}
	t = t.UTC()
	return moment{t.Format(time.RFC3339), t.Format("2 Jan 2006, 15:04") + " UTC", t.Format("2 Jan 2006"), distance(t.Sub(now))}
}

// distance says how far away something is: "in 3 days", "2 hours ago".
func distance(d time.Duration) string {
	size := d.Abs()
	var text string
	switch day := 24 * time.Hour; {
	case size < time.Minute:
		if d > 0 {
			return "in less than a minute"
		}
		return "just now"
	case size < time.Hour:
		text = count(int(size/time.Minute), "minute", "minutes")
	case size < 2*day:
		text = count(int(size/time.Hour), "hour", "hours")
	case size < 60*day:
		text = count(int(size/day), "day", "days")
	case size < 730*day:
		text = count(int(size/(30*day)), "month", "months")
	default:
		text = count(int(size/(365*day)), "year", "years")
	}
	if d > 0 {
		return "in " + text
	}
	return text + " ago"
}

// span is a length of time in the largest unit that it is a whole number of.
func span(d time.Duration) (n int64, unit string) {
	for _, u := range units() {
		if d%u.size == 0 {
			return int64(d / u.size), u.name
		}
	}
	return int64(d / time.Second), "seconds"
}

type unit struct {
	name string
	size time.Duration
}

func units() []unit {
	return []unit{{"days", 24 * time.Hour}, {"hours", time.Hour}, {"minutes", time.Minute}, {"seconds", time.Second}}
}

// spanText is a length of time for people.
func spanText(d time.Duration) string {
	n, unit := span(d)
	return count(int(n), strings.TrimSuffix(unit, "s"), unit)
}

// actorText says who did something.
func actorText(a store.ActorRef) string {
	switch {
	case a.ID == "" && a.Kind == "":
		return "unknown"
	case a.ID == "":
		return a.Kind
	case a.Kind == "key":
		return "key " + a.ID
	}
	return a.ID
}

// deeds are the actions of events in plain words.
func deeds() map[string]string {
	return map[string]string{
		audit.Create:          "Created the key",
		audit.Import:          "Imported the key",
		audit.Update:          "Changed the key",
		audit.Rotate:          "Rotated the secret",
		audit.Retire:          "Retired a secret",
		audit.Disable:         "Disabled the key",
		audit.Enable:          "Enabled the key",
		audit.Delete:          "Deleted the key",
		audit.Revoke:          "Ended a leaked secret",
		audit.Refuse:          "Login refused",
		audit.Settings:        "Changed the settings",
		audit.Workspace:       "Changed the workspace's rules",
		audit.EndTokens:       "Ended all tokens",
		audit.Suspend:         "Suspended the workspace",
		audit.Resume:          "Resumed the workspace",
		audit.DeleteWorkspace: "Deleted the workspace",
		audit.Export:          "Exported all keys",
		audit.Restore:         "Restored the key",
	}
}

// fieldText is the name of what an event says was changed.
func fieldText(field string) string {
	switch field {
	case "expires_at", "not_after":
		return "expiry"
	case "keys_off":
		return "keys on or off"
	case "enforced_from":
		return "effect"
	case "reminders_off":
		return "reminders on or off"
	case "remind_before":
		return "times of reminders"
	}
	return strings.ReplaceAll(field, "_", " ")
}
