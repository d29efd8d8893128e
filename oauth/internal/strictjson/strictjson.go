// Package strictjson reads one JSON object for a security decision.
//
// If an object has two members with the same name, encoding/json uses the last. It
// ignores the case of names, and replaces invalid UTF-8. If two parsers differ in
// these points, one input can mean different things to them. This package refuses
// such inputs:
//
//   - a member name that appears twice in one object, at any depth;
//   - a name that differs from a known one only in case (Unicode folding);
//   - a NUL character in a name;
//   - a byte order mark, data after the object, invalid UTF-8, half of a surrogate
//     pair;
//   - more than MaxDepth levels.
//
// Members returns unknown members, Unmarshal ignores them, and Only and
// UnmarshalOnly refuse them. The caller must limit the size of the input. All
// functions are safe for concurrent use.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// MaxDepth is the maximum nesting of objects and arrays, including the outermost one.
const MaxDepth = 32

// Member is one member of an object.
type Member struct {
	// Name is the unescaped name.
	Name string
	// Value is the text of the value: valid JSON without white space around it. It
	// shares memory with the input.
	Value json.RawMessage
}

// Object holds the members of an object in the order of the input.
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
	// Name is the name of the wrong member, as it was sent. It is empty if the error
	// is not about one member.
	Name string
	// Reason says what is wrong. It contains no part of the input, unless it is the
	// error of a field's UnmarshalJSON.
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

// Members reads one object. It also returns members whose name is not in known, but
// refuses a name that differs from a known one only in case. The error is an *Error.
func Members(data []byte, known []string) (Object, error) {
	return read(data, known, false)
}

// Only is Members for inputs that may hold only known names.
func Only(data []byte, known []string) (Object, error) {
	return read(data, append([]string{}, known...), true) // not nil, even if known is empty
}

// Elements reads one array under the same rules and returns the texts of its values.
// The error is an *Error.
func Elements(data []byte) ([]json.RawMessage, error) {
	elements := []json.RawMessage{}
	err := walk(data, '[', false, nil, nil, func(_ string, value []byte) { elements = append(elements, value) })
	if err != nil {
		return nil, err
	}
	return elements, nil
}

// Unmarshal reads one object into a pointer to a struct, as json.Unmarshal does. The
// known names are those in the tags of the struct, and of the structs in it. Each
// field needs a tag, and no field may be embedded. The error is an *Error, which holds
// the text of an error of a field's UnmarshalJSON. If there is an error, the struct
// holds what could be read.
func Unmarshal(data []byte, into any) error {
	return unmarshal(data, into, false)
}

// UnmarshalOnly is Unmarshal for inputs that may hold only known names, and must hold
// those without omitempty or omitzero in their tags.
func UnmarshalOnly(data []byte, into any) error {
	return unmarshal(data, into, true)
}

func unmarshal(data []byte, into any, refuseUnknown bool) error {
	t := item(reflect.TypeOf(into))
	if err := walk(data, '{', refuseUnknown, namesOf(t), t, nil); err != nil {
		return err
	}
	var wrong *json.UnmarshalTypeError
	var instant *time.ParseError
	switch err := json.Unmarshal(data, into); {
	case err == nil:
		return nil
	case errors.As(err, &wrong): // its own text contains the value
		return &Error{Name: wrong.Field, Reason: "it has the wrong type"}
	case errors.As(err, &instant): // its own text contains the value
		return &Error{Reason: "a time is not in the form of RFC 3339"}
	default: // the error of a field's UnmarshalJSON
		return &Error{Reason: err.Error()}
	}
}

// String returns the text of a JSON string from Members or Elements. For any other
// value, also null, it returns an *Error.
func String(value json.RawMessage) (string, error) {
	if len(value) < 2 || value[0] != '"' {
		return "", &Error{Reason: "a string was expected"}
	}
	return unquote(value)
}

func read(data []byte, known []string, refuseUnknown bool) (Object, error) {
	object := make(Object, 0, 16)
	err := walk(data, '{', refuseUnknown, known, nil, func(name string, value []byte) {
		object = append(object, Member{name, value})
	})
	if err != nil {
		return nil, err
	}
	return object, nil
}

// unquote unescapes a string whose syntax has been checked.
func unquote(raw []byte) (string, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), nil
	}
	var text string
	err := json.Unmarshal(raw, &text)
	return text, err
}
