package apikey

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// Bounds of an imported PBKDF2 digest (RFC 8018, section 5.2). Fewer
// iterations make it a fast hash; more are work for whoever knows a key id to
// give the server.
const (
	minPBKDF2Iterations = 1_000 // the least that RFC 8018, section 4.2 advises
	maxPBKDF2Iterations = 1_000_000
	minPBKDF2Salt       = 8
	minPBKDF2Sum        = 16
)

// pbkdf2Prefixes begin the digests that parsePBKDF2 reads.
const (
	pbkdf2SHA256 = "$pbkdf2-sha256$"
	pbkdf2SHA512 = "$pbkdf2-sha512$"
)

func isPBKDF2(digest string) bool {
	return strings.HasPrefix(digest, pbkdf2SHA256) || strings.HasPrefix(digest, pbkdf2SHA512)
}

type pbkdf2Digest struct {
	fresh      func() hash.Hash
	iterations int
	salt, sum  []byte
}

// parsePBKDF2 reads the form that Ory's programs write:
// $pbkdf2-sha256$i=25000,l=32$salt$hash, in unpadded base64.
func parsePBKDF2(digest string) (imported, error) {
	fields := strings.Split(digest, "$")
	if len(fields) != 5 {
		return nil, refuseDigest("it is a malformed PBKDF2 string")
	}
	d := pbkdf2Digest{fresh: sha256.New}
	if strings.HasPrefix(digest, pbkdf2SHA512) {
		d.fresh = sha512.New
	}
	params := strings.Split(fields[2], ",")
	if len(params) != 2 {
		return nil, refuseDigest("its PBKDF2 parameters are not i and l")
	}
	var numbers [2]int
	for i, p := range []struct {
		name     string
		min, max int
	}{{"i", minPBKDF2Iterations, maxPBKDF2Iterations}, {"l", minPBKDF2Sum, maxPHCPart}} {
		text, named := strings.CutPrefix(params[i], p.name+"=")
		n, err := strconv.Atoi(text)
		if !named || err != nil && !errors.Is(err, strconv.ErrRange) || err == nil && text != strconv.Itoa(n) {
			return nil, refuseDigest("its PBKDF2 parameter %s is malformed", p.name)
		}
		if err != nil || n < p.min || n > p.max {
			return nil, refuseDigest("its PBKDF2 parameter %s must be from %d to %d", p.name, p.min, p.max)
		}
		numbers[i] = n
	}
	d.iterations = numbers[0]
	var ok bool
	if d.salt, ok = decodePHC(fields[3], minPBKDF2Salt); !ok {
		return nil, refuseDigest("its PBKDF2 salt must be %d to %d bytes in base64", minPBKDF2Salt, maxPHCPart)
	}
	if d.sum, ok = decodePHC(fields[4], minPBKDF2Sum); !ok || len(d.sum) != numbers[1] {
		return nil, refuseDigest("its PBKDF2 hash must be as many bytes in base64 as parameter l says")
	}
	return d, nil
}

func (d pbkdf2Digest) matches(secret string) (bool, error) {
	sum, err := pbkdf2.Key(d.fresh, secret, d.salt, d.iterations, len(d.sum))
	if err != nil {
		return false, fmt.Errorf("PBKDF2: %w", err)
	}
	return subtle.ConstantTimeCompare(sum, d.sum) == 1, nil
}
