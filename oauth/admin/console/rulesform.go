package console

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// rulesForm are rules as a form shows them.
type rulesForm struct {
	Limit         string // "none", "own" or "inherit"
	MaxKeys       string
	RequireExpiry bool
	Lifetime      string // a number, or empty: no bound
	Unit          string
	Units         []string
	Effect        string // "new" or "all"
	From          string // a day
	Today         string
	// Instance are the instance's rules in words, for a workspace's form.
	Instance []string
}

func showRules(r store.Rules, workspace bool, now time.Time) rulesForm {
	f := rulesForm{Limit: "own", RequireExpiry: r.RequireExpiry, Unit: "days", Effect: "new", Today: now.UTC().Format(time.DateOnly)}
	for _, u := range units() {
		f.Units = append(f.Units, u.name)
	}
	switch {
	case r.MaxKeys > 0:
		f.MaxKeys = strconv.Itoa(r.MaxKeys)
	case workspace && r.MaxKeys == 0:
		f.Limit = "inherit"
	default:
		f.Limit = "none"
	}
	if r.MaxLifetime > 0 {
		n, unit := span(r.MaxLifetime)
		f.Lifetime, f.Unit = strconv.FormatInt(n, 10), unit
	}
	if !r.EnforcedFrom.IsZero() {
		f.Effect, f.From = "all", r.EnforcedFrom.UTC().Format(time.DateOnly)
	}
	return f
}

// typedRules are rules as they were typed.
func typedRules(values url.Values, now time.Time) rulesForm {
	f := showRules(store.Rules{}, false, now)
	f.Limit, f.MaxKeys = values.Get("limit"), values.Get("max_keys")
	f.RequireExpiry = values.Get("require_expiry") != ""
	f.Lifetime, f.Unit = values.Get("max_lifetime"), values.Get("unit")
	f.Effect, f.From = values.Get("effect"), values.Get("enforced_from")
	return f
}

const (
	maxLimit    = 1<<31 - 1
	maxLifetime = 100 * 366 * day
)

// readRules reads the form. before are the rules that it was made from: a day
// that was left alone keeps its hour.
func readRules(f rulesForm, workspace bool, before store.Rules) (rules store.Rules, wrong []problem) {
	switch f.Limit {
	case "none":
		if workspace {
			rules.MaxKeys = store.Unlimited
		}
	case "own":
		n, err := strconv.Atoi(strings.TrimSpace(f.MaxKeys))
		if err != nil || n < 1 || n > maxLimit {
			wrong = append(wrong, problem{"max_keys", "Limit: type a number of keys, 1 or more."})
		}
		rules.MaxKeys = n
	case "inherit":
		if !workspace {
			wrong = append(wrong, problem{"limit", "Limit: choose one."})
		}
	default:
		wrong = append(wrong, problem{"limit", "Limit: choose one."})
	}
	rules.RequireExpiry = f.RequireExpiry
	if text := strings.TrimSpace(f.Lifetime); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		size := time.Duration(0)
		for _, u := range units() {
			if u.name == f.Unit {
				size = u.size
			}
		}
		if err != nil || n < 1 || size == 0 || n > int64(maxLifetime/size) {
			wrong = append(wrong, problem{"max_lifetime", "Maximum lifetime: type a whole number, such as 90, or leave it empty for no bound."})
		} else {
			rules.MaxLifetime = time.Duration(n) * size
		}
	}
	switch f.Effect {
	case "new":
	case "all":
		from, err := time.Parse(time.DateOnly, f.From)
		switch {
		case err != nil || from.IsZero():
			wrong = append(wrong, problem{"enforced_from", "Effect: choose the day from which the rules hold for all keys."})
		case before.EnforcedFrom.UTC().Format(time.DateOnly) == f.From && !before.EnforcedFrom.IsZero():
			rules.EnforcedFrom = before.EnforcedFrom
		default:
			rules.EnforcedFrom = from
		}
	default:
		wrong = append(wrong, problem{"effect", "Effect: choose one."})
	}
	return rules, wrong
}

// inWords says what rules ask for.
func inWords(r store.Rules, workspace bool) []string {
	var words []string
	switch {
	case r.MaxKeys > 0:
		words = append(words, "at most "+count(r.MaxKeys, "key", "keys")+" in a workspace")
	case r.MaxKeys < 0 || !workspace:
		words = append(words, "no limit on the number of keys")
	}
	if r.RequireExpiry {
		words = append(words, "every key needs an expiry")
	}
	if r.MaxLifetime > 0 {
		words = append(words, "a key lives at most "+spanText(r.MaxLifetime))
	}
	switch {
	case !r.EnforcedFrom.IsZero():
		words = append(words, "expiry rules hold for all keys from "+r.EnforcedFrom.UTC().Format("2 Jan 2006"))
	case r.RequireExpiry || r.MaxLifetime > 0:
		words = append(words, "expiry rules hold for new keys")
	}
	return words
}
