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

// SealKey checks and copies the key that Seal uses: key is the host's Config field,
// and things are what it signs, such as cursors. If key is empty, it logs a warning
// and returns a random key.
func SealKey(key []byte, field, things string, log *slog.Logger) ([]byte, error) {
	if len(key) == 0 {
		log.Warn("no key is set: " + things + " are valid in this process only; to share them with other processes, set Config." + field)
		key = make([]byte, minSealKey)
		_, _ = rand.Read(key) // never fails
	}
	if len(key) < minSealKey {
		return nil, fmt.Errorf("Config.%s has %d bytes; it needs at least %d", field, len(key), minSealKey)
	}
	return slices.Clone(key), nil
}

// Seal signs a text together with the texts in bound, such as a caller and a list.
// The text stays readable. Open accepts only what Seal has signed.
func Seal(key, text []byte, bound ...string) string {
	return base64.RawURLEncoding.EncodeToString(append(sum(key, text, bound), text...))
}

// Open returns the text that Seal signed with the same key and the same bound.
func Open(key []byte, sealed string, bound ...string) (text []byte, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(raw) < sealMAC || base64.RawURLEncoding.EncodeToString(raw) != sealed { // the decoder ignores line breaks and spare bits
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

// writeAll writes texts with their lengths, so that different lists are never
// written alike.
func writeAll(to hash.Hash, texts ...string) {
	var length [8]byte
	for _, text := range texts {
		binary.BigEndian.PutUint64(length[:], uint64(len(text)))
		_, _ = to.Write(length[:]) // a hash never fails
		_, _ = to.Write([]byte(text))
	}
}
