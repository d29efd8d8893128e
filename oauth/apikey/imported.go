package apikey

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Bounds of an imported digest. A digest is work that whoever knows a key id
// can make the server do, so that its cost is capped where it comes in and
// again where it is read.
const (
	maxBcryptCost     = 14        // about a second
	maxBcryptSecret   = 72        // bcrypt ignores what follows
	maxArgonMemory    = 256 << 10 // KiB
	maxArgonTime      = 10
	maxArgonThreads   = 16
	minArgonSalt      = 8
	minArgonSum       = 16
	maxPHCPart        = 64 // salt or hash
	maxImportedDigest = 512
)

// Imported secrets below strongBits are hashed by OWASP's smallest argon2id
// setting, not with the 64 MiB of RFC 9106: it runs at every login of such a
// key, and two at a time must fit into a small container.
const (
	weakMemory  = 19 << 10 // KiB
	weakTime    = 2
	weakThreads = 1
)

// strongBits is the entropy from which one pass of a fast hash is enough.
const strongBits = 128

// importError says why an imported digest is refused. It never repeats it.
type importError struct {
	Reason string // in plain words
}

func (e *importError) Error() string { return "apikey: imported digest: " + e.Reason }

func refuseDigest(format string, args ...any) error {
	return &importError{fmt.Sprintf(format, args...)}
}

// isSlow reports whether a stored digest is one that must run under the slow
// gate, rather than one of a hasher's.
func isSlow(stored string) bool {
	return strings.HasPrefix(stored, "$2") || strings.HasPrefix(stored, "$argon2") || isPBKDF2(stored)
}

// checkImported accepts bcrypt, argon2id and PBKDF2 digests within their caps.
// Any other is an *importError.
func checkImported(digest string) error {
	_, err := parseImported(digest)
	return err
}

// imported is a parsed slow digest.
type imported interface {
	matches(secret string) (bool, error)
}

// parseImported reads a bcrypt, an argon2id or a PBKDF2 string, in one
// spelling only. It allocates nothing that the digest's own numbers determine.
func parseImported(digest string) (imported, error) {
	switch {
	case len(digest) > maxImportedDigest:
		return nil, refuseDigest("it has %d characters, at most %d are allowed", len(digest), maxImportedDigest)
	case strings.HasPrefix(digest, "$argon2id$"):
		return parseArgon(digest)
	case strings.HasPrefix(digest, "$2a$"), strings.HasPrefix(digest, "$2b$"), strings.HasPrefix(digest, "$2y$"):
		return parseBcrypt(digest)
	case isPBKDF2(digest):
		return parsePBKDF2(digest)
	}
	return nil, refuseDigest("%s; only bcrypt, argon2id and PBKDF2 digests are taken, or the secret itself", describe(digest))
}

// describe names what an unusable digest seems to be.
func describe(digest string) string {
	lower := strings.ToLower(digest)
	starts := func(prefixes ...string) bool {
		for _, p := range prefixes {
			if strings.HasPrefix(lower, p) {
				return true
			}
		}
		return false
	}
	switch {
	case digest == "":
		return "it is empty"
	case starts("$2"):
		return "it is a kind of bcrypt other than 2a, 2b and 2y"
	case starts("$argon2"):
		return "it is an argon2 other than argon2id"
	case starts(plainSHA256+"$", hmacSHA256+"$"):
		return "it is a digest of Latchkey's own, which is bound to the key it was made for"
	case strings.Contains(lower, "pbkdf2"):
		return "it is a PBKDF2 other than $pbkdf2-sha256$ and $pbkdf2-sha512$"
	case starts("$7$", "$scrypt$", "scrypt:"):
		return "it is scrypt"
	case starts("$1$", "$5$", "$6$", "$y$", "$apr1$"):
		return "it is a crypt(3) digest"
	case strings.Trim(lower, "0123456789abcdef") == "":
		return "it seems to be a bare fast hash in hexadecimal"
	case strings.Trim(lower, "0123456789abcdefghijklmnopqrstuvwxyz+/-_=") == "":
		return "it seems to be a bare fast hash in base64"
	}
	return "its form is not known"
}

type bcryptDigest string

func parseBcrypt(digest string) (imported, error) {
	const length = 60 // "$2b$", two digits and "$", 22 of salt, 31 of sum
	if len(digest) != length || digest[6] != '$' {
		return nil, refuseDigest("it is a malformed bcrypt string")
	}
	if strings.Trim(digest[7:], "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return nil, refuseDigest("it is a malformed bcrypt string")
	}
	cost, err := strconv.ParseUint(digest[4:6], 10, 8)
	if err != nil || cost < uint64(bcrypt.MinCost) {
		return nil, refuseDigest("it is a malformed bcrypt string")
	}
	if cost > maxBcryptCost {
		return nil, refuseDigest("its bcrypt cost is %d, at most %d is allowed", cost, maxBcryptCost)
	}
	return bcryptDigest(digest), nil
}

// matches refuses what bcrypt cannot tell apart: it ignores all after 72
// bytes, and repeats a secret behind a NUL.
func (d bcryptDigest) matches(secret string) (bool, error) {
	if len(secret) > maxBcryptSecret || strings.Contains(secret, "\x00") {
		return false, nil
	}
	err := bcrypt.CompareHashAndPassword([]byte(d), []byte(secret))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

type argonDigest struct {
	memory, time uint32 // KiB, passes
	threads      uint8
	salt, sum    []byte
}

func parseArgon(digest string) (imported, error) {
	fields := strings.Split(digest, "$")
	if len(fields) != 6 {
		return nil, refuseDigest("it is a malformed argon2id string")
	}
	if fields[2] != "v=19" {
		return nil, refuseDigest("its argon2 version is not 19")
	}
	params := strings.Split(fields[3], ",")
	if len(params) != 3 {
		return nil, refuseDigest("its parameters are not m, t and p")
	}
	var numbers [3]uint64
	for i, p := range []struct {
		name     string
		min, max uint64
	}{{"m", 8, maxArgonMemory}, {"t", 1, maxArgonTime}, {"p", 1, maxArgonThreads}} {
		text, named := strings.CutPrefix(params[i], p.name+"=")
		n, err := strconv.ParseUint(text, 10, 32)
		if !named || err != nil && !errors.Is(err, strconv.ErrRange) || err == nil && text != strconv.FormatUint(n, 10) {
			return nil, refuseDigest("its parameter %s is malformed", p.name)
		}
		if err != nil || n < p.min || n > p.max {
			return nil, refuseDigest("its parameter %s must be from %d to %d", p.name, p.min, p.max)
		}
		numbers[i] = n
	}
	d := argonDigest{memory: uint32(numbers[0]), time: uint32(numbers[1]), threads: uint8(numbers[2])} //nolint:gosec // bounded above
	if d.memory < 8*uint32(d.threads) {
		return nil, refuseDigest("its parameter m must be 8 times p or more")
	}
	var ok bool
	if d.salt, ok = decodePHC(fields[4], minArgonSalt); !ok {
		return nil, refuseDigest("its salt must be %d to %d bytes in base64", minArgonSalt, maxPHCPart)
	}
	if d.sum, ok = decodePHC(fields[5], minArgonSum); !ok {
		return nil, refuseDigest("its hash must be %d to %d bytes in base64", minArgonSum, maxPHCPart)
	}
	return d, nil
}

// decodePHC decodes a salt or a hash of at most maxPHCPart bytes.
func decodePHC(text string, smallest int) ([]byte, bool) {
	raw, err := base64.RawStdEncoding.Strict().DecodeString(text)
	// The decoder skips line breaks: what it read must be all there was.
	if err != nil || base64.RawStdEncoding.EncodedLen(len(raw)) != len(text) {
		return nil, false
	}
	return raw, len(raw) >= smallest && len(raw) <= maxPHCPart
}

func (d argonDigest) matches(secret string) (bool, error) {
	sum := argon2.IDKey([]byte(secret), d.salt, d.time, d.memory, d.threads, uint32(len(d.sum))) //nolint:gosec // at most maxPHCPart
	return subtle.ConstantTimeCompare(sum, d.sum) == 1, nil
}

// hashWeak returns an argon2id digest of an imported secret that has too
// little entropy for a hasher.
func hashWeak(random io.Reader, secret string) (string, error) {
	d := argonDigest{memory: weakMemory, time: weakTime, threads: weakThreads, salt: make([]byte, 16)}
	if err := readRandom(random, d.salt); err != nil {
		return "", fmt.Errorf("apikey: hash imported secret: %w", err)
	}
	d.sum = argon2.IDKey([]byte(secret), d.salt, d.time, d.memory, d.threads, 32)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s",
		d.memory, d.time, d.threads, b64.EncodeToString(d.salt), b64.EncodeToString(d.sum)), nil
}

// entropyBits estimates a secret's entropy: its length times the bits that a
// character of the smallest usual alphabet around it carries. Of a text that
// repeats itself only one round counts, and a UUID has its 122 bits. It is an
// upper bound: nothing tells a sentence from random letters.
func entropyBits(secret string) float64 {
	if secret == "" {
		return 0
	}
	if round := strings.Index((secret + secret)[1:], secret) + 1; round < len(secret) {
		secret = secret[:round]
	}
	const (
		digits = "0123456789"
		lower  = "abcdefghijklmnopqrstuvwxyz"
		upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	)
	if hex := strings.ToLower(strings.ReplaceAll(secret, "-", "")); strings.Trim(hex, "0123456789abcdef") == "" {
		if len(hex) == 32 && (hex[12] == '4' || len(secret) > len(hex)) {
			const uuidBits = 122
			return uuidBits
		}
		secret = hex
	}
	for _, alphabet := range []string{
		digits, "0123456789abcdef", lower, upper,
		lower + "234567", upper + "234567", lower + digits, upper + digits,
		lower + upper, lower + upper + digits, lower + upper + digits + "+/-_",
	} {
		if strings.Trim(secret, alphabet) == "" {
			return float64(len(secret)) * math.Log2(float64(len(alphabet)))
		}
	}
	const printable = 95
	return float64(len([]rune(secret))) * math.Log2(printable)
}
