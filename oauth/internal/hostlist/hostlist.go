// Package hostlist has the rule for the lists that a host configures: peppers, seal
// keys, signers, prefixes of secrets. The first entry is used for everything new,
// and all entries are accepted. No process starts without an entry that is in use,
// unless the host has withdrawn it by its title.
package hostlist

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// SealKeys is the list of seal keys. The store does not record them as in use: each
// sealed signing key names its seal key.
const SealKeys store.ListName = "seal_keys"

// LongestToken is the longest lifetime that a token can have.
const LongestToken = 24 * time.Hour

// List is a list of the host. The first entry is used for everything new.
type List []store.ListEntry

// describe returns the kind of an entry, as messages name it, and the field that lists
// it.
func describe(list store.ListName) (kind, field string) {
	switch list {
	case store.Peppers:
		return "pepper", "Config.Peppers"
	case store.SecretPrefixes:
		return "secret prefix", "Config.SecretPrefixes"
	case store.Signers:
		return "signer", "Config.Signers"
	}
	return "seal key", "Config.SealKeys"
}

// Title returns the name of an entry in messages and in apikey.Options.Withdrawn,
// such as "pepper 3".
func Title(e store.ListEntry) string {
	kind, _ := describe(e.List)
	return kind + " " + e.Name
}

// Fingerprint distinguishes keys with the same name. It reveals nothing about a key
// that cannot be guessed.
func Fingerprint(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("latchkey fingerprint"))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// Find returns the entry with that name.
func (l List) Find(e store.ListEntry) (store.ListEntry, bool) {
	i := slices.IndexFunc(l, func(own store.ListEntry) bool { return own.List == e.List && own.Name == e.Name })
	if i < 0 {
		return e, false
	}
	return l[i], true
}

// Check compares the list with the entries that are in use at the time now. It returns
// an error for each one that has another fingerprint in the list, and for each one that
// is neither listed nor withdrawn.
func (l List) Check(used []store.ListEntry, now time.Time, withdrawn []string) error {
	var problems []error
	for _, u := range used {
		if !u.Until.IsZero() && !now.Before(u.Until) {
			continue
		}
		_, field := describe(u.List)
		title := Title(u)
		own, listed := l.Find(u)
		switch {
		case listed && own.Fingerprint != u.Fingerprint:
			problems = append(problems, fmt.Errorf("%s: %s has the fingerprint %s, but the one in use has %.16s: it is another key under the same name; list the key in use, and give the other one a new name",
				field, title, own.Fingerprint, u.Fingerprint))
		case !listed && !slices.Contains(withdrawn, title):
			problems = append(problems, fmt.Errorf("%s lacks %s, which is in use%s: list it, or name %q in apikey.Options.Withdrawn if it must not be used any more",
				field, title, details(u), title))
		}
	}
	return errors.Join(problems...)
}

func details(e store.ListEntry) string {
	var text string
	if e.Fingerprint != "" {
		text += fmt.Sprintf(" and has the fingerprint %.16s", e.Fingerprint)
	}
	if !e.Until.IsZero() {
		text += " until " + e.Until.Format(time.RFC3339)
	}
	return text
}

// CheckWithdrawn returns an error for each entry of the list that is withdrawn.
func (l List) CheckWithdrawn(withdrawn []string) error {
	var problems []error
	for _, e := range l {
		if _, field := describe(e.List); slices.Contains(withdrawn, Title(e)) {
			problems = append(problems, fmt.Errorf("apikey.Options.Withdrawn names %s, which %s lists: remove it from one of them", Title(e), field))
		}
	}
	return errors.Join(problems...)
}

// CheckTitles returns an error for each title that is not in the form of an entry's
// title.
func CheckTitles(withdrawn []string) error {
	var problems []error
	for i, title := range withdrawn {
		known := slices.ContainsFunc([]store.ListName{store.Peppers, store.SecretPrefixes, store.Signers, SealKeys}, func(list store.ListName) bool {
			return strings.HasPrefix(title, Title(store.ListEntry{List: list}))
		})
		if !known {
			problems = append(problems, fmt.Errorf("apikey.Options.Withdrawn[%d]: %q names no pepper, secret prefix, seal key or signer; write it like \"pepper 1\"", i, title))
		}
	}
	return errors.Join(problems...)
}
