package apikey

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
)

// defaultPrefix begins the secrets of a host that names no prefix of its own.
const defaultPrefix = "lk_"

// A generated secret is its prefix, randomChars characters for 256 random
// bits and checksumChars characters of CRC-32, both in base 62 and padded
// with zeros. Nothing in it needs form-encoding, so that a client that skips
// the encoding RFC 6749, section 2.3.1 asks for in Basic credentials logs in
// all the same.
const (
	randomBytes   = 32
	randomChars   = 43
	checksumChars = 6
	maxPrefix     = 32
	hintChars     = 4
	base62        = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// Secret is the plaintext half of a key. Printed, logged or marshalled it
// shows its prefix and its last characters only; Reveal gives the plaintext.
// The zero value is no secret and shows as the empty string.
//
// It is immutable and safe for concurrent use. It cannot be compared with ==
// and never equals another in reflect.DeepEqual; compare what Reveal returns,
// in constant time.
type Secret struct {
	// A function, because printers that walk unexported fields call no
	// methods and would follow a pointer.
	reveal func() string
	prefix string
}

// SecretError says why a text cannot be a secret of this host. It never
// repeats the text.
type SecretError struct {
	Reason string // in plain words, such as "it is too short; was it cut off?"
}

// Error implements error.
func (e *SecretError) Error() string { return "apikey: not a secret: " + e.Reason }

// Reveal returns the plaintext, for the one answer that shows it. The zero
// Secret gives the empty string.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether s is no secret.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Hint returns the last four characters, for people to recognise a secret by;
// of a generated one they belong to the checksum. A text too short to spare
// four characters has no hint.
func (s Secret) Hint() string {
	text := s.Reveal()
	if len(text) < 4*hintChars {
		return ""
	}
	// Cutting inside a character of an imported secret would give bytes that
	// are no text.
	return strings.ToValidUTF8(text[len(text)-hintChars:], "")
}

// String returns the redacted form, such as "lk_…a1b2".
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return s.prefix + "…" + s.Hint()
}

// GoString returns the redacted form.
func (s Secret) GoString() string { return "apikey.Secret(" + strconv.Quote(s.String()) + ")" }

// Format writes the redacted form, whatever the verb.
func (s Secret) Format(f fmt.State, verb rune) { writeRedacted(f, verb, s.String(), s.GoString()) }

// MarshalText returns the redacted form.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON returns the redacted form as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(strconv.Quote(s.String())), nil }

// LogValue returns the redacted form.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

func writeRedacted(f fmt.State, verb rune, text, goText string) {
	switch {
	case verb == 'q':
		text = strconv.Quote(text)
	case verb == 'v' && f.Flag('#'):
		text = goText
	}
	_, _ = io.WriteString(f, text) //nolint:errcheck // fmt tells whoever called Printf
}

// checkPrefix reports whether prefix can begin secrets: 1 to 32 characters of
// A-Z, a-z, 0-9, '_' and '-', the last one '_'. The empty string stands for
// the default, here and wherever a prefix is taken.
func checkPrefix(prefix string) error {
	prefix = orDefault(prefix)
	if len(prefix) > maxPrefix {
		return fmt.Errorf("apikey: secret prefix: %d characters, at most %d are allowed", len(prefix), maxPrefix)
	}
	for i := range len(prefix) {
		if c := prefix[i]; c != '_' && c != '-' && !alphanumeric(c) {
			return fmt.Errorf("apikey: secret prefix: character %d is not one of A-Z, a-z, 0-9, '_' and '-'", i+1)
		}
	}
	if !strings.HasSuffix(prefix, "_") {
		return errors.New("apikey: secret prefix: the last character must be '_'")
	}
	return nil
}

// ParseSecret checks that text has the form of a secret with this prefix,
// without asking any store. An empty prefix is the default of
// Config.SecretPrefixes. A typo of one character and a text cut off are always
// found. The error is a *SecretError. Whether a key has this secret is another
// question: the checksum keeps nobody from making one up.
func ParseSecret(prefix, text string) (Secret, error) {
	prefix = orDefault(prefix)
	if err := checkSecret(prefix, text); err != nil {
		return Secret{}, err
	}
	return Secret{reveal: func() string { return text }, prefix: prefix}, nil
}

// SecretPattern returns a regular expression (RE2, PCRE and ECMAScript read
// it alike) that finds every secret with this prefix in any text, for secret
// scanners. ParseSecret sorts out what only looks like one. An empty prefix is
// as in ParseSecret.
func SecretPattern(prefix string) string {
	// No \b at the ends: in "%3Dlk_..." and "\nlk_..." a letter stands before.
	return fmt.Sprintf("%s[0-9A-Za-z]{%d}", regexp.QuoteMeta(orDefault(prefix)), randomChars+checksumChars)
}

func checkSecret(prefix, text string) error {
	length := len(prefix) + randomChars + checksumChars
	switch {
	case text == "":
		return &SecretError{"it is empty"}
	case strings.TrimSpace(text) != text:
		return &SecretError{"white space stands before or after it"}
	case !strings.HasPrefix(text, prefix):
		return &SecretError{fmt.Sprintf("it does not begin with %q", prefix)}
	case len(text) < length:
		return &SecretError{"it is too short; was it cut off?"}
	case len(text) > length:
		return &SecretError{"it is too long; was something else pasted with it?"}
	}
	for i := len(prefix); i < length; i++ {
		if !alphanumeric(text[i]) {
			return &SecretError{fmt.Sprintf("character %d is not one of A-Z, a-z and 0-9", i+1)}
		}
	}
	var want [checksumChars]byte
	putChecksum(want[:], text[:length-checksumChars])
	if text[length-checksumChars:] != string(want[:]) {
		return &SecretError{"its checksum does not match; is there a typo?"}
	}
	return nil
}

// newSecret makes a secret of 256 bits read from random. It fails where random
// fails or falls short, and on bytes that are all zero, which only a broken
// source gives.
func newSecret(random io.Reader, prefix string) (Secret, error) {
	var raw [randomBytes]byte
	if err := readRandom(random, raw[:]); err != nil {
		return Secret{}, fmt.Errorf("apikey: new secret: %w", err)
	}
	prefix = orDefault(prefix)
	text := make([]byte, len(prefix)+randomChars+checksumChars)
	body := text[copy(text, prefix):]
	putBase62(body[:randomChars], raw)
	putChecksum(body[randomChars:], string(text[:len(text)-checksumChars]))
	clear(raw[:])
	return secretOf(prefix, string(text)), nil
}

// secretOf wraps a text that need not have the form of a generated secret,
// such as an imported one. Its prefix is shown when the secret is printed.
func secretOf(prefix, text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return text }, prefix: prefix}
}

// prefixOf returns the prefix of a secret that has the form of a generated one.
func (s *Service) prefixOf(secret string) (string, bool) {
	for _, prefix := range s.cfg.SecretPrefixes {
		if strings.HasPrefix(secret, prefix) && checkSecret(prefix, secret) == nil {
			return prefix, true
		}
	}
	return "", false
}

// secretID derives a secret's id from its plaintext, so that a login knows
// which of a key's secrets it was given before it hashes, and hashes once.
//
// The id stands in tokens and lists: 72 bits of a fast hash. That tells
// nothing about 256 random bits, but would let anyone try guesses at a weaker
// secret. Secrets that Latchkey did not generate get a randomID instead.
func secretID(secret string) string {
	id := secretIDChars(secret)
	return string(id[:])
}

// secretIDChars is secretID for a login, which only compares.
func secretIDChars(secret string) (id [12]byte) {
	const domain = "latchkey secret id\x00"
	var array [len(domain) + maxPrefix + randomChars + checksumChars]byte
	sum := sha256.Sum256(append(append(array[:0], domain...), secret...))
	base64.RawURLEncoding.Encode(id[:], sum[:9])
	return id
}

// randomID returns n random bytes in base64url.
func randomID(random io.Reader, n int) (string, error) {
	raw := make([]byte, n)
	if err := readRandom(random, raw); err != nil {
		return "", fmt.Errorf("apikey: new id: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw), nil
}

// newKeyID returns a random UUID (RFC 9562, version 4) as text.
func newKeyID(random io.Reader) (string, error) {
	var u [16]byte
	if err := readRandom(random, u[:]); err != nil {
		return "", fmt.Errorf("apikey: new key id: %w", err)
	}
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], u[0:4])
	hex.Encode(text[9:13], u[4:6])
	hex.Encode(text[14:18], u[6:8])
	hex.Encode(text[19:23], u[8:10])
	hex.Encode(text[24:36], u[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:]), nil
}

func readRandom(random io.Reader, into []byte) error {
	if _, err := io.ReadFull(random, into); err != nil {
		return fmt.Errorf("reading random bytes: %w", err)
	}
	for _, b := range into {
		if b != 0 {
			return nil
		}
	}
	return errors.New("reading random bytes: the source gave only zeros")
}

// putBase62 writes number, big-endian, as base-62 digits that fill into.
func putBase62(into []byte, number [randomBytes]byte) {
	var limbs [randomBytes / 4]uint32
	for i := range number {
		limbs[i/4] = limbs[i/4]<<8 | uint32(number[i])
	}
	for at := len(into) - 1; at >= 0; at-- {
		var rest uint32
		for i, limb := range limbs {
			limbs[i], rest = bits.Div32(rest, limb, uint32(len(base62)))
		}
		into[at] = base62[rest]
	}
}

func putChecksum(into []byte, text string) {
	// crc32.ChecksumIEEE would take a copy on the heap.
	sum := ^uint32(0)
	for i := range len(text) {
		sum = crc32.IEEETable[byte(sum&0xff)^text[i]] ^ sum>>8
	}
	sum = ^sum
	for at := len(into) - 1; at >= 0; at-- {
		into[at] = base62[sum%uint32(len(base62))]
		sum /= uint32(len(base62))
	}
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

func orDefault(prefix string) string {
	if prefix == "" {
		return defaultPrefix
	}
	return prefix
}
