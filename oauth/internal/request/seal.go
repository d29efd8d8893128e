package request

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
)

const sealMAC = 16

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
