// Package scope defines sets of permissions, and the catalog of a host's permissions.
// A permission is one scope token of RFC 6749, section 3.3.
//
// A Set is immutable, sorted, without duplicates, cheap to copy and safe for
// concurrent use. A Catalog says which permissions exist, how they are shown to
// people, and which of them apply to every workspace.
package scope

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Set is an immutable set of permissions. The zero value is the empty set.
// Compare sets with Equal. == does not compile, since it would compare pointers.
type Set struct {
	_ [0]func()
	d *data
}

// data is shared by all copies of a Set and never changes.
type data struct {
	names []string // sorted, unique
	text  string   // names joined by one space
}

// SyntaxError says where a scope value violates the grammar of RFC 6749, section 3.3.
// Its text never contains the input, so it may be shown to the sender.
type SyntaxError struct {
	Offset int    // position in the input in bytes, from 0
	Reason string // what is wrong there
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("position %d: %s", e.Offset, e.Reason)
}

// Parse parses the wire form: permissions separated by single spaces. The empty string
// is the empty set. A duplicate permission counts once. The error is a *SyntaxError
// with the position of the first problem.
func Parse(text string) (Set, error) {
	if text == "" {
		return Set{}, nil
	}
	names, start := strings.Split(text, " "), 0
	for _, name := range names {
		if name == "" {
			return Set{}, &SyntaxError{Offset: min(start, len(text)-1), Reason: "permissions must be separated by a single space, without leading or trailing spaces"}
		}
		if i := strings.IndexFunc(name, forbidden); i >= 0 {
			return Set{}, &SyntaxError{Offset: start + i, Reason: reasonForbidden}
		}
		start += len(name) + 1
	}
	return build(names), nil
}

// MustParse is like Parse but panics on an error. It is for values in source code.
func MustParse(text string) Set {
	s, err := Parse(text)
	if err != nil {
		panic(err) //nolint:forbidigo // the doc comment says so: it is for values in source code
	}
	return s
}

// Of returns the set of the given permissions. The error has the index of the first one
// that is not a scope token.
func Of(names ...string) (Set, error) {
	for i, name := range names {
		if err := CheckName(name); err != nil {
			return Set{}, fmt.Errorf("scope: permission %d, counted from 0: %w", i, err)
		}
	}
	return build(slices.Clone(names)), nil
}

// CheckName checks that name is a scope token of RFC 6749, section 3.3: one or more
// printable ASCII characters except space, '"' and '\'. The error is a *SyntaxError.
func CheckName(name string) error {
	if name == "" {
		return &SyntaxError{Reason: "a permission may not be empty"}
	}
	if i := strings.IndexFunc(name, forbidden); i >= 0 {
		return &SyntaxError{Offset: i, Reason: reasonForbidden}
	}
	return nil
}

const reasonForbidden = "this character is not allowed in a permission; use printable ASCII without space, quote and backslash"

// forbidden reports whether a character is not an NQCHAR of RFC 6749, appendix A:
// %x21 / %x23-5B / %x5D-7E.
func forbidden(c rune) bool {
	return c < 0x21 || c > 0x7E || c == '"' || c == '\\'
}

// names returns the permissions. The caller must not change the slice.
func (s Set) names() []string {
	if s.d == nil {
		return nil
	}
	return s.d.names
}

// Has reports whether name is in the set.
func (s Set) Has(name string) bool {
	_, found := slices.BinarySearch(s.names(), name)
	return found
}

// ContainsAll reports whether every permission of other is in s. That is true if other
// is empty.
func (s Set) ContainsAll(other Set) bool {
	for _, name := range other.names() {
		if !s.Has(name) {
			return false
		}
	}
	return true
}

// Equal reports whether both sets hold the same permissions.
func (s Set) Equal(other Set) bool { return s.d == other.d || s.String() == other.String() }

// Intersect returns the permissions that are in both sets.
func (s Set) Intersect(other Set) Set {
	if other.ContainsAll(s) {
		return s // the usual case, without a copy
	}
	return s.filter(other.Has)
}

// Minus returns the permissions of s that are not in other.
func (s Set) Minus(other Set) Set {
	if other.d == nil || !slices.ContainsFunc(s.names(), other.Has) {
		return s
	}
	return s.filter(func(name string) bool { return !other.Has(name) })
}

// Union returns the permissions that are in either set.
func (s Set) Union(other Set) Set {
	switch {
	case s.ContainsAll(other):
		return s
	case other.ContainsAll(s):
		return other
	}
	return build(slices.Concat(s.names(), other.names()))
}

// Len returns the number of permissions.
func (s Set) Len() int { return len(s.names()) }

// All returns an iterator over the permissions in ascending byte order.
func (s Set) All() iter.Seq[string] { return slices.Values(s.names()) }

// Names returns the permissions in ascending byte order, in a new slice that is never
// nil.
func (s Set) Names() []string { return append([]string{}, s.names()...) }

// String returns the wire form: the permissions in ascending byte order, separated by
// single spaces. Parse of the result returns an equal set.
func (s Set) String() string {
	if s.d == nil {
		return ""
	}
	return s.d.text
}

// MarshalJSON implements json.Marshaler. The result is an array of strings; [] if the
// set is empty.
func (s Set) MarshalJSON() ([]byte, error) { return json.Marshal(s.Names()) }

// UnmarshalJSON implements json.Unmarshaler. It accepts an array of permissions, or the
// wire form as a string. It refuses null, since that could mean no permission or all of
// them.
func (s *Set) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		var wire string
		var parsed Set
		err := json.Unmarshal(text, &wire)
		if err == nil {
			parsed, err = Parse(wire)
		}
		if err != nil {
			return fmt.Errorf("scope: %w", err)
		}
		*s = parsed
		return nil
	}
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return fmt.Errorf("scope: %w", err)
	}
	if names == nil {
		return errors.New("scope: null is not a set: use a string or an array of permissions")
	}
	parsed, err := Of(names...)
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

func (s Set) filter(keep func(string) bool) Set {
	var kept []string
	for _, name := range s.names() {
		if keep(name) {
			kept = append(kept, name)
		}
	}
	return build(kept)
}

// build takes ownership of names, which must be valid. The names of the set are
// substrings of a new text, so that the set does not keep its input in memory.
func build(names []string) Set {
	if len(names) == 0 {
		return Set{}
	}
	slices.Sort(names)
	names = slices.Clip(slices.Compact(names))
	text := strings.Join(names, " ")
	start := 0
	for i, name := range names {
		names[i] = text[start : start+len(name)]
		start += len(name) + 1
	}
	return Set{d: &data{names: names, text: text}}
}
