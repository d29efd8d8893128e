package secrets

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
)

// ID derives a secret's id from its plaintext, so that a login knows which of a
// key's secrets it was given before it hashes, and hashes once.
//
// The id stands in tokens and lists: 72 bits of a fast hash. That tells
// nothing about 256 random bits, but would let anyone try guesses at a weaker
// secret. Secrets that Latchkey did not generate get a RandomID instead.
func ID(secret string) string {
	message := append(make([]byte, 0, 128), "latchkey secret id\x00"...)
	sum := sha256.Sum256(append(message, secret...))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

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

// read reads random bytes.
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
	return nil, errors.New("reading random bytes: the source gave only zeros")
}
