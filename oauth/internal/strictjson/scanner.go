package strictjson

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner goes over text that json.Valid has accepted, and refuses what else
// Members and Elements refuse.
type scanner struct {
	data []byte
	pos  int
}

var errHalf = &Error{Reason: "half of a surrogate pair is no character"}

// walk checks all of data, whose value must begin with open, and calls visit for
// each member or element of that value. Elements have no name.
func walk(data []byte, open byte, known []string, visit func(name string, value []byte) error) error {
	switch {
	case bytes.HasPrefix(data, []byte("\ufeff")):
		return &Error{Reason: "a byte order mark is not allowed"}
	case !utf8.Valid(data):
		return &Error{Reason: "the text is not UTF-8"}
	case !json.Valid(data):
		return &Error{Reason: "the syntax is wrong"}
	}
	s := scanner{data: data}
	switch c := s.next(); {
	case c == open:
		return s.nested(1, known, visit)
	case open == '[':
		return &Error{Reason: "an array was expected"}
	}
	return &Error{Reason: "an object was expected"}
}

// next skips what stands between two values and returns the byte after it.
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

// nested reads an object or an array.
func (s *scanner) nested(depth int, known []string, visit func(name string, value []byte) error) error {
	if depth > MaxDepth {
		return &Error{Reason: "nested too deeply"}
	}
	isObject := s.data[s.pos] == '{'
	names := make([]string, 0, 16)
	s.pos++
	for c := s.next(); c != '}' && c != ']'; c = s.next() {
		var name string
		if isObject {
			raw, err := s.text()
			if err != nil {
				return err
			}
			if name, err = resolve(raw, known); err != nil {
				return err
			}
			names = append(names, name)
			s.next()
		}
		begin := s.pos
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if visit != nil {
			if err := visit(name, s.data[begin:s.pos:s.pos]); err != nil {
				return err
			}
		}
	}
	s.pos++
	slices.Sort(names)
	for i := range len(names) - 1 {
		if names[i] == names[i+1] {
			return &Error{Name: names[i], Reason: "appears twice"}
		}
	}
	return nil
}

func (s *scanner) value(depth int) error {
	switch s.data[s.pos] {
	case '{', '[':
		return s.nested(depth, nil, nil)
	case '"':
		_, err := s.text()
		return err
	}
	for { // a number, true, false or null
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r', ',', '}', ']':
			return nil
		}
		s.pos++
	}
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
		// Half of a pair is no character; parsers differ in what they make of it.
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
	unit, _ := strconv.ParseUint(string(s.data[s.pos+1:s.pos+5]), 16, 16)
	s.pos += 4
	return rune(unit)
}

// resolve turns a quoted name into text. A known name is returned as the caller's
// own string, which saves a copy.
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
		return "", &Error{Name: name, Reason: "a name may not hold a NUL character"}
	}
	for _, k := range known {
		if k != name && strings.EqualFold(k, name) {
			return "", &Error{Name: name, Reason: "differs from " + strconv.Quote(k) + " only in case"}
		}
	}
	return name, nil
}
