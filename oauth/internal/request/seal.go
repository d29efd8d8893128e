package request

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"log/slog"
	"slices"
)

const (
	sealMAC    = 16
	minSealKey = 32
)

// SealKey is a copy of a key of the host's that Seal signs by: the field of its Config,
// which signs some things. Without one it is random, of which the log is told.
func SealKey(key []byte, field, things string, log *slog.Logger) ([]byte, error) {
	if len(key) == 0 {
		log.Warn("no key is set: " + things + " are good in this process only; set Config." + field)
		key = make([]byte, minSealKey)
		_, _ = rand.Read(key) // never fails
	}
	if len(key) < minSealKey {
		return nil, fmt.Errorf("Config.%s has %d bytes; it needs at least %d", field, len(key), minSealKey)
	}
	return slices.Clone(key), nil
}

// Seal signs a text for what it is bound to, such as a caller and a list. The text
// can be read, but only Seal makes one that Open opens.
func Seal(key, text []byte, bound ...string) string {
	return base64.RawURLEncoding.EncodeToString(append(sum(key, text, bound), text...))
}

// Open returns a text that Seal signed with this key for the same.
func Open(key []byte, sealed string, bound ...string) (text []byte, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(raw) < sealMAC || base64.RawURLEncoding.EncodeToString(raw) != sealed { // it passes over line breaks and spare bits
		return nil, false
	}
	text = raw[sealMAC:]
	return text, hmac.Equal(raw[:sealMAC], sum(key, text, bound))
}

func sum(key, text []byte, bound []string) []byte {
	mac := hmac.New(sha256.New, key)
	writeAll(mac, bound...)
	writeAll(mac, string(text))
	return mac.Sum(nil)[:sealMAC]
}

// Digest returns the SHA-256 of texts, in hexadecimal digits.
func Digest(texts ...string) string {
	digest := sha256.New()
	writeAll(digest, texts...)
	return hex.EncodeToString(digest.Sum(nil))
}

// writeAll writes texts so that no two lists of texts are written alike.
func writeAll(to hash.Hash, texts ...string) {
	var length [8]byte
	for _, text := range texts {
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		_, _ = to.Write(length[:]) // a hash takes everything
		_, _ = to.Write([]byte(text))
	}
}
