package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// Bounds of the input of ParseKeySet.
const (
	MaxKeySet     = 64 << 10 // bytes
	MaxKeySetKeys = 100
)

// MarshalKeySet writes a JWK Set (RFC 7517) with the public members of each key, use
// "sig", alg and kid. Keys for HS256 are left out, because they are secrets. An empty
// set is {"keys":[]}. Two keys with the same id are an error.
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
		k, err := encode(key)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", key.ID, err)
		}
		set.Keys = append(set.Keys, k)
	}
	return json.Marshal(set)
}

// encode returns the JWK of a key, with use "sig", alg and kid.
func encode(key PublicKey) (jwk.Key, error) {
	k, err := jwk.FromRaw(key.Key)
	if err == nil {
		err = errors.Join(
			k.Set(jwk.KeyIDKey, key.ID),
			k.Set(jwk.AlgorithmKey, jwa.SignatureAlgorithm(key.Algorithm)),
			k.Set(jwk.KeyUsageKey, "sig"))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return k, nil
}

// publishedKey holds the members of a JWK that ParseKeySet reads.
type publishedKey struct {
	Kind      string   `json:"kty"`
	ID        string   `json:"kid"`
	Use       *string  `json:"use"`
	KeyOps    []string `json:"key_ops"`
	Algorithm *string  `json:"alg"`
	Curve     string   `json:"crv"`
	X         octets   `json:"x"`
	Y         octets   `json:"y"`
	N         octets   `json:"n"`
	E         octets   `json:"e"`

	// The private members of RFC 7518, section 6. A published key must not have them.
	D   json.RawMessage `json:"d"`
	P   json.RawMessage `json:"p"`
	Q   json.RawMessage `json:"q"`
	DP  json.RawMessage `json:"dp"`
	DQ  json.RawMessage `json:"dq"`
	QI  json.RawMessage `json:"qi"`
	Oth json.RawMessage `json:"oth"`
	K   json.RawMessage `json:"k"`
}

// octets are bytes, which are base64url in JSON.
type octets []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *octets) UnmarshalText(text []byte) (err error) {
	*o, err = decode(string(text))
	return err
}

// ParseKeySet reads a JWK Set of at most MaxKeySet bytes and MaxKeySetKeys keys. It
// skips keys that it does not support: another type or curve, another use than
// "sig", an unknown algorithm, no kid. It refuses the whole set if a key is wrong: two
// keys with the same kid, a private member, a weak RSA key, a point off the curve, an
// alg that does not fit the key. An RSA key without alg is for RS256.
func ParseKeySet(data []byte) ([]PublicKey, error) { return parseKeySet(data, false) }

// UsableKeys is ParseKeySet for the set of another issuer. It also skips keys that are wrong, and of several
// usable keys with the same kid it returns the first. So one wrong key does not make
// the others unusable.
func UsableKeys(data []byte) ([]PublicKey, error) { return parseKeySet(data, true) }

func parseKeySet(data []byte, skipWrong bool) ([]PublicKey, error) {
	if len(data) > MaxKeySet {
		return nil, fmt.Errorf("jose: read key set: longer than %d bytes", MaxKeySet)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := strictjson.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("jose: read key set: %w", err)
	}
	switch {
	case set.Keys == nil:
		return nil, errors.New("jose: read key set: the member \"keys\" is missing")
	case len(set.Keys) > MaxKeySetKeys:
		return nil, fmt.Errorf("jose: read key set: more than %d keys", MaxKeySetKeys)
	}
	keys := make([]PublicKey, 0, len(set.Keys))
	seen := make(map[string]bool, len(set.Keys))
	for i, member := range set.Keys {
		var published publishedKey
		var key PublicKey
		err := strictjson.Unmarshal(member, &published)
		if err == nil {
			key, err = published.read()
		}
		if err == nil && published.ID != "" && seen[published.ID] {
			err = fmt.Errorf("%w: its kid appears twice", ErrKey)
		}
		switch {
		case err != nil && skipWrong:
			continue
		case err != nil:
			return nil, fmt.Errorf("jose: read key set: key %d: %w", i, err)
		}
		seen[published.ID] = key.Key != nil || !skipWrong
		if key.Key != nil {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// read converts a JWK. If it is to be skipped, it returns a PublicKey whose Key is nil.
func (p *publishedKey) read() (PublicKey, error) {
	switch {
	case slices.ContainsFunc([]json.RawMessage{p.D, p.P, p.Q, p.DP, p.DQ, p.QI, p.Oth, p.K}, func(m json.RawMessage) bool { return m != nil }):
		return PublicKey{}, fmt.Errorf("%w: it has a private member", ErrKey)
	case len(p.ID) > MaxKeyID:
		return PublicKey{}, fmt.Errorf("%w: its kid is longer than %d bytes", ErrKey, MaxKeyID)
	// RFC 7517, sections 4.2 and 4.3.
	case p.Use != nil && *p.Use != "sig", p.KeyOps != nil && !slices.Contains(p.KeyOps, "verify"),
		p.ID == "", p.Algorithm != nil && !named(*p.Algorithm).Known():
		return PublicKey{}, nil
	}
	key := PublicKey{ID: p.ID}
	var err error
	switch {
	case p.Kind == "EC" && p.Curve == "P-256":
		// ParseUncompressedPublicKey refuses a point off the curve.
		key.Key, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, p.X, p.Y))
		if err == nil && len(p.X) != len(p.Y) {
			err = errors.New("a coordinate does not have 32 bytes")
		}
	case p.Kind == "OKP" && p.Curve == "Ed25519":
		key.Key = ed25519.PublicKey(p.X)
	case p.Kind == "RSA" && len(p.E) <= 4:
		key.Key = &rsa.PublicKey{N: new(big.Int).SetBytes(p.N), E: int(new(big.Int).SetBytes(p.E).Int64())}
	case p.Kind == "RSA":
		err = errors.New("the RSA exponent is too large")
	default:
		return PublicKey{}, nil
	}
	if err == nil {
		key.Algorithm, err = DefaultAlgorithm(key.Key)
	}
	if err == nil && p.Algorithm != nil {
		key.Algorithm = named(*p.Algorithm)
		err = key.Check()
	}
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return key, nil
}
