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
// Unknown members are kept by Members, ignored by Unmarshal, and refused by Only
// and UnmarshalOnly. The size of the
// input is the caller's to bound. All functions are safe for concurrent use.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
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
	// Reason completes "JSON: " in plain words. It repeats no input, but for what
	// a field's UnmarshalJSON says.
	Reason string
}

// Error implements error. It quotes at most 64 bytes of the name.
func (e *Error) Error() string {
	if e.Name == "" {
		return "JSON: " + e.Reason
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
	return read(data, append([]string{}, known...), true) // none is not nil
}

// Elements returns the texts of the values in one array, under the same
// rules. The error is an *Error.
func Elements(data []byte) ([]json.RawMessage, error) {
	elements := []json.RawMessage{}
	err := walk(data, '[', false, nil, nil, func(_ string, value []byte) { elements = append(elements, value) })
	if err != nil {
		return nil, err
	}
	return elements, nil
}

// Unmarshal reads one object as json.Unmarshal does, into a pointer to a struct.
// The known names, of objects inside too, are those in the tags of structs: each
// field needs one, and none may be embedded. The error is an *Error; it holds the
// text of what the UnmarshalJSON of a field returns. What could be read stands in
// the struct all the same.
func Unmarshal(data []byte, into any) error {
	return unmarshal(data, into, false)
}

// UnmarshalOnly is Unmarshal for inputs that may hold known names alone.
func UnmarshalOnly(data []byte, into any) error {
	return unmarshal(data, into, true)
}

func unmarshal(data []byte, into any, only bool) error {
	t := item(reflect.TypeOf(into))
	if err := walk(data, '{', only, names(t), t, nil); err != nil {
		return err
	}
	var wrong *json.UnmarshalTypeError
	var instant *time.ParseError
	switch err := json.Unmarshal(data, into); {
	case err == nil:
		return nil
	case errors.As(err, &wrong): // its own text repeats the value
		return &Error{Name: wrong.Field, Reason: "it has the wrong type"}
	case errors.As(err, &instant): // so does its
		return &Error{Reason: "a time is not written as RFC 3339 says"}
	default: // of a field's UnmarshalJSON
		return &Error{Reason: err.Error()}
	}
}

// String returns the text of a JSON string that Members or Elements has
// returned. Any other kind of value, null too, is an *Error.
func String(value json.RawMessage) (string, error) {
	if len(value) < 2 || value[0] != '"' {
		return "", &Error{Reason: "a string was expected"}
	}
	return unquote(value)
}

func read(data []byte, known []string, only bool) (Object, error) {
	object := make(Object, 0, 16)
	err := walk(data, '{', only, known, nil, func(name string, value []byte) {
		object = append(object, Member{name, value})
	})
	if err != nil {
		return nil, err
	}
	return object, nil
}

// unquote resolves the escapes of a string whose syntax has been checked.
func unquote(raw []byte) (string, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err
}
