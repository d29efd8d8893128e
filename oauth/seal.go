package oauth

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/latchkey-go/latchkey/store"
)

// SealKey encrypts the private signing keys that the store keeps, so that a
// copy of the store alone signs nothing. The highest version of a list seals;
// the others still open, and what they sealed is sealed anew when the server
// starts and at each step of Run. Remove one once every replica has started
// with the new one.
//
// Printed, logged or marshalled it shows its version only.
type SealKey struct {
	// Version names the key in what it sealed: 1 or more, unique in a list,
	// never given to another key.
	Version int
	// Key is 32 random bytes (AES-256). It is copied.
	Key []byte
}

// String returns the redacted form, such as "seal key 3".
func (k SealKey) String() string { return "seal key " + strconv.Itoa(k.Version) }

// GoString returns the redacted form.
func (k SealKey) GoString() string { return "oauth.SealKey(" + strconv.Quote(k.String()) + ")" }

// Format writes the redacted form, whatever the verb.
func (k SealKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) } //nolint:errcheck // Printf is told by f

// MarshalText returns the redacted form.
func (k SealKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// LogValue returns the redacted form.
func (k SealKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

const (
	sealKeySize = 32
	// sealDomain keeps what is sealed here apart from any other use of a key.
	sealDomain = "latchkey signing key"
)

// sealer seals and opens private keys with AES-256-GCM. It never changes.
type sealer struct {
	issuer string
	newest int
	aeads  map[int]cipher.AEAD
}

// newSealer checks the keys. All problems are joined, each naming its field.
func newSealer(issuer string, keys []SealKey) (*sealer, error) {
	s := &sealer{issuer: issuer, aeads: make(map[int]cipher.AEAD, len(keys))}
	var problems []error
	for i, key := range keys {
		if err := s.add(key); err != nil {
			problems = append(problems, fmt.Errorf("Config.SealKeys[%d].%w", i, err))
		}
	}
	return s, errors.Join(problems...)
}

func (s *sealer) add(key SealKey) error {
	switch {
	case key.Version < 1:
		return fmt.Errorf("Version: %d, must be 1 or more", key.Version)
	case s.aeads[key.Version] != nil:
		return fmt.Errorf("Version: %d is there twice", key.Version)
	case len(key.Key) != sealKeySize:
		return fmt.Errorf("Key: %d bytes, %d are needed", len(key.Key), sealKeySize)
	case bytes.Equal(key.Key, make([]byte, sealKeySize)):
		return errors.New("Key: all bytes are zero")
	}
	block, err := aes.NewCipher(key.Key)
	if err != nil {
		return fmt.Errorf("Key: %w", err)
	}
	// A random nonce of 96 bits is safe for 2^32 uses; a ring makes one for
	// each key and each change of the seal key.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return fmt.Errorf("Key: %w", err)
	}
	s.aeads[key.Version] = aead
	s.newest = max(s.newest, key.Version)
	return nil
}

// seal puts the private key, as PKCS #8, into the record.
func (s *sealer) seal(record *store.SigningKey, private []byte) {
	record.SealKey = s.newest
	record.Sealed = s.aeads[s.newest].Seal(nil, nil, private, s.bound(record)) //nolint:gosec // this AEAD draws its nonce
}

// open returns the private key of the record as PKCS #8.
func (s *sealer) open(record *store.SigningKey) ([]byte, error) {
	aead := s.aeads[record.SealKey]
	if aead == nil {
		return nil, fmt.Errorf("Config.SealKeys has no version %d, which sealed the signing key %.64q", record.SealKey, record.ID)
	}
	private, err := aead.Open(nil, nil, record.Sealed, s.bound(record))
	if err != nil {
		return nil, fmt.Errorf("Config.SealKeys: version %d does not open the signing key %.64q: it is not the key that sealed it, or the record was changed, or made for another issuer than %q",
			record.SealKey, record.ID, s.issuer)
	}
	return private, nil
}

// bound is what a sealed key belongs to: it opens under no other kid,
// algorithm or issuer. Lengths keep the parts apart.
func (s *sealer) bound(record *store.SigningKey) []byte {
	var data []byte
	for _, part := range []string{sealDomain, record.ID, record.Algorithm, s.issuer} {
		data = binary.BigEndian.AppendUint32(data, uint32(len(part))) //nolint:gosec // a record is no 4 GiB
		data = append(data, part...)
	}
	return data
}
