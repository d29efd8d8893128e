package jose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// Bounds of a key set that is read.
const (
	MaxKeySet     = 64 << 10 // bytes
	MaxKeySetKeys = 100
)

// MarshalKeySet writes a JWK Set (RFC 7517) with the public members of each
// key, use "sig", alg and kid. Keys for HS256 are secrets and are left out; an
// empty set is {"keys":[]}. Two keys with one id are an error.
func MarshalKeySet(keys []PublicKey) ([]byte, error) {
	set := struct {
		Keys []jwk.Key `json:"keys"`
	}{Keys: []jwk.Key{}}
	seen := make(map[string]bool, len(keys))
	for _, key := range keys {
		if seen[key.ID] {
			return nil, fmt.Errorf("%w: two keys share the kid %q", ErrKey, key.ID)
		}
		seen[key.ID] = true
		if err := key.Check(); err != nil {
			return nil, fmt.Errorf("key %q: %w", key.ID, err)
		}
		if key.Algorithm == HS256 {
			continue
		}
		k, err := jwk.FromRaw(key.Key)
		if err == nil {
			err = errors.Join(
				k.Set(jwk.KeyIDKey, key.ID),
				k.Set(jwk.AlgorithmKey, jwa.SignatureAlgorithm(key.Algorithm)),
				k.Set(jwk.KeyUsageKey, "sig"))
		}
		if err != nil {
			return nil, fmt.Errorf("%w: key %q: %w", ErrKey, key.ID, err)
		}
		set.Keys = append(set.Keys, k)
	}
	data, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("jose: write key set: %w", err)
	}
	return data, nil
}

var (
	keySetNames = []string{"keys"}
	jwkNames    = []string{"kty", "kid", "use", "key_ops", "alg", "crv", "x", "y", "n", "e", "d", "p", "q", "dp", "dq", "qi", "oth", "k"}
	// privateNames are the members of RFC 7518, section 6, that no published
	// key may have.
	privateNames = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
)

// ParseKeySet reads a JWK Set of at most MaxKeySet bytes and MaxKeySetKeys
// keys. It skips keys that are not meant for it: another type or curve,
// another use than "sig", an unknown algorithm, no kid. It refuses the whole
// set if something is wrong with it: two keys with one kid, a private member,
// a weak RSA key, a point off the curve, an alg that does not fit the key. An
// RSA key without alg is for RS256.
func ParseKeySet(data []byte) ([]PublicKey, error) {
	if len(data) > MaxKeySet {
		return nil, fmt.Errorf("jose: read key set: longer than %d bytes", MaxKeySet)
	}
	set, err := strictjson.Members(data, keySetNames)
	if err != nil {
		return nil, fmt.Errorf("jose: read key set: %w", err)
	}
	list, ok := set.Get("keys")
	if !ok {
		return nil, errors.New("jose: read key set: there is no member \"keys\"")
	}
	elements, err := strictjson.Elements(list)
	if err != nil {
		return nil, fmt.Errorf("jose: read key set: keys: %w", err)
	}
	if len(elements) > MaxKeySetKeys {
		return nil, fmt.Errorf("jose: read key set: more than %d keys", MaxKeySetKeys)
	}
	keys := make([]PublicKey, 0, len(elements))
	seen := make(map[string]bool, len(elements))
	for i, element := range elements {
		key, use, err := parseJWK(element)
		if err == nil && key.ID != "" && seen[key.ID] {
			err = fmt.Errorf("%w: its kid appears twice", ErrKey)
		}
		if err != nil {
			return nil, fmt.Errorf("jose: read key set: key %d: %w", i, err)
		}
		seen[key.ID] = true
		if use {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// parseJWK returns use = false for a key that is to be skipped.
func parseJWK(data []byte) (key PublicKey, use bool, err error) {
	members, err := strictjson.Members(data, jwkNames)
	if err != nil {
		return key, false, err
	}
	for _, name := range privateNames {
		if _, ok := members.Get(name); ok {
			return key, false, fmt.Errorf("%w: it has the private member %q", ErrKey, name)
		}
	}
	text := make(map[string]string, len(members))
	for _, m := range members {
		if m.Name == "key_ops" || !slices.Contains(jwkNames, m.Name) {
			continue
		}
		if text[m.Name], err = strictjson.String(m.Value); err != nil {
			return key, false, fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	key.ID = text["kid"]
	if len(key.ID) > MaxKeyID {
		return key, false, fmt.Errorf("%w: its kid is longer than %d bytes", ErrKey, MaxKeyID)
	}
	verifies, err := forVerifying(members)
	if err != nil {
		return key, false, err
	}
	alg, hasAlg := text["alg"]
	if !verifies || key.ID == "" || hasAlg && !Algorithm(alg).Known() {
		return key, false, nil
	}
	switch kind := text["kty"]; {
	case kind == "EC" && text["crv"] == "P-256":
		key.Key, err = parseEC(text["x"], text["y"])
	case kind == "OKP" && text["crv"] == "Ed25519":
		var x []byte
		x, err = fixed(text["x"], ed25519.PublicKeySize)
		key.Key = ed25519.PublicKey(x)
	case kind == "RSA":
		key.Key, err = parseRSA(text["n"], text["e"])
	default:
		return key, false, nil
	}
	if err != nil {
		return key, false, err
	}
	if key.Algorithm = Algorithm(alg); !hasAlg {
		if key.Algorithm, err = DefaultAlgorithm(key.Key); err != nil {
			return key, false, err
		}
	}
	return key, true, key.Check()
}

// forVerifying reads use and key_ops (RFC 7517, sections 4.2 and 4.3).
func forVerifying(members strictjson.Object) (bool, error) {
	if use, ok := members.Get("use"); ok && string(use) != `"sig"` {
		return false, nil
	}
	ops, ok := members.Get("key_ops")
	if !ok {
		return true, nil
	}
	elements, err := strictjson.Elements(ops)
	if err != nil {
		return false, fmt.Errorf("key_ops: %w", err)
	}
	return slices.ContainsFunc(elements, func(op json.RawMessage) bool { return string(op) == `"verify"` }), nil
}

func parseEC(x, y string) (*ecdsa.PublicKey, error) {
	xBytes, err := fixed(x, 32)
	if err != nil {
		return nil, err
	}
	yBytes, err := fixed(y, 32)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, xBytes, yBytes))
	if err != nil {
		return nil, fmt.Errorf("%w: the point is not on the curve", ErrKey)
	}
	return key, nil
}

func parseRSA(n, e string) (*rsa.PublicKey, error) {
	modulus, err := decodeStrict(n)
	if err != nil {
		return nil, err
	}
	exponent, err := decodeStrict(e)
	if err != nil {
		return nil, err
	}
	exponent = bytes.TrimLeft(exponent, "\x00")
	if len(exponent) > 4 {
		return nil, fmt.Errorf("%w: the RSA exponent is too large", ErrKey)
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus)}
	for _, b := range exponent {
		key.E = key.E<<8 | int(b)
	}
	return key, nil
}

func fixed(text string, size int) ([]byte, error) {
	data, err := decodeStrict(text)
	if err == nil && len(data) != size {
		err = fmt.Errorf("%w: a coordinate has %d bytes, not %d", ErrKey, len(data), size)
	}
	return data, err
}

// decodeStrict is decode for text whose alphabet has not been checked.
func decodeStrict(text string) ([]byte, error) {
	for i := range len(text) {
		if !base64URLByte(text[i]) {
			return nil, fmt.Errorf("%w: a member is not base64url", ErrKey)
		}
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: a member is not base64url", ErrKey)
	}
	return data, nil
}
