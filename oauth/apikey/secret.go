package apikey

import "github.com/latchkey-go/latchkey/oauth/internal/secrets"

// Secret is the plaintext secret of a key. If it is printed, logged or marshalled,
// only its prefix and its last characters show. Its method Reveal returns the
// plaintext, and Hint the last four characters. The zero value is no secret and
// prints as the empty string.
//
// It is immutable and safe for concurrent use. It cannot be compared with ==, and
// reflect.DeepEqual is always false; compare the results of Reveal, in constant
// time.
type Secret = secrets.Secret

// Pepper is a key for the digests of secrets. It is kept outside the store, so that
// a copy of the store is not enough to test a guessed secret. It has a Version, 1
// or more, which stored digests name, and a Key of at least 32 random bytes. See
// Config.Peppers. If it is printed, logged or marshalled, only its version shows.
type Pepper = secrets.Pepper

// NoPepper returns the entry of Config.Peppers for digests without a pepper, which
// are plain SHA-256. Its version is 0.
func NoPepper() Pepper { return secrets.NoPepper() }

// ParseSecret checks that text has the form of a secret with this prefix. It reads
// no store, so it does not say whether a key has this secret; anyone can make up a
// text with a correct checksum. An empty prefix means the default of
// Config.SecretPrefixes. It always finds a typo of one character and a text that
// was cut off. The error says what is wrong and does not repeat the text.
func ParseSecret(prefix, text string) (Secret, error) { return secrets.Parse(prefix, text) }

// SecretPattern returns a regular expression for secret scanners that finds every
// secret with this prefix in any text. RE2, PCRE and ECMAScript understand it
// alike. Use ParseSecret to drop matches that are no secrets. An empty prefix is as
// in ParseSecret.
func SecretPattern(prefix string) string { return secrets.Pattern(prefix) }

// GitleaksRule returns a rule for a configuration of gitleaks 8 (TOML) that finds the
// secrets with this prefix, unless a letter or digit follows. The entropy leaves out placeholders such
// as "lk_xxxx...". An empty prefix is as in ParseSecret.
func GitleaksRule(prefix string) string { return secrets.GitleaksRule(prefix) }
