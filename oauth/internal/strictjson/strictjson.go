// Package strictjson reads one JSON object for a security decision.
//
// encoding/json takes the last of two members with one name, matches names
// without regard to case, and replaces what is not UTF-8. Two parsers that
// differ in such points can be made to see two different requests. This
// package refuses what could be read in two ways:
//
//   - a member name that appears twice in one object, at any depth;
//   - a name that differs from a known one only in case (Unicode folding);
//   - a NUL character in a name;
//   - a byte order mark, anything after the object, invalid UTF-8, half of a
//     surrogate pair;
//   - more than MaxDepth levels.
//
// Unknown members are kept by Members and refused by Only. The size of the
// input is the caller's to bound. All functions are safe for concurrent use.
package strictjson

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may nest; the outermost counts.
const MaxDepth = 32

// Member is one member of an object.
type Member struct {
	// Name is the name with its escapes resolved.
	Name string
	// Value is the value's text, valid JSON without white space around it.
	// It is a part of the input.
	Value json.RawMessage
}

// Object is the members of an object in the order of the input.
type Object []Member

// Get returns the value of the member called name.
func (o Object) Get(name string) (json.RawMessage, bool) {
	for i := range o {
		if o[i].Name == name {
			return o[i].Value, true
		}
	}
	return nil, false
}

// Error says why an input was refused.
type Error struct {
	// Name is the member at fault, as it was sent; empty when the fault is not
	// a member's.
	Name string
	// Reason completes "JSON: " in plain words and repeats no input.
	Reason string
	// Offset is the byte position in the input, from 0.
	Offset int
}

// Error implements error. It quotes at most 64 bytes of the name.
func (e *Error) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("JSON: position %d: %s", e.Offset, e.Reason)
	}
	name := e.Name
	if len(name) > 64 {
		name = name[:64]
	}
	return fmt.Sprintf("JSON: member %q: %s", name, e.Reason)
}

// Members reads one object. A name that is not in known is returned like any
// other, unless it equals a known one but for case. The error is an *Error.
func Members(data []byte, known []string) (Object, error) {
	return read(data, known, false)
}

// Only is Members for inputs that may hold known names alone.
func Only(data []byte, known []string) (Object, error) {
	return read(data, known, true)
}

// Elements returns the texts of the values in one array, under the same
// rules. The error is an *Error.
func Elements(data []byte) ([]json.RawMessage, error) {
	s, err := start(data)
	if err != nil {
		return nil, err
	}
	if s.peek() != '[' {
		return nil, s.fail("an array was expected")
	}
	elements := []json.RawMessage{}
	err = s.array(1, func(value []byte) { elements = append(elements, value) })
	if err != nil {
		return nil, err
	}
	return elements, s.end()
}

// String returns the text of a JSON string that Members or Elements has
// returned. Any other kind of value, null too, is an *Error.
func String(value json.RawMessage) (string, error) {
	if len(value) < 2 || value[0] != '"' {
		return "", &Error{Reason: "a string was expected"}
	}
	return unquote(value)
}

// manyNames is the count from which a map is faster than comparing each pair of
// names.
const manyNames = 24

func read(data []byte, known []string, only bool) (Object, error) {
	s, err := start(data)
	if err != nil {
		return nil, err
	}
	if s.peek() != '{' {
		return nil, s.fail("an object was expected")
	}
	object := make(Object, 0, 16)
	names := nameSet{}
	check := func(raw []byte, at int) error {
		name, isKnown, err := resolve(raw, known)
		if err != nil {
			return s.failAt(at, name, err.Error())
		}
		switch {
		case only && !isKnown:
			return s.failAt(at, name, "unknown member")
		case !names.add(name):
			return s.failAt(at, name, "appears twice")
		}
		object = append(object, Member{Name: name})
		return nil
	}
	err = s.object(1, check, func(value []byte) { object[len(object)-1].Value = value })
	if err != nil {
		return nil, err
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	return object, nil
}

// resolve turns a quoted name into text. A known name is returned as the
// caller's own string, which saves a copy.
func resolve(raw []byte, known []string) (name string, isKnown bool, err error) {
	inner := raw[1 : len(raw)-1]
	for _, k := range known {
		if k == string(inner) && !strings.ContainsRune(k, '\\') {
			return k, true, nil
		}
	}
	name, err = unquote(raw)
	if err != nil {
		return "", false, err
	}
	if strings.IndexByte(name, 0) >= 0 {
		return name, false, fmt.Errorf("a name may not hold a NUL character")
	}
	if slices.Contains(known, name) {
		return name, true, nil
	}
	for _, k := range known {
		if strings.EqualFold(k, name) {
			return name, false, fmt.Errorf("differs from %q only in case", k)
		}
	}
	return name, false, nil
}

// unquote resolves the escapes of a string whose syntax has been checked.
func unquote(raw []byte) (string, error) {
	inner := raw[1 : len(raw)-1]
	for _, c := range inner {
		if c == '\\' {
			var text string
			err := json.Unmarshal(raw, &text)
			return text, err
		}
	}
	return string(inner), nil
}

// nameSet finds a name's second appearance without quadratic work: the input
// is an attacker's.
type nameSet struct {
	list  []string
	index map[string]struct{}
}

func (n *nameSet) add(name string) bool {
	if n.index != nil {
		before := len(n.index)
		n.index[name] = struct{}{}
		return len(n.index) > before
	}
	if slices.Contains(n.list, name) {
		return false
	}
	if n.list == nil {
		n.list = make([]string, 0, 16)
	}
	n.list = append(n.list, name)
	if len(n.list) == manyNames {
		n.index = make(map[string]struct{}, 2*manyNames)
		for _, name := range n.list {
			n.index[name] = struct{}{}
		}
	}
	return true
}

func start(data []byte) (*scanner, error) {
	s := &scanner{data: data}
	if len(data) >= 3 && data[0] == 0xEF && data[1] == 0xBB && data[2] == 0xBF {
		return nil, s.fail("a byte order mark is not allowed")
	}
	if !utf8.Valid(data) {
		return nil, s.fail("the text is not UTF-8")
	}
	s.space()
	return s, nil
}
