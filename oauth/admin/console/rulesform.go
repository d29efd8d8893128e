package console

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// rulesForm are the fields of a form that hold rules.
func rulesForm(r store.Rules, workspace bool) url.Values {
	f := url.Values{"limit": {"none"}, "unit": {"days"}, "effect": {"new"}}
	switch {
	case r.MaxKeys > 0:
		f.Set("limit", "own")
		f.Set("max_keys", strconv.Itoa(r.MaxKeys))
	case workspace && r.MaxKeys == 0:
		f.Set("limit", "inherit")
	}
	if r.RequireExpiry {
		f.Set("require_expiry", "yes")
	}
	if r.MaxLifetime > 0 {
		n, unit := span(r.MaxLifetime)
		f.Set("max_lifetime", strconv.FormatInt(n, 10))
		f.Set("unit", unit)
	}
	if !r.EnforcedFrom.IsZero() {
		f.Set("effect", "all")
		f.Set("enforced_from", r.EnforcedFrom.UTC().Format(time.DateOnly))
	}
	return f
}

const maxLimit = 1<<31 - 1

// readRules reads the form. before are the rules that it was made from: a day
// that was left alone keeps its hour.
func readRules(f url.Values, workspace bool, before store.Rules) (rules store.Rules, wrong []problem) {
	switch limit := f.Get("limit"); {
	case limit == "none" && workspace:
		rules.MaxKeys = store.Unlimited
	case limit == "none", limit == "inherit" && workspace:
	case limit == "own":
		n, err := strconv.Atoi(strings.TrimSpace(f.Get("max_keys")))
		if err != nil || n < 1 || n > maxLimit {
			wrong = append(wrong, problem{"max_keys", "Limit: type a number of keys, 1 or more."})
		}
		rules.MaxKeys = n
	default:
		wrong = append(wrong, problem{"limit", "Limit: choose one."})
	}
	rules.RequireExpiry = f.Get("require_expiry") != ""
	if text := strings.TrimSpace(f.Get("max_lifetime")); text != "" {
		var ok bool
		if rules.MaxLifetime, ok = timeOf(text, f.Get("unit")); !ok {
			wrong = append(wrong, problem{"max_lifetime", "Maximum lifetime: type a whole number, such as 90, or leave it empty for no bound."})
		}
	}
	switch f.Get("effect") {
	case "new":
	case "all":
		from, err := time.Parse(time.DateOnly, f.Get("enforced_from"))
		switch {
		case err != nil || from.IsZero():
			wrong = append(wrong, problem{"enforced_from", "Effect: choose the day from which the rules hold for all keys."})
		case from.Equal(before.EnforcedFrom.UTC().Truncate(day)):
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
