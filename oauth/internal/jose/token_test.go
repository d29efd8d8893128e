package jose_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

func TestParse(t *testing.T) {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	const good = `"alg":"ES256","kid":"k","typ":"at+jwt"`
	with := func(header string) string { return encode("{"+header+"}") + ".e30." }
	for name, token := range map[string]string{
		"good":                    with(good),
		"unknown member":          with(good + `,"x":1`),
		"x5t and cty are ignored": with(good + `,"x5t":"a","x5t#S256":"b","cty":"JWT"`),
		"kid of 255 bytes":        with(`"alg":"ES256","typ":"at+jwt","kid":"` + strings.Repeat("k", 255) + `"`),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jose.Parse(token)
			require.NoError(t, err)
		})
	}
	for name, token := range map[string]string{
		"6750-10 8 KiB and one byte":     with(good) + strings.Repeat("A", jose.MaxToken),
		"6750-10 five parts":             with(good) + "..",
		"6750-10 a million dots":         strings.Repeat(".", 1_000_000),
		"6750-10 two parts":              "e30.e30",
		"empty":                          "",
		"B09 line break":                 with(good)[:10] + "\n" + with(good)[10:],
		"B09 padding":                    encode(`{`+good+`} `) + "=.e30.",
		"B09 trailing bits":              "e31.e30.",
		"a header of 1,025 bytes":        with(good + `,"x":"` + strings.Repeat("x", 1025) + `"`),
		"B13 duplicate":                  with(good + `,"alg":"ES256"`),
		"B13 case variant":               with(good + `,"ALG":"ES256"`),
		"9068-06 typ JWT":                with(`"alg":"ES256","kid":"k","typ":"JWT"`),
		"9068-08 none":                   with(`"alg":"none","kid":"k","typ":"at+jwt"`),
		"B09 kid of 256 bytes":           with(`"alg":"ES256","typ":"at+jwt","kid":"` + strings.Repeat("k", 256) + `"`),
		"B09 kid absent":                 with(`"alg":"ES256","typ":"at+jwt"`),
		"B09 kid empty":                  with(`"alg":"ES256","typ":"at+jwt","kid":""`),
		"B09 crit":                       with(good + `,"crit":["b64"]`),
		"B09 b64":                        with(good + `,"b64":false`),
		"B09 jku":                        with(good + `,"jku":"https://evil.example.com"`),
		"B09 jwk":                        with(good + `,"jwk":{}`),
		"B09 x5u":                        with(good + `,"x5u":"https://evil.example.com"`),
		"B09 x5c":                        with(good + `,"x5c":[]`),
		"B09 zip":                        with(good + `,"zip":"DEF"`),
		"B09 enc":                        with(good + `,"enc":"A128GCM"`),
		"B09 a header that is no object": encode(`"x"`) + ".e30.",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jose.Parse(token)
			require.ErrorIs(t, err, jose.ErrToken)
			require.Less(t, len(err.Error()), 300)
		})
	}
}

// Length and dots are checked before anything is decoded or allocated.
func TestParseRefusesCheaply(t *testing.T) {
	for name, token := range map[string]string{
		"6750-10 long": strings.Repeat("A", 1<<20), "6750-10 dots": strings.Repeat(".", 8<<10), "6750-10 JWE": strings.Repeat("A.", 5),
	} {
		t.Run(name, func(t *testing.T) {
			require.LessOrEqual(t, testing.AllocsPerRun(10, func() { _, _ = jose.Parse(token) }), 4.0, "the error only")
		})
	}
}

func TestVerifyNeedsTheRightKey(t *testing.T) {
	signer := newSigner(t, jose.ES256, "k")
	token, err := signer.Sign([]byte(`{}`))
	require.NoError(t, err)
	parsed, err := jose.Parse(token)
	require.NoError(t, err)
	public := signer.Public()
	public.ID = "other"
	_, err = parsed.Verify(public)
	require.ErrorIs(t, err, jose.ErrSignature)
	_, err = parsed.Verify(jose.PublicKey{ID: "k", Algorithm: jose.HS256, Key: secret()})
	require.ErrorIs(t, err, jose.ErrSignature)
	_, err = parsed.Verify(jose.PublicKey{})
	require.ErrorIs(t, err, jose.ErrKey)
}

// FuzzParse: an accepted token has a known algorithm and a kid of bounded length, and only
// the key's own signature verifies it.
func FuzzParse(f *testing.F) {
	signer := newSigner(f, jose.HS256, "k")
	good, err := signer.Sign([]byte(`{"iss":"x"}`))
	require.NoError(f, err)
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("a.b.c.d.e")
	f.Fuzz(func(t *testing.T, token string) {
		parsed, err := jose.Parse(token)
		if (parsed == nil) == (err == nil) {
			t.Fatal("neither a token nor an error, or both")
		}
		if err != nil {
			return
		}
		if !parsed.Algorithm.Known() || parsed.KeyID == "" || len(parsed.KeyID) > jose.MaxKeyID || strings.Count(token, ".") != 2 {
			t.Fatalf("%+v", parsed)
		}
		claims, err := parsed.Verify(signer.Public())
		if err != nil {
			return
		}
		// Only the key can have signed it: signing its claims again gives the same
		// claims part.
		again, err := signer.Sign(claims)
		if err != nil || strings.Split(again, ".")[1] != strings.Split(token, ".")[1] {
			t.Fatalf("%v: %q", err, token)
		}
	})
}

func Example() {
	key := []byte("0123456789abcdef0123456789abcdef")
	signer, err := jose.NewSigner(jose.HS256, "2026-03", key)
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := signer.Sign(jose.AppendClaims(nil, &jose.Claims{Issuer: "https://api.example.com", Expires: 600}))
	if err != nil {
		fmt.Println(err)
		return
	}
	unverified, err := jose.Parse(token)
	if err != nil {
		fmt.Println(err)
		return
	}
	payload, err := unverified.Verify(signer.Public())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(unverified.KeyID, string(payload))
	// Output: 2026-03 {"iss":"https://api.example.com","exp":600,"iat":0,"epochs":[0,0,0]}
}

func BenchmarkSign(b *testing.B) {
	c := fullClaims()
	for _, alg := range algorithms {
		signer := newSigner(b, alg, "")
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := signer.Sign(jose.AppendClaims(make([]byte, 0, 512), &c)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
