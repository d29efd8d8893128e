package bearer_test

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// hs256 signs with the given bytes as the secret.
func hs256(header, payload string, secret []byte) string {
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

// rsaEncodings returns the encodings in which an attacker may have a public key.
func rsaEncodings(t *testing.T, public *rsa.PublicKey) map[string][]byte {
	t.Helper()
	pkix, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	pkcs1 := x509.MarshalPKCS1PublicKey(public)
	set, err := jose.MarshalKeySet([]jose.PublicKey{{ID: "rsa", Algorithm: jose.RS256, Key: public}})
	require.NoError(t, err)
	var parsed struct{ Keys []json.RawMessage }
	require.NoError(t, json.Unmarshal(set, &parsed))
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})
	return map[string][]byte{
		"PEM":                    text,
		"PEM without line break": bytes.TrimRight(text, "\n"),
		"PKCS#1 PEM":             pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
		"DER":                    pkix,
		"PKCS#1 DER":             pkcs1,
		"modulus":                public.N.Bytes(),
		"JWK":                    parsed.Keys[0],
		"JWKS":                   set,
		"empty":                  {},
	}
}

func TestConfusion(t *testing.T) {
	var hits atomic.Int64
	listener := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer listener.Close()

	w := newWorld(t)
	rsaSigner, err := jose.NewSigner(jose.RS256, "rsa", harness.RSAKey())
	require.NoError(t, err)
	w.keys.put(rsaSigner.Public())
	route := newRoute("GET /{$}", w.verifier().Require("project.list").AnyWorkspace())

	c := claims()
	payload := string(jose.AppendClaims(nil, &c))
	good := w.sign(payload)
	parts := strings.Split(good, ".")
	rsaGood, err := rsaSigner.Sign([]byte(payload))
	require.NoError(t, err)
	for _, token := range []string{good, rsaGood, w.resign(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`, payload)} {
		require.Equal(t, 204, route.get("/", "Bearer "+token).Code, "the tests below start from a good token")
	}

	tests := map[string]string{}
	for _, alg := range []string{`"none"`, `"None"`, `"nOnE"`, `"NONE"`, `""`, `null`, `0`, `["ES256"]`, `"es256"`, `"ES256 "`, `"ES384"`, `"ES256K"`, `"HS512"`, `"RS512"`, `"dir"`} {
		header := `{"alg":` + alg + `,"kid":"k1","typ":"at+jwt"}`
		tests["B09 9068-08 alg "+alg+" without signature"] = b64([]byte(header)) + "." + parts[1] + "."
		tests["B09 9068-08 alg "+alg+" with a signature"] = w.resign(header, payload)
	}
	tests["B09 9068-08 alg absent"] = w.resign(`{"kid":"k1","typ":"at+jwt"}`, payload)
	for name, secret := range rsaEncodings(t, &harness.RSAKey().PublicKey) {
		tests["B09 9068-08 HS256 with the RSA public key as "+name] = hs256(`{"alg":"HS256","kid":"rsa","typ":"at+jwt"}`, payload, secret)
		tests["B09 9068-08 RS256 header, HMAC with the RSA public key as "+name] = hs256(`{"alg":"RS256","kid":"rsa","typ":"at+jwt"}`, payload, secret)
	}
	tests["B09 9068-08 kid of another algorithm"] = w.resign(`{"alg":"ES256","kid":"rsa","typ":"at+jwt"}`, payload)
	tests["B09 9068-08 alg of another kid"] = w.resign(`{"alg":"RS256","kid":"k1","typ":"at+jwt"}`, payload)
	tests["B09 9068-08 PS256 for an RS256 key"] = pss(t, `{"alg":"PS256","kid":"rsa","typ":"at+jwt"}`, payload)

	signed := parts[0] + "." + parts[1]
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	der, err := ecdsa.SignASN1(rand.Reader, w.private, digest(signed))
	require.NoError(t, err)
	n := w.private.Params().N
	tests["B09 ES256 r = s = 0"] = signed + "." + b64(make([]byte, 64))
	tests["B09 ES256 r = 0"] = signed + "." + b64(append(make([]byte, 32), signature[32:]...))
	tests["B09 ES256 s = 0"] = signed + "." + b64(append(append([]byte{}, signature[:32]...), make([]byte, 32)...))
	tests["B09 ES256 r = s = n"] = signed + "." + b64(append(n.Bytes(), n.Bytes()...))
	tests["B09 ES256 in DER"] = signed + "." + b64(der)
	tests["B09 signature truncated"] = signed + "." + b64(signature[:63])
	tests["B09 signature extended"] = signed + "." + b64(append(append([]byte{}, signature...), 0))
	tests["B09 signature twice"] = signed + "." + b64(append(append([]byte{}, signature...), signature...))
	tests["B09 signature empty"] = signed + "."
	tests["B09 RSA signature truncated"] = rsaGood[:len(rsaGood)-4]
	tests["B09 RSA signature extended"] = rsaGood + "AAAA"

	for name, kid := range map[string]string{
		"path": "../../dev/null", "SQL": "' OR 1=1--", "64 KiB": strings.Repeat("k", 64<<10), "256 bytes": strings.Repeat("k", 256),
		"empty": "", "NUL": "k1\\u0000", "URL": listener.URL, "case": "K1", "space": "k1 ",
	} {
		tests["B09 kid "+name] = w.resign(`{"alg":"ES256","kid":"`+kid+`","typ":"at+jwt"}`, payload)
	}
	tests["B09 kid absent"] = w.resign(`{"alg":"ES256","typ":"at+jwt"}`, payload)
	tests["B09 kid number"] = w.resign(`{"alg":"ES256","kid":1,"typ":"at+jwt"}`, payload)

	jwks, err := jose.MarshalKeySet([]jose.PublicKey{w.signer.Public()})
	require.NoError(t, err)
	own := strings.TrimSuffix(strings.TrimPrefix(string(jwks), `{"keys":[`), `]}`)
	for name, member := range map[string]string{
		"jku": `"jku":"` + listener.URL + `"`, "x5u": `"x5u":"` + listener.URL + `"`, "x5c": `"x5c":["MIIB"]`, "jwk": `"jwk":` + own,
		"jku null": `"jku":null`, "JKU": `"JKU":"` + listener.URL + `"`,
		"crit b64=false": `"b64":false,"crit":["b64"]`, "crit unknown": `"crit":["x"],"x":1`, "crit empty": `"crit":[]`, "crit exp": `"crit":["exp"]`,
		"b64=false without crit": `"b64":false`, "b64=true": `"b64":true`, "zip": `"zip":"DEF"`, "enc": `"enc":"A256GCM"`,
		"alg twice": `"alg":"ES256"`, "alg twice, escaped": `"\u0061lg":"none"`, "Alg": `"Alg":"none"`, "kid twice": `"kid":"k1"`,
		"NUL in a name": `"alg\u0000":"none"`,
	} {
		tests["B09 9068-08 B13 header "+name] = w.resign(`{"alg":"ES256","kid":"k1","typ":"at+jwt",`+member+`}`, payload)
	}

	var bomb bytes.Buffer
	deflate, err := flate.NewWriter(&bomb, flate.BestCompression)
	require.NoError(t, err)
	_, _ = deflate.Write(make([]byte, 1<<20))
	require.NoError(t, deflate.Close())
	tests["B09 6750-10 JWE in five parts with a zip bomb"] = strings.Join([]string{
		b64([]byte(`{"alg":"dir","enc":"A256GCM","zip":"DEF","typ":"at+jwt"}`)), "", b64(make([]byte, 12)), b64(bomb.Bytes()), b64(make([]byte, 16))}, ".")
	tests["B09 6750-10 a million dots"] = strings.Repeat(".", 1_000_000)
	tests["B09 8,192 dots"] = strings.Repeat(".", 8192)
	tests["B09 two dots"] = ".."

	for i, name := range []string{"header", "claims", "signature"} {
		with := func(part string) string {
			changed := append([]string{}, parts...)
			changed[i] = part
			return strings.Join(changed, ".")
		}
		tests["B09 padding in the "+name] = with(parts[i] + "=")
		tests["B09 double padding in the "+name] = with(parts[i] + "==")
		tests["B09 standard alphabet in the "+name] = with("+/" + parts[i][2:])
		tests["B09 empty "+name] = with("")
		tests["B09 one character more in the "+name] = with(parts[i] + "A")
	}
	// The last character of a 64-byte signature has four unused bits.
	last := strings.IndexByte(alphabet, parts[2][85])
	tests["B09 non-canonical trailing bits"] = signed + "." + parts[2][:85] + string(alphabet[last^1])

	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			route.ran = 0
			answer := route.get("/", "Bearer "+token)
			require.Equal(t, 401, answer.Code, answer.Body.String())
			require.Contains(t, answer.Header().Get("WWW-Authenticate"), `error="invalid_token"`)
			require.Zero(t, route.ran)
		})
	}

	// These are not b64tokens, so the header is malformed.
	flat, err := json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
	require.NoError(t, err)
	for name, token := range map[string]string{
		"B09 JSON-serialised JWS":           string(flat),
		"B09 b64=false with a bare payload": parts[0] + "." + payload + "." + parts[2],
		"B09 line break":                    parts[0] + "\n." + parts[1] + "." + parts[2],
		"B09 carriage return":               parts[0] + "." + parts[1] + "\r." + parts[2],
		"B09 line break at end":             good + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			answer := route.get("/", "Bearer "+token)
			require.Equal(t, 400, answer.Code)
			_, err := w.verifier().Verify(t.Context(), token)
			require.ErrorIs(t, err, bearer.ErrInvalid)
		})
	}
	require.Zero(t, hits.Load(), "a token made the verifier fetch something")
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func digest(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func pss(t *testing.T, header, payload string) string {
	t.Helper()
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	signature, err := rsa.SignPSS(rand.Reader, harness.RSAKey(), crypto.SHA256, digest(signed), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	require.NoError(t, err)
	return signed + "." + b64(signature)
}

func TestStaticKeysRefuses(t *testing.T) {
	w := newWorld(t)
	set, err := jose.MarshalKeySet([]jose.PublicKey{w.signer.Public()})
	require.NoError(t, err)
	keys, err := bearer.StaticKeys(set)
	require.NoError(t, err)
	w.config.Keys = keys
	_, err = w.verifier().Verify(t.Context(), w.token())
	require.NoError(t, err)
	_, err = keys.Key(t.Context(), "other")
	require.ErrorIs(t, err, bearer.ErrUnknownKey)

	one := strings.TrimSuffix(strings.TrimPrefix(string(set), `{"keys":[`), `]}`)
	for name, set := range map[string]string{
		"B09 duplicate kid": `{"keys":[` + one + `,` + one + `]}`,
		"no usable key":     `{"keys":[]}`,
		"not JSON":          `nonsense`,
		"private member":    `{"keys":[` + strings.TrimSuffix(one, "}") + `,"d":"AA"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bearer.StaticKeys([]byte(set))
			require.Error(t, err)
		})
	}
}

// A host's own key set may hold keys that StaticKeys would refuse.
func TestKeySetsAreNotTrustedBlindly(t *testing.T) {
	w := newWorld(t)
	var key bearer.PublicKey
	w.config.Keys = bearer.KeySetFunc(func(_ context.Context, _ string) (bearer.PublicKey, error) { return key, nil })
	v := w.verifier()
	weak := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	for name, k := range map[string]bearer.PublicKey{
		"RSA of 1024 bits":                   {ID: "k1", Algorithm: "RS256", Key: weak},
		"RSA key as HMAC secret":             {ID: "k1", Algorithm: "HS256", Key: &harness.RSAKey().PublicKey},
		"short secret":                       {ID: "k1", Algorithm: "HS256", Key: []byte("short")},
		"none":                               {ID: "k1", Algorithm: "none"},
		"private key":                        {ID: "k1", Algorithm: "ES256", Key: w.private},
		"nil":                                {ID: "k1", Algorithm: "ES256", Key: (*ecdsa.PublicKey)(nil)},
		"empty":                              {ID: "k1", Algorithm: "ES256", Key: &ecdsa.PublicKey{}},
		"a point that is not on the curve":   {ID: "k1", Algorithm: "ES256", Key: &ecdsa.PublicKey{Curve: w.private.Curve, X: big.NewInt(1), Y: big.NewInt(1)}}, //nolint:staticcheck // the point of the test
		"a curve that is not P-256 (no key)": {ID: "k1", Algorithm: "ES256", Key: 7},
	} {
		t.Run(name, func(t *testing.T) {
			key = k
			_, err := v.Verify(t.Context(), w.token())
			require.ErrorIs(t, err, bearer.ErrUnavailable)
		})
	}
}
