package apikey

import (
	"encoding/json"
	"fmt"
)

// redacted is printed in place of a text that is secret. An empty text prints as
// empty.
const redacted = "(redacted)"

func hide(text string) string {
	if text == "" {
		return ""
	}
	return redacted
}

// shownCredentials and shownImport have the same fields but no methods. Printing them
// from Format and MarshalJSON does not call these again.
type (
	shownCredentials Credentials
	shownImport      ImportSpec
)

func (c Credentials) shown() shownCredentials {
	c.Secret = hide(c.Secret)
	return shownCredentials(c)
}

// Format writes the credentials without their secret, whatever the verb.
func (c Credentials) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), c.shown()) //nolint:errcheck // a fmt.State reports its errors itself
}

// MarshalJSON leaves the secret out.
func (c Credentials) MarshalJSON() ([]byte, error) { return json.Marshal(c.shown()) }

func (s ImportSpec) shown() shownImport {
	s.Secret, s.Digest = hide(s.Secret), hide(s.Digest)
	return shownImport(s)
}

// Format writes the spec without secret and digest, whatever the verb.
func (s ImportSpec) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), s.shown()) //nolint:errcheck // a fmt.State reports its errors itself
}

// MarshalJSON leaves secret and digest out.
func (s ImportSpec) MarshalJSON() ([]byte, error) { return json.Marshal(s.shown()) }
