package jose_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// foreign signs claims with a header of its own, in another implementation.
func foreign(t testing.TB, key any, method jwt.SigningMethod, header map[string]any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	delete(token.Header, "typ")
	maps.Copy(token.Header, header)
	text, err := token.SignedString(key)
	require.NoError(t, err)
	return text
}

func TestParseAssertion(t *testing.T) {
	key := ecKey(t)
	public := jose.PublicKey{ID: "k1", Algorithm: jose.ES256, Key: &key.PublicKey}
	claims := jwt.MapClaims{"iss": "bot", "sub": "robot", "aud": "https://a.example", "exp": 2000000000}
	thumb := strings.Repeat("A", 43)
	for _, tc := range []struct {
		name   string
		header map[string]any
	}{
		{"no kid and no typ", nil},
		{"kid and typ", map[string]any{"kid": "k1", "typ": "JWT"}},
		{"the type of the draft", map[string]any{"kid": "k1", "typ": "client-authentication+jwt"}},
		{"any other type is for the caller", map[string]any{"typ": "x"}},
		{"x5t, as GitHub's and Azure's", map[string]any{"kid": "k1", "x5t": thumb[:27], "x5t#S256": thumb, "typ": "JWT"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, err := jose.ParseAssertion(foreign(t, key, jwt.SigningMethodES256, tc.header, claims))
			require.NoError(t, err)
			issuer, subject := u.UnverifiedParties()
			require.Equal(t, "bot robot", issuer+" "+subject)
			verified, err := u.Verify(public)
			require.NoError(t, err)
			a, err := jose.ReadAssertion(verified)
			require.NoError(t, err)
			require.Equal(t, "bot robot", a.Issuer+" "+a.Subject)
		})
	}
	const canary = "c4n4ry"
	whole := foreign(t, key, jwt.SigningMethodES256, nil, claims)
	for _, tc := range []struct {
		name, token string
	}{
		{"an access token", foreign(t, key, jwt.SigningMethodES256, map[string]any{"typ": "at+jwt"}, claims)},
		{"an access token, spelled differently", foreign(t, key, jwt.SigningMethodES256, map[string]any{"typ": "application/AT+JWT"}, claims)},
		{"alg none", foreign(t, jwt.UnsafeAllowNoneSignatureType, jwt.SigningMethodNone, nil, claims)},
		{"alg unknown", foreign(t, []byte(canary), jwt.SigningMethodHS512, nil, claims)},
		{"its own key", foreign(t, key, jwt.SigningMethodES256, map[string]any{"jwk": map[string]any{"kty": canary}}, claims)},
		{"the URL of a key", foreign(t, key, jwt.SigningMethodES256, map[string]any{"jku": "https://" + canary}, claims)},
		{"a certificate", foreign(t, key, jwt.SigningMethodES256, map[string]any{"x5c": []string{canary}}, claims)},
		{"a critical extension", foreign(t, key, jwt.SigningMethodES256, map[string]any{"crit": []string{canary}}, claims)},
		{"a kid that is too long", foreign(t, key, jwt.SigningMethodES256, map[string]any{"kid": strings.Repeat("k", 256)}, claims)},
		{"a header that is too long", foreign(t, key, jwt.SigningMethodES256, map[string]any{canary: strings.Repeat("k", 1024)}, claims)},
		{"a header with a member twice", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","`+canary+`":1,"`+canary+`":2}`)) + ".e30.AA"},
		{"five parts", whole + ".a.b"},
		{"two parts", whole[:strings.LastIndex(whole, ".")]},
		{"too long", strings.Repeat("a", jose.MaxToken+1)},
		{"padded", "e30=." + strings.SplitN(whole, ".", 2)[1]},
	} {
		t.Run("refused: "+tc.name, func(t *testing.T) {
			_, err := jose.ParseAssertion(tc.token)
			require.ErrorIs(t, err, jose.ErrToken)
			require.NotContains(t, err.Error(), canary)
		})
	}
	t.Run("only an assertion may have no kid, and a wrong kid fits no key", func(t *testing.T) {
		_, err := jose.Parse(foreign(t, key, jwt.SigningMethodES256, map[string]any{"typ": "at+jwt"}, claims))
		require.ErrorIs(t, err, jose.ErrToken)
		u, err := jose.ParseAssertion(foreign(t, key, jwt.SigningMethodES256, map[string]any{"kid": "k2"}, claims))
		require.NoError(t, err)
		_, err = u.Verify(public)
		require.ErrorIs(t, err, jose.ErrSignature)
	})
	t.Run("claims that are no base64", func(t *testing.T) {
		_, err := jose.ParseAssertion(strings.Split(whole, ".")[0] + ".*.AA")
		require.ErrorIs(t, err, jose.ErrToken)
	})
}

func TestReadAssertion(t *testing.T) {
	const canary = "c4n4ry"
	for _, tc := range []struct {
		name, claims string
		want         jose.Assertion
	}{
		{"all", `{"iss":"i","sub":"s","aud":"a","exp":20,"iat":10,"nbf":11,"jti":"j","x":[1]}`,
			jose.Assertion{Issuer: "i", Subject: "s", Audience: []string{"a"}, Expires: 20, IssuedAt: 10, NotBefore: 11, TokenID: "j"}},
		{"the least", `{"iss":"i","sub":"s","aud":"a","exp":20}`, jose.Assertion{Issuer: "i", Subject: "s", Audience: []string{"a"}, Expires: 20}},
		{"an array, also of one", `{"iss":"i","sub":"s","aud":["a"],"exp":20}`,
			jose.Assertion{Issuer: "i", Subject: "s", Audience: []string{"a"}, AudienceIsArray: true, Expires: 20}},
		{"fractions make it shorter", `{"iss":"i","sub":"s","aud":"a","exp":20.9,"iat":10.1,"nbf":11.1}`,
			jose.Assertion{Issuer: "i", Subject: "s", Audience: []string{"a"}, Expires: 20, IssuedAt: 11, NotBefore: 12}},
		{"issued in 1970 is not the same as no iat", `{"iss":"i","sub":"s","aud":"a","exp":20,"iat":0}`,
			jose.Assertion{Issuer: "i", Subject: "s", Audience: []string{"a"}, Expires: 20, IssuedAt: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := jose.ReadAssertion([]byte(tc.claims))
			require.NoError(t, err)
			require.NotEmpty(t, a.All)
			require.Equal(t, tc.claims, string(a.Raw))
			a.All, a.Raw = nil, nil
			require.Equal(t, tc.want, a)
		})
	}
	for name, claims := range map[string]string{
		"no iss": `{"sub":"s","aud":"a","exp":20}`, "no sub": `{"iss":"i","aud":"a","exp":20}`,
		"no aud": `{"iss":"i","sub":"s","exp":20}`, "no exp": `{"iss":"i","sub":"s","aud":"a"}`,
		"empty iss": `{"iss":"","sub":"s","aud":"a","exp":20}`, "empty sub": `{"iss":"i","sub":"","aud":"a","exp":20}`,
		"empty aud": `{"iss":"i","sub":"s","aud":"","exp":20}`, "empty array": `{"iss":"i","sub":"s","aud":[],"exp":20}`, "an array of an empty text": `{"iss":"i","sub":"s","aud":[""],"exp":20}`,
		"exp 0": `{"iss":"i","sub":"s","aud":"a","exp":0}`, "exp as a text": `{"iss":"i","sub":"s","aud":"a","exp":"20"}`,
		"exp too large": `{"iss":"i","sub":"s","aud":"a","exp":1e400}`, "exp negative": `{"iss":"i","sub":"s","aud":"a","exp":-1}`,
		"iat as a text": `{"iss":"i","sub":"s","aud":"a","exp":20,"iat":"1"}`, "nbf null": `{"iss":"i","sub":"s","aud":"a","exp":20,"nbf":null}`,
		"jti as a number": `{"iss":"i","sub":"s","aud":"a","exp":20,"jti":7}`, "sub as a number": `{"iss":"i","sub":7,"aud":"a","exp":20}`,
		"twice": `{"iss":"i","sub":"s","sub":"` + canary + `","aud":"a","exp":20}`, "another claim twice": `{"iss":"i","sub":"s","aud":"a","exp":20,"` + canary + `":1,"` + canary + `":2}`,
		"in another case": `{"iss":"i","sub":"s","Sub":"` + canary + `","aud":"a","exp":20}`, "no object": `["` + canary + `"]`, "no JSON": canary, "more after it": `{"iss":"i","sub":"s","aud":"a","exp":20}{}`,
	} {
		t.Run("7523-02 refused: "+name, func(t *testing.T) {
			_, err := jose.ReadAssertion([]byte(claims))
			require.ErrorIs(t, err, jose.ErrToken)
			require.NotContains(t, err.Error(), canary)
		})
	}
}

// rfc7638 is the key of the example in RFC 7638, section 3.1.
const rfc7638 = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"

func TestParsePublicKey(t *testing.T) {
	point, err := ecKey(t).PublicKey.Bytes()
	require.NoError(t, err)
	x, y := base64.RawURLEncoding.EncodeToString(point[1:33]), base64.RawURLEncoding.EncodeToString(point[33:])
	ed := base64.RawURLEncoding.EncodeToString(edKey(t)[32:])
	rsaOf := func(bits uint) string {
		n := new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(1), bits-1), 0, 1)
		return base64.RawURLEncoding.EncodeToString(n.Bytes())
	}
	long := strings.Repeat("k", 255)
	for _, tc := range []struct {
		name, jwk string
		alg       jose.Algorithm
		canonical string
	}{
		{"RFC 7638, section 3.1, and no alg is RS256", `{"kty":"RSA","e":"AQAB","n":"` + rfc7638 + `"}`, jose.RS256,
			`{"alg":"RS256","e":"AQAB","kid":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs","kty":"RSA","n":"` + rfc7638 + `","use":"sig"}`},
		{"PS256", `{"kty":"RSA","e":"AQAB","n":"` + rfc7638 + `","alg":"PS256","kid":"2011-04-29"}`, jose.PS256,
			`{"alg":"PS256","e":"AQAB","kid":"2011-04-29","kty":"RSA","n":"` + rfc7638 + `","use":"sig"}`},
		{"ES256, other members are dropped", ` {"x5c":["a"],"name":"b","key_ops":["verify"],"kty":"EC","crv":"P-256","kid":"` + long + `","y":"` + y + `","x":"` + x + `"}`, jose.ES256,
			`{"alg":"ES256","crv":"P-256","kid":"` + long + `","kty":"EC","use":"sig","x":"` + x + `","y":"` + y + `"}`},
		{"EdDSA", `{"kty":"OKP","crv":"Ed25519","x":"` + ed + `","kid":"é\"<","use":"sig","alg":"EdDSA"}`, jose.EdDSA,
			`{"alg":"EdDSA","crv":"Ed25519","kid":"é\"\u003c","kty":"OKP","use":"sig","x":"` + ed + `"}`},
		{"4096 bits", `{"kty":"RSA","e":"AQAB","n":"` + rsaOf(4096) + `","kid":"k"}`, jose.RS256,
			`{"alg":"RS256","e":"AQAB","kid":"k","kty":"RSA","n":"` + rsaOf(4096) + `","use":"sig"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key, text, err := jose.ParsePublicKey([]byte(tc.jwk))
			require.NoError(t, err)
			require.Equal(t, tc.alg, key.Algorithm)
			require.Equal(t, tc.canonical, string(text))
			again, same, err := jose.ParsePublicKey(text)
			require.NoError(t, err)
			require.True(t, key.Same(again))
			require.Equal(t, string(text), string(same))
		})
	}
	const canary = "c4n4ryc4n4ryc4n4ry"
	ec := `"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + y + `"`
	for name, jwk := range map[string]string{
		"7523-07 2047 bits":                 `{"kty":"RSA","e":"AQAB","n":"` + rsaOf(2047) + `"}`,
		"7523-07 4097 bits":                 `{"kty":"RSA","e":"AQAB","n":"` + rsaOf(4097) + `"}`,
		"7523-07 a point off the curve":     `{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + x + `"}`,
		"P-384":                             `{"kty":"EC","crv":"P-384","x":"` + x + `","y":"` + y + `"}`,
		"secp256k1":                         `{"kty":"EC","crv":"secp256k1","x":"` + x + `","y":"` + y + `"}`,
		"Ed25519 that is too short":         `{"kty":"OKP","crv":"Ed25519","x":"AAAA"}`,
		"an even modulus":                   `{"kty":"RSA","e":"AQAB","n":"` + rfc7638[:len(rfc7638)-2] + `gg"}`,
		"an exponent above 65537":           `{"kty":"RSA","e":"AQAD","n":"` + rfc7638 + `"}`,
		"an exponent of 31 bits":            `{"kty":"RSA","e":"f____w","n":"` + rfc7638 + `"}`,
		"a power of two":                    `{"kty":"RSA","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString(append([]byte{1}, make([]byte, 256)...)) + `"}`,
		"a point of small order":            `{"kty":"OKP","crv":"Ed25519","x":"AQ` + strings.Repeat("A", 41) + `"}`,
		"a large exponent":                  `{"kty":"RSA","e":"AQABAQAB","n":"` + rfc7638 + `"}`,
		"for encryption":                    `{"use":"enc",` + ec + `}`,
		"not to verify":                     `{"key_ops":["sign"],` + ec + `}`,
		"HS256":                             `{"alg":"HS256",` + ec + `}`,
		"alg none":                          `{"alg":"none",` + ec + `}`,
		"alg of another kind of key":        `{"alg":"RS256",` + ec + `}`,
		"a secret":                          `{"kty":"oct","k":"` + canary + `"}`,
		"a secret, without it":              `{"kty":"oct"}`,
		"B11 a private key":                 `{"d":"` + canary + `",` + ec + `}`,
		"B11 a private member of RSA":       `{"kty":"RSA","e":"AQAB","n":"` + rfc7638 + `","qi":"` + canary + `"}`,
		"B11 a private member is null":      `{"d":null,` + ec + `}`,
		"B11 a private member is a list":    `{"oth":["` + canary + `"],` + ec + `}`,
		"B11 a private member, in capitals": `{"D":"` + canary + `",` + ec + `}`,
		"kid of 256 bytes":                  `{"kid":"` + strings.Repeat(canary, 14) + strings.Repeat("k", 4) + `",` + ec + `}`,
		"kid is a number":                   `{"kid":7,` + ec + `}`,
		"a member twice":                    `{"kid":"` + canary + `","kid":"` + canary + `",` + ec + `}`,
		"a member twice, in other cases":    `{"kid":"a","Kid":"` + canary + `",` + ec + `}`,
		"no base64":                         `{"kty":"EC","crv":"P-256","x":"` + canary + `!","y":"` + y + `"}`,
		"a set":                             `{"keys":[{` + ec + `}]}`,
		"a list":                            `[{` + ec + `}]`,
		"no JSON":                           canary,
		"nothing":                           ``,
		"PEM":                               "-----BEGIN PRIVATE KEY-----\n" + canary,
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			key, text, err := jose.ParsePublicKey([]byte(jwk))
			require.ErrorIs(t, err, jose.ErrKey)
			require.NotContains(t, err.Error(), "nil")
			require.Nil(t, key.Key)
			require.Empty(t, text)
			for _, part := range []string{canary, x, y, rfc7638[:20]} {
				require.NotContains(t, err.Error(), part)
			}
		})
	}
}

// FuzzParsePublicKey asserts that what is accepted has a canonical form that gives the same
// key and no private member, and that an error repeats nothing.
func FuzzParsePublicKey(f *testing.F) {
	f.Add(`{"kty":"RSA","e":"AQAB","n":"` + rfc7638 + `"}`)
	f.Add(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}`)
	f.Add(`{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","kid":"1"}`)
	f.Fuzz(func(t *testing.T, text string) {
		key, canonical, err := jose.ParsePublicKey([]byte(text))
		if err != nil {
			var members map[string]any
			if json.Unmarshal([]byte(text), &members) == nil {
				for _, value := range members {
					if s := fmt.Sprint(value); len(s) > 20 && strings.Contains(err.Error(), s) {
						t.Fatalf("the error repeats %q", s)
					}
				}
			}
			return
		}
		again, same, err := jose.ParsePublicKey(canonical)
		if err != nil || string(same) != string(canonical) || !again.Same(key) {
			t.Fatalf("%s became %s: %v", canonical, same, err)
		}
		var members map[string]any
		if err := json.Unmarshal(canonical, &members); err != nil || members["d"] != nil || members["k"] != nil || members["kid"] != key.ID {
			t.Fatalf("%s: %v", canonical, err)
		}
	})
}

// FuzzReadAssertion asserts that all required claims are there, and that what is read says
// the same when it is written again.
func FuzzReadAssertion(f *testing.F) {
	f.Add(`{"iss":"i","sub":"s","aud":"a","exp":20.5,"iat":10,"nbf":11,"jti":"j","x":[1]}`)
	f.Add(`{"iss":"i","sub":"s","aud":["a","b"],"exp":20}`)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := jose.ReadAssertion([]byte(text))
		if err != nil {
			return
		}
		if a.Issuer == "" || a.Subject == "" || len(a.Audience) == 0 || a.Expires <= 0 || len(a.All) < 4 {
			t.Fatalf("%+v", a)
		}
		claims := map[string]any{"iss": a.Issuer, "sub": a.Subject, "aud": a.Audience[0], "exp": a.Expires, "iat": a.IssuedAt, "nbf": a.NotBefore, "jti": a.TokenID}
		if a.AudienceIsArray {
			claims["aud"] = a.Audience
		}
		again, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		b, err := jose.ReadAssertion(again)
		b.IssuedAt = min(b.IssuedAt, max(a.IssuedAt, 1))
		a.All, b.All, a.Raw, b.Raw, a.IssuedAt = nil, nil, nil, nil, max(a.IssuedAt, 1)
		if err != nil || fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("%+v became %+v: %v", a, b, err)
		}
	})
}
