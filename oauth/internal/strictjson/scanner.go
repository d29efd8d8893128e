package strictjson

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner checks text that json.Valid has accepted for everything else that the
// package refuses.
type scanner struct {
	data []byte
	pos  int
	// refuseUnknown says whether an object whose names are known is refused if it has an
	// unknown name or lacks a required one.
	refuseUnknown bool
}

var errHalf = &Error{Reason: "half of a surrogate pair is not a character"}

// walk checks data, whose value must begin with the byte open. For the other
// arguments see nested.
func walk(data []byte, open byte, refuseUnknown bool, known []string, into reflect.Type, visit func(name string, value []byte)) error {
	switch {
	case bytes.HasPrefix(data, []byte("\ufeff")):
		return &Error{Reason: "a byte order mark is not allowed"}
	case !utf8.Valid(data):
		return &Error{Reason: "the text is not UTF-8"}
	case !json.Valid(data):
		return &Error{Reason: "the syntax is wrong"}
	}
	s := scanner{data: data, refuseUnknown: refuseUnknown}
	switch c := s.next(); {
	case c == open:
		return s.nested(1, known, into, visit)
	case open == '[':
		return &Error{Reason: "an array was expected"}
	}
	return &Error{Reason: "an object was expected"}
}

// next skips white space, commas and colons, and returns the byte after them.
func (s *scanner) next() byte {
	for {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r', ',', ':':
			s.pos++
		default:
			return c
		}
	}
}

// nested checks an object or an array. known are the known names of the object. into
// is the type that it will be decoded into, or nil. visit, if it is not nil, is called
// with each name and value; the elements of an array have no name.
func (s *scanner) nested(depth int, known []string, into reflect.Type, visit func(name string, value []byte)) error {
	if depth > MaxDepth {
		return &Error{Reason: "nested too deeply"}
	}
	isObject := s.data[s.pos] == '{'
	names := make([]string, 0, 16)
	s.pos++
	for c := s.next(); c != '}' && c != ']'; c = s.next() {
		name, within := "", into
		if isObject {
			raw, err := s.text()
			if err != nil {
				return err
			}
			if name, err = resolve(raw, known); err != nil {
				return err
			}
			if s.refuseUnknown && known != nil && (name == unnamed || !slices.Contains(known, name)) {
				return &Error{Name: name, Reason: "unknown member"}
			}
			names, within = append(names, name), member(into, name)
			s.next()
		}
		begin := s.pos
		if err := s.value(depth+1, within); err != nil {
			return err
		}
		if visit != nil {
			visit(name, s.data[begin:s.pos:s.pos])
		}
	}
	s.pos++
	slices.Sort(names)
	for i := range len(names) - 1 {
		if names[i] == names[i+1] {
			return &Error{Name: names[i], Reason: "appears twice"}
		}
	}
	if isObject && s.refuseUnknown {
		return missing(into, names)
	}
	return nil
}

// missing refuses an object that lacks a name which encoding/json always writes.
func missing(into reflect.Type, names []string) error {
	for i, name := range namesOf(into) {
		optional := strings.Contains(into.Field(i).Tag.Get("json"), ",omit")
		if !optional && name != unnamed && !slices.Contains(names, name) {
			return &Error{Name: name, Reason: "is missing"}
		}
	}
	return nil
}

// value checks one value of an object or array.
func (s *scanner) value(depth int, into reflect.Type) error {
	switch s.data[s.pos] {
	case '{', '[':
		into = item(into)
		return s.nested(depth, namesOf(into), into, nil)
	case '"':
		_, err := s.text()
		return err
	}
	// A number, true, false or null.
	s.pos += bytes.IndexAny(s.data[s.pos:], " \t\r\n,}]")
	return nil
}

// text reads a string and returns it with its quotes.
func (s *scanner) text() ([]byte, error) {
	begin := s.pos
	for s.pos++; s.data[s.pos] != '"'; s.pos++ {
		if s.data[s.pos] != '\\' {
			continue
		}
		s.pos++
		if s.data[s.pos] != 'u' {
			continue
		}
		first := s.unit()
		if !utf16.IsSurrogate(first) {
			continue
		}
		// Half of a pair is not a character, and parsers treat it differently.
		s.pos++
		if s.data[s.pos] != '\\' || s.data[s.pos+1] != 'u' {
			return nil, errHalf
		}
		s.pos++
		if utf16.DecodeRune(first, s.unit()) == utf8.RuneError {
			return nil, errHalf
		}
	}
	s.pos++
	return s.data[begin:s.pos], nil
}

// unit reads the XXXX of \uXXXX and stops at its last digit.
func (s *scanner) unit() rune {
	unit, _ := strconv.ParseUint(string(s.data[s.pos+1:s.pos+5]), 16, 16) //nolint:errcheck // json.Valid has seen four digits
	s.pos += 4
	return rune(unit)
}

// resolve returns the text of a quoted name. For a known name it returns the string in
// known, which saves a copy.
func resolve(raw []byte, known []string) (string, error) {
	for _, k := range known {
		if k == string(raw[1:len(raw)-1]) {
			return k, nil
		}
	}
	name, err := unquote(raw)
	if err != nil {
		return "", err
	}
	if strings.Contains(name, "\x00") {
		return "", &Error{Name: name, Reason: "a name must not hold a NUL character"}
	}
	for _, k := range known {
		if k != name && strings.EqualFold(k, name) {
			return "", &Error{Name: name, Reason: "differs from " + strconv.Quote(k) + " only in case"}
		}
	}
	return name, nil
}

// item returns the type that a pointer points to, or that a slice has as elements.
func item(t reflect.Type) reflect.Type {
	for t != nil && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice) {
		t = t.Elem()
	}
	return t
}

// unnamed is the tag of a field that is not in the JSON. A member with this name is
// unknown.
const unnamed = "-"

// namesOf returns the names in the tags of a struct's fields.
func namesOf(t reflect.Type) []string {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	known := make([]string, t.NumField())
	for i := range known {
		known[i], _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
	}
	return known
}

// member returns the type that the member of an object is decoded into, or nil.
func member(t reflect.Type, name string) reflect.Type {
	switch i := slices.Index(namesOf(t), name); {
	case i >= 0:
		return t.Field(i).Type
	case t != nil && t.Kind() == reflect.Map:
		return t.Elem()
	}
	return nil
}
