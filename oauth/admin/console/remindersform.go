package console

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// fillReminders fills the fields of a form that say when reminders are sent.
func fillReminders(f url.Values, settings store.Instance) {
	f.Set("reminders", map[bool]string{true: "off", false: "on"}[settings.RemindersOff])
	var typed []string
	for _, before := range settings.RemindBefore {
		if before != 0 {
			typed = append(typed, typedTime(before))
		}
	}
	f.Set("remind_before", strings.Join(typed, ", "))
}

// readReminders reads the form into settings.
func readReminders(f url.Values, settings *store.Instance) (wrong []problem) {
	switch f.Get("reminders") {
	case "on", "off":
		settings.RemindersOff = f.Get("reminders") == "off"
	default:
		wrong = append(wrong, problem{"reminders", "Reminders: choose whether they are sent."})
	}
	times, ok := parseTimes(f.Get("remind_before"))
	switch {
	case !ok:
		wrong = append(wrong, problem{"remind_before", "Reminders: type numbers of days with commas between, such as 30, 7, 1, or hours such as 12h."})
	case len(times) > store.MaxReminders:
		wrong = append(wrong, problem{"remind_before", "Reminders: type " + strconv.Itoa(store.MaxReminders) + " times at most."})
	default:
		settings.RemindBefore = [store.MaxReminders]time.Duration{}
		copy(settings.RemindBefore[:], times)
	}
	return wrong
}

// parseTimes reads times such as "30, 7 days, 12h". A number alone is one of days,
// no text is no times.
func parseTimes(text string) ([]time.Duration, bool) {
	if strings.TrimSpace(text) == "" {
		return nil, true
	}
	var times []time.Duration
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		unit := strings.TrimLeft(word, "0123456789")
		t, ok := timeOf(word[:len(word)-len(unit)], cmp.Or(strings.ToLower(strings.TrimSpace(unit)), "days"))
		if !ok {
			return nil, false
		}
		times = append(times, t)
	}
	return times, true
}

// timeOf reads a time of at most 100 years.
func timeOf(number, unit string) (time.Duration, bool) {
	n, err := strconv.ParseInt(number, 10, 64)
	for _, u := range units() {
		if unit == u.name || unit == strings.TrimSuffix(u.name, "s") || unit == u.name[:1] {
			return time.Duration(n) * u.size, err == nil && n >= 1 && n <= int64(100*366*day/u.size)
		}
	}
	return 0, false
}

// typedTime is a time as parseTimes reads it. Parts of seconds are cut off.
func typedTime(before time.Duration) string {
	n, unit := span(before)
	if unit == "days" {
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10) + unit[:1]
}

// remindersInWords say what is in force under settings.
func (s *call) remindersInWords(settings store.Instance) []string {
	times, sent := s.keys().ReminderTimes(settings)
	switch {
	case !sent:
		return nil
	case len(times) == 0:
		return []string{"no reminder is sent of a key about to expire"}
	}
	return []string{"a reminder is sent " + timesInWords(times) + " before a key expires"}
}

// timesInWords are times in a sentence: "30 days, 7 days and 1 day".
func timesInWords(times []time.Duration) string {
	words := make([]string, len(times))
	for i, before := range times {
		words[i] = spanText(before)
	}
	if last := len(words) - 1; last > 0 {
		return strings.Join(words[:last], ", ") + " and " + words[last]
	}
	return strings.Join(words, "")
}
