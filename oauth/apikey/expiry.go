package apikey

import (
	"fmt"
	"time"
)

// Expiry says when a key expires: never (the zero value), at an instant, or at the
// end of a day in UTC. In the last case it prints as that day.
type Expiry struct {
	// At is the instant from which the key is expired; zero is never. It is stored
	// to the microsecond.
	At time.Time
	// Date is the day at whose end the key expires, as ParseExpiry read it. It is
	// empty if At was given as an instant.
	Date string
}

// ParseExpiry parses a date (2027-01-31: the key works until that day has ended in
// UTC), an RFC 3339 instant, or the empty text for never. The last day of the year
// 9999 ends a microsecond early, since RFC 3339 cannot write the year 10000.
func ParseExpiry(text string) (Expiry, error) {
	if text == "" {
		return Expiry{}, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil && day.Year() >= 1 { // year 0 would be before "never"
		end := day.AddDate(0, 0, 1)
		if end.Year() > maxYear {
			end = end.Add(-time.Microsecond) // RFC 3339 has no year 10000
		}
		return Expiry{At: end, Date: text}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	expiry := Expiry{At: micro(at)}
	if err != nil || expiry.At.IsZero() { // the zero time would mean "never"
		return Expiry{}, fmt.Errorf("%.40q is neither a date like 2027-01-31 nor an instant like 2027-01-31T12:00:00Z", text)
	}
	return expiry, nil
}

// agrees reports whether Date, unless empty, is the day at whose end At is.
func (e Expiry) agrees() bool {
	day, err := ParseExpiry(e.Date)
	return e.Date == "" || err == nil && day.Date != "" && day.At.Equal(e.At)
}

// String returns the expiry as it was given: a date, an RFC 3339 instant, or
// the empty text for never.
func (e Expiry) String() string {
	switch {
	case e.Date != "":
		return e.Date
	case e.At.IsZero():
		return ""
	}
	return e.At.Format(time.RFC3339Nano)
}
