package console

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// remindersForm says when a reminder of a key is sent, as a form shows it.
type remindersForm struct {
	Sent   bool   // by the host at all
	Choice string // "on" or "off"
	Before string // such as "30, 7, 1"; empty: as the host chose
	Own    string // what the host chose, in words
}

func (s *call) showReminders(settings store.Instance) remindersForm {
	own, sent := s.keys().ReminderTimes(store.Instance{})
	f := remindersForm{Sent: sent, Choice: "on", Own: timesInWords(own)}
	if settings.RemindersOff {
		f.Choice = "off"
	}
	var typed []string
	for _, before := range settings.RemindBefore {
		if before != 0 {
			typed = append(typed, typedTime(before))
		}
	}
	f.Before = strings.Join(typed, ", ")
	return f
}

// typedReminders are reminders as they were typed.
func (s *call) typedReminders(values url.Values) remindersForm {
	f := s.showReminders(store.Instance{})
	f.Choice, f.Before = values.Get("reminders"), values.Get("remind_before")
	return f
}

// readInto reads the form into settings. Where the host sends no reminders the
// page asks for none, and what is saved stays as it is.
func (f remindersForm) readInto(settings *store.Instance) (wrong []problem) {
	if !f.Sent {
		return nil
	}
	switch f.Choice {
	case "on", "off":
		settings.RemindersOff = f.Choice == "off"
	default:
		wrong = append(wrong, problem{"reminders", "Reminders: choose whether they are sent."})
	}
	times, ok := parseTimes(f.Before)
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

// sizes are the units in which a time can be typed. A number alone is one of
// days.
func sizes() map[string]time.Duration {
	return map[string]time.Duration{
		"": day, "d": day, "day": day, "days": day, "h": time.Hour, "hour": time.Hour, "hours": time.Hour,
		"m": time.Minute, "minutes": time.Minute, "s": time.Second, "seconds": time.Second,
	}
}

// parseTimes reads times such as "30, 7 days, 12h". No text is no times.
func parseTimes(text string) ([]time.Duration, bool) {
	if strings.TrimSpace(text) == "" {
		return nil, true
	}
	var times []time.Duration
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		digits := strings.TrimLeft(word, "0123456789")
		n, err := strconv.ParseInt(word[:len(word)-len(digits)], 10, 64)
		size, known := sizes()[strings.ToLower(strings.TrimSpace(digits))]
		if err != nil || !known || n < 1 || n > int64(maxLifetime/size) {
			return nil, false
		}
		times = append(times, time.Duration(n)*size)
	}
	return times, true
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
