package apikey

import "github.com/latchkey-go/latchkey/oauth/internal/secrets"

// Secret is the plaintext half of a key. Printed, logged or marshalled it
// shows its prefix and its last characters only; its method Reveal gives the
// plaintext, and Hint the last four characters. The zero value is no secret and
// shows as the empty string.
//
// It is immutable and safe for concurrent use. It cannot be compared with ==
// and never equals another in reflect.DeepEqual; compare what Reveal returns,
// in constant time.
type Secret = secrets.Secret

// Pepper is a key for digests that is kept outside the store, so that a copy
// of the store alone proves nothing about a secret. It has a Version, 1 or more,
// which stored digests name, and a Key of at least 32 random bytes. See
// Config.Peppers. Printed, logged or marshalled it shows its version only.
type Pepper = secrets.Pepper

// NoPepper is the entry of Config.Peppers for digests without a pepper, which
// are plain SHA-256. Its version is 0.
func NoPepper() Pepper { return secrets.NoPepper() }

// ParseSecret checks that text has the form of a secret with this prefix,
// without asking any store. An empty prefix is the default of
// Config.SecretPrefixes. A typo of one character and a text cut off are always
// found. The error says in plain words what is wrong and does not repeat the text.
// Whether a key has this secret is another question: the checksum keeps nobody from
// making one up.
func ParseSecret(prefix, text string) (Secret, error) { return secrets.Parse(prefix, text) }

// SecretPattern returns a regular expression (RE2, PCRE and ECMAScript read
// it alike) that finds every secret with this prefix in any text, for secret
// scanners. ParseSecret sorts out what only looks like one. An empty prefix is
// as in ParseSecret.
func SecretPattern(prefix string) string { return secrets.Pattern(prefix) }
