package jose_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

func TestKeySetRoundTrip(t *testing.T) {
	var keys []jose.PublicKey
	for _, alg := range algorithms {
		keys = append(keys, newSigner(t, alg, "kid-"+string(alg)).Public())
	}
	data, err := jose.MarshalKeySet(keys)
	require.NoError(t, err)

	t.Run("8414-08 only public members, unique kid, use, alg", func(t *testing.T) {
		var set struct{ Keys []map[string]any }
		require.NoError(t, json.Unmarshal(data, &set))
		require.Len(t, set.Keys, 4, "the HS256 secret is not there")
		for i, key := range set.Keys {
			require.Equal(t, "sig", key["use"])
			require.Equal(t, string(algorithms[i]), key["alg"])
			require.Equal(t, "kid-"+string(algorithms[i]), key["kid"])
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
				require.NotContains(t, key, private)
			}
		}
		require.NotContains(t, string(data), base64.RawURLEncoding.EncodeToString(secret()))
	})
	read, err := jose.ParseKeySet(data)
	require.NoError(t, err)
	require.Len(t, read, 4)
	for i, key := range read {
		require.True(t, key.Same(keys[i]))
		require.False(t, key.Same(keys[(i+1)%4]))
		other := newSigner(t, key.Algorithm, key.ID).Public()
		require.Equal(t, key.Algorithm == jose.RS256 || key.Algorithm == jose.PS256, key.Same(other), "only the shared RSA key is the same")
	}

	empty, err := jose.MarshalKeySet(keys[4:])
	require.NoError(t, err)
	require.JSONEq(t, `{"keys":[]}`, string(empty))
	_, err = jose.MarshalKeySet([]jose.PublicKey{keys[0], {ID: keys[0].ID, Algorithm: jose.EdDSA, Key: keys[3].Key}})
	require.ErrorContains(t, err, "two keys")
	_, err = jose.MarshalKeySet([]jose.PublicKey{{ID: "x", Algorithm: jose.ES256, Key: ecKey(t)}})
	require.ErrorIs(t, err, jose.ErrKey, "a private key is not published")
}

// jwkOf returns the members of a key, for tests to change.
func jwkOf(t *testing.T, key jose.PublicKey) map[string]any {
	t.Helper()
	data, err := jose.MarshalKeySet([]jose.PublicKey{key})
	require.NoError(t, err)
	var set struct{ Keys []map[string]any }
	require.NoError(t, json.Unmarshal(data, &set))
	return set.Keys[0]
}

func TestParseKeySet(t *testing.T) {
	ec := newSigner(t, jose.ES256, "k").Public()
	rs := newSigner(t, jose.RS256, "k").Public()
	ed := newSigner(t, jose.EdDSA, "k").Public()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	p384Bytes, err := p384.PublicKey.Bytes()
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	weak := encode(new(big.Int).SetBit(big.NewInt(1), 1023, 1).Bytes())
	huge := encode(new(big.Int).SetBit(big.NewInt(1), 9000, 1).Bytes())
	even := encode(new(big.Int).SetBit(big.NewInt(0), 2047, 1).Bytes())
	good := jwkOf(t, ec)
	x, err := base64.RawURLEncoding.DecodeString(good["x"].(string))
	require.NoError(t, err)
	y, err := base64.RawURLEncoding.DecodeString(good["y"].(string))
	require.NoError(t, err)
	// trailing sets the last bit, which is not a part of any byte.
	trailing := func(text string) string {
		const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := len(text) - 1
		return text[:last] + string(digits[strings.IndexByte(digits, text[last])|1])
	}
	const (
		accepted = iota
		skipped
		refused
	)
	tests := []struct {
		name   string
		base   jose.PublicKey
		change map[string]any // nil removes
		want   int
	}{
		{"as it is", ec, nil, accepted},
		{"without use", ec, map[string]any{"use": nil}, accepted},
		{"without alg", ec, map[string]any{"alg": nil}, accepted},
		{"RSA without alg", rs, map[string]any{"alg": nil}, accepted},
		{"for verifying", ec, map[string]any{"key_ops": []string{"verify"}}, accepted},
		{"unknown members", ec, map[string]any{"x5c": []string{"MIIB"}, "nbf": 1}, accepted},
		{"use enc", ec, map[string]any{"use": "enc"}, skipped},
		{"for signing", ec, map[string]any{"key_ops": []string{"sign"}}, skipped},
		{"no kid", ec, map[string]any{"kid": nil}, skipped},
		{"unknown alg", rs, map[string]any{"alg": "RSA-OAEP"}, skipped},
		{"alg none", ec, map[string]any{"alg": "none"}, skipped},
		{"unknown type", ec, map[string]any{"kty": "AKP"}, skipped},
		{"P-384", ec, map[string]any{"crv": "P-384", "x": encode(p384Bytes[1:49]), "y": encode(p384Bytes[49:]), "alg": nil}, skipped},
		{"X25519", ed, map[string]any{"crv": "X25519"}, skipped},
		{"oct without secret", ec, map[string]any{"kty": "oct", "alg": "HS256"}, skipped},
		{"private member d", ec, map[string]any{"d": "AA"}, refused},
		{"private member in another case", ec, map[string]any{"D": "AA"}, refused},
		{"private member p", rs, map[string]any{"p": "AA"}, refused},
		{"private member q", rs, map[string]any{"q": "AA"}, refused},
		{"private member dp", rs, map[string]any{"dp": "AA"}, refused},
		{"private member dq", rs, map[string]any{"dq": "AA"}, refused},
		{"private member qi", rs, map[string]any{"qi": "AA"}, refused},
		{"private member oth", rs, map[string]any{"oth": []string{}}, refused},
		{"a published secret", ec, map[string]any{"kty": "oct", "k": "AA", "alg": "HS256"}, refused},
		{"B09 alg of another type", rs, map[string]any{"alg": "ES256"}, refused},
		{"B09 RSA key for HS256", rs, map[string]any{"alg": "HS256"}, refused},
		{"RSA of 1024 bits", rs, map[string]any{"n": weak}, refused},
		{"RSA of 9000 bits", rs, map[string]any{"n": huge}, refused},
		{"RSA with an even modulus", rs, map[string]any{"n": even}, refused},
		{"RSA exponent 1", rs, map[string]any{"e": "AQ"}, refused},
		{"RSA exponent 4", rs, map[string]any{"e": "BA"}, refused},
		{"RSA exponent of five bytes", rs, map[string]any{"e": "AQAAAAE"}, refused},
		{"RSA exponent of 32 bits", rs, map[string]any{"e": "_____w"}, refused},
		{"RSA exponent that overflows to 65537", rs, map[string]any{"e": "AQAAAAAAAQAB"}, refused},
		{"RSA without exponent", rs, map[string]any{"e": nil}, refused},
		{"off the curve", ec, map[string]any{"y": encode(make([]byte, 32))}, refused},
		{"coordinate too short", ec, map[string]any{"x": encode(make([]byte, 31))}, refused},
		{"coordinate with padding", ec, map[string]any{"x": encode(make([]byte, 32)) + "="}, refused},
		{"coordinate with a line break", ec, map[string]any{"x": encode(make([]byte, 32)) + "\n"}, refused},
		{"coordinate as a number", ec, map[string]any{"x": 1}, refused},
		{"good coordinate with padding", ec, map[string]any{"x": good["x"].(string) + "="}, refused},
		{"good coordinate with a line break", ec, map[string]any{"x": good["x"].(string) + "\n"}, refused},
		{"good coordinate with trailing bits", ec, map[string]any{"x": trailing(good["x"].(string))}, refused},
		{"coordinates divided a byte later", ec, map[string]any{"x": encode(append(slices.Clone(x), y[0])), "y": encode(y[1:])}, refused},
		{"coordinates divided a byte earlier", ec, map[string]any{"x": encode(x[:31]), "y": encode(append([]byte{x[31]}, y...))}, refused},
		{"all of both coordinates in one", ec, map[string]any{"x": encode(append(slices.Clone(x), y...)), "y": nil}, refused},
		{"private member that is null", ec, map[string]any{"d": json.RawMessage("null")}, refused},
		{"key_ops of another type", ec, map[string]any{"key_ops": "verify"}, refused},
		{"no coordinate", ec, map[string]any{"y": nil}, refused},
		{"Ed25519 of 31 bytes", ed, map[string]any{"x": encode(make([]byte, 31))}, refused},
		{"kid of 256 bytes", ec, map[string]any{"kid": strings.Repeat("k", 256)}, refused},
		{"kid as a number", ec, map[string]any{"kid": 1}, refused},
		{"B13 member in another case", ec, map[string]any{"Alg": "none"}, refused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			members := jwkOf(t, test.base)
			for name, value := range test.change {
				if members[name] = value; value == nil {
					delete(members, name)
				}
			}
			data, err := json.Marshal(map[string]any{"keys": []any{members}, "more": 1})
			require.NoError(t, err)
			keys, err := jose.ParseKeySet(data)
			if test.want == refused {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Len(t, keys, 1-test.want)
			if test.want == accepted {
				require.True(t, keys[0].Same(test.base))
			}
		})
	}
}

func TestParseKeySetBounds(t *testing.T) {
	one, err := json.Marshal(jwkOf(t, newSigner(t, jose.ES256, "k").Public()))
	require.NoError(t, err)
	numbered := func(n int) []byte {
		var keys []string
		for i := range n {
			keys = append(keys, strings.Replace(string(one), `"kid":"k"`, fmt.Sprintf(`"kid":"k%d"`, i), 1))
		}
		return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`)
	}
	keys, err := jose.ParseKeySet(numbered(jose.MaxKeySetKeys))
	require.NoError(t, err)
	require.Len(t, keys, jose.MaxKeySetKeys)
	for name, data := range map[string][]byte{
		"101 keys":                    numbered(jose.MaxKeySetKeys + 1),
		"64 KiB":                      append(numbered(1), bytes.Repeat([]byte(" "), jose.MaxKeySet)...),
		"B09 duplicate kid":           []byte(`{"keys":[` + string(one) + `,` + string(one) + `]}`),
		"duplicate, skipped":          []byte(`{"keys":[` + string(one) + `,{"kid":"k","kty":"oct"}]}`),
		"no keys":                     []byte(`{}`),
		"keys null":                   []byte(`{"keys":null}`),
		"keys twice":                  []byte(`{"keys":[],"keys":[]}`),
		"Keys":                        []byte(`{"Keys":[]}`),
		"a key that is not an object": []byte(`{"keys":[1]}`),
		"trailing":                    append(numbered(1), '}'),
		"empty":                       nil,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jose.ParseKeySet(data)
			require.Error(t, err)
		})
	}
}

func TestUsableKeys(t *testing.T) {
	first, second := jwkOf(t, newSigner(t, jose.ES256, "k").Public()), jwkOf(t, newSigner(t, jose.EdDSA, "k2").Public())
	again := jwkOf(t, newSigner(t, jose.ES256, "k").Public())
	private := maps.Clone(second)
	private["d"], private["kid"] = "AAAA", "private"
	set := func(keys ...any) []byte {
		data, err := json.Marshal(map[string]any{"keys": keys})
		require.NoError(t, err)
		return data
	}
	keys, err := jose.UsableKeys(set(7, private, map[string]any{"kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB"}, map[string]any{"kty": "oct", "kid": "k2", "k": "AA"}, first, again, second))
	require.NoError(t, err)
	require.Len(t, keys, 2)
	strict, err := jose.ParseKeySet(set(first, second))
	require.NoError(t, err)
	require.True(t, keys[0].Same(strict[0]), "the first of two with the same kid")
	require.True(t, keys[1].Same(strict[1]))
	for name, data := range map[string][]byte{
		"101 keys": set(make([]any, jose.MaxKeySetKeys+1)...),
		"64 KiB":   append(set(first), bytes.Repeat([]byte(" "), jose.MaxKeySet)...),
		"no keys":  []byte(`{}`),
	} {
		_, err := jose.UsableKeys(data)
		require.Error(t, err, name)
	}
}

// FuzzParseKeySet: accepted keys are usable, have unique ids, and stay the same when they
// are written and read again.
func FuzzParseKeySet(f *testing.F) {
	var keys []jose.PublicKey
	for _, alg := range algorithms[:4] {
		keys = append(keys, newSigner(f, alg, string(alg)).Public())
	}
	seed, err := jose.MarshalKeySet(keys)
	require.NoError(f, err)
	f.Add(seed)
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":"","kid":"a"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := jose.ParseKeySet(data)
		if err != nil {
			return
		}
		written, err := jose.MarshalKeySet(first)
		if err != nil {
			t.Fatal(err)
		}
		second, err := jose.ParseKeySet(written)
		if err != nil || len(first) != len(second) {
			t.Fatalf("%d keys, then %d: %v", len(first), len(second), err)
		}
		for i := range first {
			if first[i].Check() != nil || !first[i].Same(second[i]) {
				t.Fatalf("key %q changed", first[i].ID)
			}
		}
	})
}
