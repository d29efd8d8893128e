package secrets

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Bounds of a slow digest. Every client that knows a key id can make the server
// verify its digest, so the cost is limited at import and again at each login.
const (
	maxBcryptCost       = 14        // about a second
	maxBcryptSecret     = 72        // bytes; bcrypt ignores the rest
	maxArgonMemory      = 256 << 10 // KiB
	maxArgonTime        = 10
	maxArgonThreads     = 16
	minPBKDF2Iterations = 1_000 // the minimum of RFC 8018, section 4.2
	maxPBKDF2Iterations = 1_000_000
	minSalt             = 8
	minSum              = 16
	maxPart             = 64 // salt or hash
	maxDigest           = 512
)

// HashSlow uses OWASP's smallest argon2id parameters, not the 64 MiB of RFC 9106:
// every login of such a key computes it, and two at the same time must fit into a
// small container.
const (
	ownMemory  = 19 << 10 // KiB
	ownTime    = 2
	ownThreads = 1
)

const (
	pbkdf2SHA256 = "$pbkdf2-sha256$"
	pbkdf2SHA512 = "$pbkdf2-sha512$"
)

// SlowVerifier reports whether a secret matches a slow digest.
type SlowVerifier func(secret string) (bool, error)

// ParseSlow parses a bcrypt, argon2id or PBKDF2 string within the bounds. It
// accepts one spelling only. It allocates nothing whose size the digest's
// parameters determine. The error says why the digest is refused and does not
// repeat it.
func ParseSlow(digest string) (SlowVerifier, error) {
	switch {
	case len(digest) > maxDigest:
		return nil, fmt.Errorf("it has %d characters, at most %d are allowed", len(digest), maxDigest)
	case strings.HasPrefix(digest, "$argon2id$"):
		return parseArgon(digest)
	case strings.HasPrefix(digest, "$2a$"), strings.HasPrefix(digest, "$2b$"), strings.HasPrefix(digest, "$2y$"):
		return parseBcrypt(digest)
	case isPBKDF2(digest):
		return parsePBKDF2(digest)
	}
	return nil, errors.New("only bcrypt ($2a$, $2b$, $2y$), $argon2id$, $pbkdf2-sha256$ and $pbkdf2-sha512$ are accepted; or give the secret itself")
}

func parseBcrypt(digest string) (SlowVerifier, error) {
	const length = 60 // "$2b$", two digits and "$", 22 of salt, 31 of sum
	if len(digest) != length || digest[6] != '$' ||
		strings.Trim(digest[7:], "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return nil, errors.New("it is a malformed bcrypt string")
	}
	cost, err := strconv.ParseUint(digest[4:6], 10, 8)
	if err != nil || cost < uint64(bcrypt.MinCost) {
		return nil, errors.New("it is a malformed bcrypt string")
	}
	if cost > maxBcryptCost {
		return nil, fmt.Errorf("its bcrypt cost is %d, at most %d is allowed", cost, maxBcryptCost)
	}
	return func(secret string) (bool, error) {
		// bcrypt cannot distinguish such secrets: it ignores all after 72 bytes,
		// and repeats a secret with a NUL between.
		if len(secret) > maxBcryptSecret || strings.Contains(secret, "\x00") {
			return false, nil
		}
		err := bcrypt.CompareHashAndPassword([]byte(digest), []byte(secret))
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, nil
		}
		return err == nil, err
	}, nil
}

func parseArgon(digest string) (SlowVerifier, error) {
	fields := strings.Split(digest, "$")
	if len(fields) != 6 {
		return nil, errors.New("it is a malformed argon2id string")
	}
	if fields[2] != "v=19" {
		return nil, errors.New("its argon2 version is not 19")
	}
	numbers, err := parameters(fields[3], parameter{"m", 8, maxArgonMemory}, parameter{"t", 1, maxArgonTime}, parameter{"p", 1, maxArgonThreads})
	if err != nil {
		return nil, err
	}
	memory, time, threads := numbers[0], numbers[1], numbers[2]
	if memory < 8*threads {
		return nil, errors.New("its parameter m must be 8 times p or more")
	}
	salt, sum, err := saltAndSum(fields[4], fields[5])
	if err != nil {
		return nil, err
	}
	return func(secret string) (bool, error) {
		got := argon2.IDKey([]byte(secret), salt, time, memory, uint8(threads), uint32(len(sum))) //nolint:gosec // bounded above
		return subtle.ConstantTimeCompare(got, sum) == 1, nil
	}, nil
}

// parsePBKDF2 parses the form that Ory's programs write:
// $pbkdf2-sha256$i=25000,l=32$salt$hash, in unpadded base64.
func parsePBKDF2(digest string) (SlowVerifier, error) {
	fields := strings.Split(digest, "$")
	if len(fields) != 5 {
		return nil, errors.New("it is a malformed PBKDF2 string")
	}
	newHash := sha256.New
	if strings.HasPrefix(digest, pbkdf2SHA512) {
		newHash = sha512.New
	}
	numbers, err := parameters(fields[2], parameter{"i", minPBKDF2Iterations, maxPBKDF2Iterations}, parameter{"l", minSum, maxPart})
	if err != nil {
		return nil, err
	}
	salt, sum, err := saltAndSum(fields[3], fields[4])
	if err != nil {
		return nil, err
	}
	if len(sum) != int(numbers[1]) {
		return nil, errors.New("its hash must have as many bytes as its parameter l says")
	}
	return func(secret string) (bool, error) {
		got, err := pbkdf2.Key(newHash, secret, salt, int(numbers[0]), len(sum))
		if err != nil {
			return false, fmt.Errorf("PBKDF2: %w", err)
		}
		return subtle.ConstantTimeCompare(got, sum) == 1, nil
	}, nil
}

// parameter is a number in a digest and its bounds.
type parameter struct {
	name     string
	min, max uint32
}

// parameters parses numbers such as "m=64,t=1,p=1".
func parameters(text string, wanted ...parameter) ([]uint32, error) {
	parts := strings.Split(text, ",")
	if len(parts) != len(wanted) {
		return nil, fmt.Errorf("it has %d parameters, not %d", len(parts), len(wanted))
	}
	numbers := make([]uint32, len(wanted))
	for i, p := range wanted {
		digits, named := strings.CutPrefix(parts[i], p.name+"=")
		n, err := strconv.ParseUint(digits, 10, 32)
		tooLarge := errors.Is(err, strconv.ErrRange)
		if !named || err != nil && !tooLarge || err == nil && digits != strconv.FormatUint(n, 10) {
			return nil, fmt.Errorf("its parameter %s is malformed", p.name)
		}
		if tooLarge || n < uint64(p.min) || n > uint64(p.max) {
			return nil, fmt.Errorf("its parameter %s must be from %d to %d", p.name, p.min, p.max)
		}
		numbers[i] = uint32(n)
	}
	return numbers, nil
}

func saltAndSum(salt, sum string) ([]byte, []byte, error) {
	rawSalt, ok := decode(salt, minSalt)
	if !ok {
		return nil, nil, fmt.Errorf("its salt must be %d to %d bytes in base64", minSalt, maxPart)
	}
	rawSum, ok := decode(sum, minSum)
	if !ok {
		return nil, nil, fmt.Errorf("its hash must be %d to %d bytes in base64", minSum, maxPart)
	}
	return rawSalt, rawSum, nil
}

func decode(text string, smallest int) ([]byte, bool) {
	raw, err := base64.RawStdEncoding.Strict().DecodeString(text)
	// The decoder ignores line breaks, so the length is checked as well.
	if err != nil || base64.RawStdEncoding.EncodedLen(len(raw)) != len(text) {
		return nil, false
	}
	return raw, len(raw) >= smallest && len(raw) <= maxPart
}

// HashSlow returns an argon2id digest of a secret that may have little entropy.
func HashSlow(random io.Reader, secret string) (string, error) {
	salt, err := read(random, 16)
	if err != nil {
		return "", fmt.Errorf("hash imported secret: %w", err)
	}
	sum := argon2.IDKey([]byte(secret), salt, ownTime, ownMemory, ownThreads, 32)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s",
		ownMemory, ownTime, ownThreads, b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}
