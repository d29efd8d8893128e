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
	c.Secret, c.Assertion = hide(c.Secret), hide(c.Assertion)
	return shownCredentials(c)
}

// Format writes the credentials with "(redacted)" in place of the secret and the
// assertion, whatever the verb.
func (c Credentials) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), c.shown()) //nolint:errcheck // a fmt.State reports its errors itself
}

// MarshalJSON writes "(redacted)" in place of the secret and the assertion.
func (c Credentials) MarshalJSON() ([]byte, error) { return json.Marshal(c.shown()) }

func (s ImportSpec) shown() shownImport {
	s.Secret, s.Digest, s.SHA256 = hide(s.Secret), hide(s.Digest), hide(s.SHA256)
	return shownImport(s)
}

// Format writes the spec with "(redacted)" in place of secret, digest and SHA-256,
// whatever the verb.
func (s ImportSpec) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), s.shown()) //nolint:errcheck // a fmt.State reports its errors itself
}

// MarshalJSON writes "(redacted)" in place of secret, digest and SHA-256.
func (s ImportSpec) MarshalJSON() ([]byte, error) { return json.Marshal(s.shown()) }
