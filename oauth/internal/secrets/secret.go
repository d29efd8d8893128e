// Package secrets makes and checks secrets, ids and the digests that are stored in
// place of secrets: fast digests of secrets that Latchkey generated, and slow ones
// of secrets from other systems.
package secrets

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"regexp"
	"strconv"
	"strings"
)

// DefaultPrefix is the prefix of secrets if the host sets none.
const DefaultPrefix = "lk_"

// A generated secret is its prefix, randomChars characters for 256 random bits, and
// checksumChars characters of a CRC-32, both in base 62 and padded with zeros. No
// character of it needs form-encoding, so a client can log in even if it omits the
// encoding of Basic credentials that RFC 6749, section 2.3.1 requires.
const (
	randomBytes   = 32
	randomChars   = 43
	checksumChars = 6
	maxPrefix     = 32
	hintChars     = 4
)

// Secret is the plaintext secret of a key. If it is printed, logged or marshalled,
// only its prefix and its last characters show. Reveal returns the plaintext. The
// zero value is no secret and prints as the empty string.
//
// It is immutable and safe for concurrent use. It cannot be compared with ==, and
// reflect.DeepEqual is always false; compare the results of Reveal, in constant
// time.
type Secret struct {
	// It is a function because packages that print unexported fields call no
	// methods and follow pointers.
	reveal func() string
	prefix string
}

// New makes a secret of 256 bits read from random. It fails if the read fails or is
// short, or if all bytes are zero, which only a broken source returns.
func New(random io.Reader, prefix string) (Secret, error) {
	raw, err := read(random, randomBytes)
	if err != nil {
		return Secret{}, fmt.Errorf("apikey: new secret: %w", err)
	}
	text := cmp.Or(prefix, DefaultPrefix) + base62(raw, randomChars)
	sum := checksum(text)
	return Of(prefix, text+string(sum[:])), nil
}

// Of wraps a text that need not have the form of a generated secret,
// such as an imported one. Its prefix is shown when the secret is printed.
func Of(prefix, text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return text }, prefix: prefix}
}

// Parse checks that text has the form of a secret with this prefix.
func Parse(prefix, text string) (Secret, error) {
	prefix = cmp.Or(prefix, DefaultPrefix)
	if err := check(prefix, text); err != nil {
		return Secret{}, fmt.Errorf("apikey: not a secret: %w", err)
	}
	return Of(prefix, text), nil
}

// PrefixOf returns the first of prefixes with which text has the form of a secret, and
// whether there is one.
func PrefixOf(text string, prefixes []string) (string, bool) {
	for _, prefix := range prefixes {
		if strings.HasPrefix(text, prefix) && check(prefix, text) == nil {
			return prefix, true
		}
	}
	return "", false
}

// WellFormed reports whether text has the form of a secret with some prefix.
func WellFormed(text string) bool {
	prefix := len(text) - randomChars - checksumChars
	return prefix > 0 && check(text[:prefix], text) == nil
}

// Pattern returns a regular expression that finds every secret with this prefix.
func Pattern(prefix string) string {
	// No \b at the ends: in "%3Dlk_..." and "\nlk_..." a letter comes before the
	// prefix.
	return fmt.Sprintf("%s[0-9A-Za-z]{%d}", regexp.QuoteMeta(cmp.Or(prefix, DefaultPrefix)), randomChars+checksumChars)
}

// GitleaksRule returns a rule of gitleaks for this prefix. Every secret has more than
// 3.2 bits of entropy for each character, even if its prefix is the longest and poorest.
func GitleaksRule(prefix string) string {
	prefix = cmp.Or(prefix, DefaultPrefix)
	return fmt.Sprintf(`[[rules]]
id = "%[1]ssecret"
description = "An API key's secret that begins with %[1]s"
regex = '''(%[2]s)(?:[^0-9A-Za-z]|$)'''
secretGroup = 1
entropy = 3.2
keywords = ["%[1]s"]
`, prefix, Pattern(prefix))
}

// CheckPrefix returns an error unless prefix can be the prefix of secrets: 1 to 32
// characters of A-Z, a-z, 0-9, '_' and '-', the last one '_'.
func CheckPrefix(prefix string) error {
	if len(prefix) > maxPrefix {
		return fmt.Errorf("it has %d characters, at most %d are allowed", len(prefix), maxPrefix)
	}
	for i := range len(prefix) {
		if c := prefix[i]; c != '_' && c != '-' && !alphanumeric(c) {
			return fmt.Errorf("character %d is not one of A-Z, a-z, 0-9, '_' and '-'", i+1)
		}
	}
	if !strings.HasSuffix(prefix, "_") {
		return errors.New("the last character must be '_'")
	}
	return nil
}

// Reveal returns the plaintext, for the one response that shows it. For the zero
// Secret it returns the empty string.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// Hint returns the last four characters, so that people can recognise a secret. In
// a generated secret they are part of the checksum. For a text of less than 16
// bytes it returns the empty string.
func (s Secret) Hint() string {
	text := s.Reveal()
	if len(text) < 4*hintChars {
		return ""
	}
	// The cut may be inside a character of an imported secret.
	return strings.ToValidUTF8(text[len(text)-hintChars:], "")
}

// String returns the redacted form, such as "lk_…a1b2".
func (s Secret) String() string {
	if s.reveal == nil {
		return ""
	}
	return s.prefix + "…" + s.Hint()
}

// Format writes the redacted form, whatever the verb.
func (s Secret) Format(f fmt.State, verb rune) {
	writeRedacted(f, verb, s.String(), "apikey.Secret("+strconv.Quote(s.String())+")")
}

// MarshalText returns the redacted form, for JSON and logs too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func writeRedacted(f fmt.State, verb rune, text, goText string) {
	switch {
	case verb == 'q':
		text = strconv.Quote(text)
	case verb == 'v' && f.Flag('#'):
		text = goText
	}
	_, _ = io.WriteString(f, text) //nolint:errcheck // f reports its own errors
}

// check returns an error that says what is wrong with a secret. It never repeats
// the text.
func check(prefix, text string) error {
	length := len(prefix) + randomChars + checksumChars
	switch {
	case text == "":
		return errors.New("it is empty")
	case strings.TrimSpace(text) != text:
		return errors.New("there is white space before or after it")
	case !strings.HasPrefix(text, prefix):
		return fmt.Errorf("it does not begin with %q", prefix)
	case len(text) < length:
		return errors.New("it is too short; was it cut off?")
	case len(text) > length:
		return errors.New("it is too long; was something else pasted with it?")
	}
	for i := len(prefix); i < length; i++ {
		if !alphanumeric(text[i]) {
			return fmt.Errorf("character %d is not one of A-Z, a-z and 0-9", i+1)
		}
	}
	body, sum := text[:length-checksumChars], text[length-checksumChars:]
	if want := checksum(body); sum != string(want[:]) {
		return errors.New("its checksum does not match; is there a typo?")
	}
	return nil
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// checksum returns the CRC-32 of a text in base 62.
func checksum(text string) (sum [checksumChars]byte) {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" // the digits of math/big
	rest := crc32.ChecksumIEEE([]byte(text))
	for i := range sum {
		sum[checksumChars-1-i] = digits[rest%62]
		rest /= 62
	}
	return sum
}

// base62 returns a number in base 62, padded with zeros.
func base62(number []byte, chars int) string {
	text := new(big.Int).SetBytes(number).Text(62)
	return strings.Repeat("0", chars-len(text)) + text
}

// ID derives a secret's id from its plaintext, so that a login finds the right one
// of a key's secrets before it computes a digest, and computes only one.
//
// Tokens and lists show the id: 72 bits of a fast hash. It reveals nothing about
// 256 random bits, but anyone could test guesses at a weaker secret with it. So
// secrets that Latchkey did not generate get a RandomID instead.
func ID(secret string) string {
	return IDOf(Sum(secret))
}

// Sum returns the SHA-256 of a secret.
func Sum(secret string) [sha256.Size]byte {
	return sha256.Sum256(append(make([]byte, 0, 128), secret...)) // on the stack, unless it is longer
}

// IDOf is ID for a secret of which only the SHA-256 is known.
func IDOf(sum [sha256.Size]byte) string { return base64.RawURLEncoding.EncodeToString(sum[:9]) }

// RandomID returns 9 random bytes in base64url.
func RandomID(random io.Reader) (string, error) {
	raw, err := read(random, 9)
	if err != nil {
		return "", fmt.Errorf("apikey: new id: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// NewKeyID returns a random UUID (RFC 9562, version 4) as text.
func NewKeyID(random io.Reader) (string, error) {
	u, err := read(random, 16)
	if err != nil {
		return "", fmt.Errorf("apikey: new key id: %w", err)
	}
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:]), nil
}

// read reads n random bytes.
func read(random io.Reader, n int) ([]byte, error) {
	raw := make([]byte, n)
	if _, err := io.ReadFull(random, raw); err != nil {
		return nil, fmt.Errorf("reading random bytes: %w", err)
	}
	for _, b := range raw {
		if b != 0 {
			return raw, nil
		}
	}
	return nil, errors.New("reading random bytes: the source returned only zeros")
}
