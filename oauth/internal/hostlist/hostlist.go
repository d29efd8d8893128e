// Package hostlist is the rule for every list of keys that a host configures
// (peppers, seal keys, signers, prefixes of secrets): the first entry is used for
// what is new, all are accepted, and no process starts without one that is in use,
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

// Kind is what an entry of a list is called.
type Kind string

// The kinds.
const (
	Pepper  Kind = "pepper"
	Prefix  Kind = "secret prefix"
	SealKey Kind = "seal key"
	Signer  Kind = "signer"
)

// KindOf returns the kind of the entries of a list that the store knows.
func KindOf(list store.ListName) Kind {
	switch list {
	case store.Peppers:
		return Pepper
	case store.SecretPrefixes:
		return Prefix
	}
	return Signer
}

// Title names an entry as messages and Config.Withdrawn do: "pepper 3".
func (k Kind) Title(name string) string { return string(k) + " " + name }

// Fingerprint distinguishes keys of one name. It reveals nothing of a key that
// cannot be guessed.
func Fingerprint(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("latchkey fingerprint"))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// List is one list of the host's, the entry for what is new first.
type List struct {
	Name    store.ListName
	Field   string // such as "Config.Peppers"
	Entries []store.ListEntry
}

// Find returns the entry with the name.
func (l *List) Find(name string) (e store.ListEntry, ok bool) {
	i := slices.IndexFunc(l.Entries, func(e store.ListEntry) bool { return e.Name == name })
	if i < 0 {
		return e, false
	}
	return l.Entries[i], true
}

// Check returns an error for each entry in use that the list lacks, or that is
// another key there.
func (l *List) Check(used []store.ListEntry, now time.Time, withdrawn []string) error {
	var problems []error
	for _, u := range used {
		if u.List != l.Name || !u.Until.IsZero() && !now.Before(u.Until) {
			continue
		}
		title := KindOf(l.Name).Title(u.Name)
		own, listed := l.Find(u.Name)
		switch {
		case listed && own.Fingerprint != u.Fingerprint:
			problems = append(problems, fmt.Errorf("%s: %s has the fingerprint %s, but the one in use has %s: it is another key under the same name",
				l.Field, title, own.Fingerprint, u.Fingerprint))
		case !listed && !slices.Contains(withdrawn, title):
			problems = append(problems, fmt.Errorf("%s lacks %s, which is in use%s: list it, or name %q in Config.Withdrawn if it must not be used any more",
				l.Field, title, details(u), title))
		}
	}
	return errors.Join(problems...)
}

func details(e store.ListEntry) string {
	var text string
	if e.Fingerprint != "" {
		text += " and has the fingerprint " + e.Fingerprint
	}
	if !e.Until.IsZero() {
		text += " until " + e.Until.Format(time.RFC3339)
	}
	return text
}

// CheckWithdrawn returns an error for each title that names no entry of any list.
func CheckWithdrawn(withdrawn []string) error {
	var problems []error
	for i, title := range withdrawn {
		if !slices.ContainsFunc([]Kind{Pepper, Prefix, SealKey, Signer}, func(k Kind) bool { return strings.HasPrefix(title, string(k)+" ") }) {
			problems = append(problems, fmt.Errorf("Config.Withdrawn[%d]: %q names no pepper, secret prefix, seal key or signer; \"pepper 1\" does", i, title))
		}
	}
	return errors.Join(problems...)
}

// CheckWithdrawn returns an error for each entry of the list that is withdrawn.
func (l *List) CheckWithdrawn(withdrawn []string) error {
	var problems []error
	for _, e := range l.Entries {
		if title := KindOf(l.Name).Title(e.Name); slices.Contains(withdrawn, title) {
			problems = append(problems, fmt.Errorf("Config.Withdrawn names %s, which %s lists", title, l.Field))
		}
	}
	return errors.Join(problems...)
}
