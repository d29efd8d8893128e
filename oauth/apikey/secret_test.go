package apikey_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
)

func ExampleParseSecret() {
	const pasted = "lk_JAanpjzMehrxcMTxd5w2acQ8bcDyyCiBSPploaLC5Bk1cmKk2"

	secret, err := apikey.ParseSecret("lk_", pasted)
	fmt.Println(secret, err)

	_, err = apikey.ParseSecret("lk_", pasted[:40])
	fmt.Println(err)

	_, err = apikey.ParseSecret("lk_", strings.Replace(pasted, "M", "x", 1))
	fmt.Println(err)
	// Output:
	// lk_…mKk2 <nil>
	// apikey: not a secret: it is too short; was it cut off?
	// apikey: not a secret: its checksum does not match; is there a typo?
}

func ExampleSecretPattern() {
	fmt.Println(apikey.SecretPattern("acme_live_"))
	// Output: acme_live_[0-9A-Za-z]{49}
}

// shapes are all places a secret can hide in from the methods that redact it.
type shapes struct {
	Exported apikey.Secret
	hidden   apikey.Secret
	Pointer  *apikey.Secret
	pointed  *apikey.Secret
	Any      any
	List     []apikey.Secret
	hiddenBy map[string]apikey.Secret
}

type holder struct{ Secret apikey.Secret }

func TestSecretRedactsItself(t *testing.T) {
	secret := apikey.MustSecret(rand.Reader, "lk_")
	plain := secret.Reveal()
	box := shapes{secret, secret, &secret, &secret, secret, []apikey.Secret{secret}, map[string]apikey.Secret{"k": secret}}
	// Half of the random part gives it away as well, in whatever spelling.
	canary := plain[3:25]
	canaries := []string{
		canary, hex.EncodeToString([]byte(canary)), strings.ToUpper(hex.EncodeToString([]byte(canary))),
		strings.Trim(fmt.Sprint([]byte(canary)), "[]"),
		base64.StdEncoding.EncodeToString([]byte(plain))[8:28],
	}
	clean := func(t *testing.T, out string) {
		t.Helper()
		for _, c := range canaries {
			require.NotContains(t, out, c)
		}
	}

	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%p", "%T", "%60s", "%w"} {
		t.Run("B11 fmt "+verb, func(t *testing.T) {
			for _, value := range []any{secret, &secret, box, &box, []any{secret, box}, map[string]any{"s": box}} {
				clean(t, fmt.Sprintf(verb, value))
			}
			clean(t, fmt.Errorf("login: "+verb, any(secret)).Error())
		})
	}
	t.Run("B11 encoders", func(t *testing.T) {
		for _, value := range []any{secret, &secret, box, map[string]any{"s": secret}} {
			out, err := json.Marshal(value)
			require.NoError(t, err)
			clean(t, string(out))
		}
		out, err := xml.Marshal(holder{secret})
		require.NoError(t, err)
		clean(t, string(out))
		var raw bytes.Buffer
		require.Error(t, gob.NewEncoder(&raw).Encode(holder{secret}), "nothing in it to encode")
		clean(t, raw.String())
	})
	t.Run("B11 slog", func(t *testing.T) {
		var out bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("x", "secret", secret, "pointer", &secret, "box", box, slog.Group("g", "s", secret))
			slog.New(h).With("secret", secret).Info("x")
		}
		clean(t, out.String())
	})
	t.Run("B11 a failed assertion", func(t *testing.T) {
		clean(t, fmt.Sprint(diff(secret, apikey.MustSecret(rand.Reader, "lk_"))))
	})

	want := "lk_…" + plain[len(plain)-4:]
	require.Equal(t, want, secret.String())
	for _, verb := range []string{"%v", "%+v", "%s", "%x", "%d"} {
		require.Equal(t, want, fmt.Sprintf(verb, secret), verb)
	}
	require.Equal(t, `apikey.Secret("`+want+`")`, fmt.Sprintf("%#v", secret))
	require.Equal(t, fmt.Sprintf("%q", want), fmt.Sprintf("%q", secret))
	require.Equal(t, want, secret.LogValue().String())
	out, err := json.Marshal(secret)
	require.NoError(t, err)
	require.JSONEq(t, fmt.Sprintf("%q", want), string(out))
}

// diff is the message of a failed require.Equal, which walks into values.
func diff(a, b any) string {
	var said strings.Builder
	require.Equal(recorder{&said}, a, b)
	return said.String()
}

type recorder struct{ *strings.Builder }

func (r recorder) Errorf(format string, args ...any) { fmt.Fprintf(r, format, args...) }
func (r recorder) FailNow()                          {}

func TestSecretZero(t *testing.T) {
	var zero apikey.Secret
	require.True(t, zero.IsZero())
	require.Empty(t, zero.Reveal())
	require.Empty(t, zero.Hint())
	require.Empty(t, fmt.Sprint(zero))
	out, err := json.Marshal(zero)
	require.NoError(t, err)
	require.Equal(t, `""`, string(out))
	require.True(t, apikey.SecretOf("", "").IsZero())
}

func TestHint(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"long", "0123456789abcdef", "cdef"},
		{"too short to spare four", "0123456789abcde", ""},
		{"cut inside a character", "0123456789abcdefgh\u20acxy", "xy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, apikey.SecretOf("", tc.text).Hint())
		})
	}
}

// bigBase62 is the long way to write a number.
func bigBase62(raw []byte) string {
	// math/big has the small letters first.
	text := []byte(new(big.Int).SetBytes(raw).Text(62))
	for i, c := range text {
		if unicode.IsLetter(rune(c)) {
			text[i] = c ^ ' '
		}
	}
	return string(text)
}

func TestNewSecret(t *testing.T) {
	t.Run("form", func(t *testing.T) {
		ones := bytes.NewReader(bytes.Repeat([]byte{0xff}, 32))
		text := apikey.MustSecret(ones, "").Reveal()
		require.Len(t, text, 3+43+6)
		// 2^256-1 in base 62, computed with math/big.
		require.Equal(t, bigBase62(bytes.Repeat([]byte{0xff}, 32)), text[3:46])
		small := append(make([]byte, 31), 1)
		text = apikey.MustSecret(bytes.NewReader(small), "acme_").Reveal()
		require.Equal(t, "acme_"+strings.Repeat("0", 42)+"1", text[:48], "padded with zeros")
	})
	for _, tc := range []struct {
		name   string
		random io.Reader
	}{
		{"B25 a failing source", iotest.ErrReader(errors.New("no entropy"))},
		{"B25 an empty source", bytes.NewReader(nil)},
		{"B25 a source that falls short", bytes.NewReader(make([]byte, 31))},
		{"B25 a source of zeros", bytes.NewReader(make([]byte, 64))},
		{"B25 a source that fails late", io.MultiReader(bytes.NewReader([]byte("0123456789")), iotest.ErrReader(io.ErrClosedPipe))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			secret, err := apikey.NewSecret(tc.random, "lk_")
			require.Error(t, err)
			require.True(t, secret.IsZero())
		})
	}
	t.Run("B25 ids fail with their source", func(t *testing.T) {
		for _, random := range []func() io.Reader{
			func() io.Reader { return iotest.ErrReader(io.ErrClosedPipe) },
			func() io.Reader { return bytes.NewReader(make([]byte, 64)) },
		} {
			_, err := apikey.NewKeyID(random())
			require.Error(t, err)
			_, err = apikey.RandomID(random(), 9)
			require.Error(t, err)
			_, err = apikey.HashWeak(random(), "s")
			require.Error(t, err)
		}
	})
}

func TestSecretPatternAndChecksum(t *testing.T) {
	pattern := regexp.MustCompile(apikey.SecretPattern("lk_"))
	whole := regexp.MustCompile("^" + apikey.SecretPattern("lk_") + "$")
	around := []string{"%s", "LATCHKEY=%s\n", `{"s":"%s"}`, "x%%3D%s%%26y", `a\n%s\n`, "https://u:%s@host/"}

	t.Run("B24 finds every secret", func(t *testing.T) {
		for i := range harness.Rounds(2_000, 1_000_000) {
			text := apikey.MustSecret(rand.Reader, "").Reveal()
			require.True(t, whole.MatchString(text))
			if found := pattern.FindString(fmt.Sprintf(around[i%len(around)], text)); found != text {
				t.Fatalf("pattern found %d characters", len(found))
			}
		}
	})
	t.Run("B24 random base64 does not pass the checksum", func(t *testing.T) {
		raw := make([]byte, 39)
		for range harness.Rounds(2_000, 1_000_000) {
			_, err := rand.Read(raw)
			require.NoError(t, err)
			for _, text := range []string{
				base64.RawURLEncoding.EncodeToString(raw),
				"lk_" + base64.RawStdEncoding.EncodeToString(raw)[:49],
				"lk_" + base64.RawURLEncoding.EncodeToString(raw)[:49],
			} {
				_, err := apikey.ParseSecret("", text)
				require.Error(t, err)
			}
		}
	})
	t.Run("B24 every typo of one character is found", func(t *testing.T) {
		for range harness.Rounds(5, 200) {
			text := []byte(apikey.MustSecret(rand.Reader, "lk_").Reveal())
			for at, was := range text {
				for c := range 256 {
					if text[at] = byte(c); byte(c) == was {
						continue
					}
					if _, err := apikey.ParseSecret("lk_", string(text)); err == nil {
						t.Fatalf("byte %#x at %d passed", c, at)
					}
				}
				text[at] = was
			}
			_, err := apikey.ParseSecret("lk_", string(text))
			require.NoError(t, err)
		}
	})
	t.Run("B24 every swap of neighbours and every cut is found", func(t *testing.T) {
		for range 20 {
			text := apikey.MustSecret(rand.Reader, "lk_").Reveal()
			for i := 1; i < len(text); i++ {
				_, err := apikey.ParseSecret("lk_", text[:i])
				require.Error(t, err)
				_, err = apikey.ParseSecret("lk_", text[i:])
				require.Error(t, err)
				if text[i-1] != text[i] {
					_, err = apikey.ParseSecret("lk_", text[:i-1]+string(text[i])+string(text[i-1])+text[i+1:])
					require.Error(t, err)
				}
			}
		}
	})
}

func TestParseSecretReasons(t *testing.T) {
	text := apikey.MustSecret(rand.Reader, "acme_").Reveal()
	for _, tc := range []struct{ name, text, says string }{
		{"empty", "", "empty"},
		{"space around", text + "\n", "white space"},
		{"foreign prefix", "lk_" + text[5:], `begin with "acme_"`},
		{"cut off", text[:40], "cut off"},
		{"prefix only", "acme_", "cut off"},
		{"two pasted", text + text, "too long"},
		{"character", text[:20] + "+" + text[21:], "character 21 is not"},
		{"typo", text[:20] + other(text[20]) + text[21:], "checksum"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			secret, err := apikey.ParseSecret("acme_", tc.text)
			var wrong *apikey.SecretError
			require.ErrorAs(t, err, &wrong)
			require.Contains(t, wrong.Reason, tc.says)
			require.True(t, secret.IsZero())
			require.NotContains(t, err.Error(), text[5:15], "the text is repeated")
		})
	}
}

func other(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}

func TestCheckPrefix(t *testing.T) {
	for _, good := range []string{"", "_", "lk_", "acme-live_", "A9_", strings.Repeat("x", 31) + "_"} {
		require.NoError(t, apikey.CheckPrefix(good), good)
		secret := apikey.MustSecret(rand.Reader, good)
		_, err := apikey.ParseSecret(good, secret.Reveal())
		require.NoError(t, err)
		require.Regexp(t, "^[A-Za-z0-9_-]+$", secret.Reveal(), "6749-02 nothing to form-encode")
		require.Regexp(t, "^"+apikey.SecretPattern(good)+"$", secret.Reveal())
	}
	for _, bad := range []string{"lk", "lk-", "l k_", "l:k_", "l%k_", "é_", strings.Repeat("x", 32) + "_"} {
		require.Error(t, apikey.CheckPrefix(bad), bad)
	}
}

func TestIDs(t *testing.T) {
	t.Run("B25 no two alike", func(t *testing.T) {
		// 64 bits of each, so that ten million fit into memory: two in
		// different ones collide once in 370,000 runs.
		n, seed := harness.Rounds(100_000, 10_000_000), maphash.MakeSeed()
		ids, secrets := make([]uint64, n), make([]uint64, n)
		for i := range n {
			id, err := apikey.NewKeyID(rand.Reader)
			require.NoError(t, err)
			ids[i] = maphash.String(seed, id)
			secrets[i] = maphash.String(seed, apikey.SecretID(apikey.MustSecret(rand.Reader, "").Reveal()))
		}
		for _, all := range [][]uint64{ids, secrets} {
			slices.Sort(all)
			require.Len(t, slices.Compact(all), n)
		}
	})
	t.Run("key ids are version 4 UUIDs", func(t *testing.T) {
		for range 1000 {
			id, err := apikey.NewKeyID(rand.Reader)
			require.NoError(t, err)
			require.Regexp(t, "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", id)
		}
	})
	t.Run("a secret's id is fixed and short", func(t *testing.T) {
		require.Equal(t, "kCz76kQ_CfJm", apikey.SecretID("lk_fixed"))
		require.Regexp(t, "^[A-Za-z0-9_-]{12}$", apikey.SecretID(strings.Repeat("x", 1000)))
	})
	t.Run("random ids", func(t *testing.T) {
		id, err := apikey.RandomID(rand.Reader, 9)
		require.NoError(t, err)
		require.Regexp(t, "^[A-Za-z0-9_-]{12}$", id)
	})
}

func FuzzParseSecret(f *testing.F) {
	f.Add("lk_", "lk_JAanpjzMehrxcMTxd5w2acQ8bcDyyCiBSPploaLC5Bk1cmKk2", []byte{1})
	f.Add("", "", bytes.Repeat([]byte{0xff}, 32))
	f.Add("a-_", "a-_", []byte("0123456789abcdef0123456789abcdef"))
	f.Fuzz(func(t *testing.T, prefix, text string, raw []byte) {
		if apikey.CheckPrefix(prefix) != nil {
			return
		}
		whole := regexp.MustCompile("^" + apikey.SecretPattern(prefix) + "$")
		parsed, err := apikey.ParseSecret(prefix, text)
		if err == nil && (parsed.Reveal() != text || !whole.MatchString(text)) || err != nil && !parsed.IsZero() {
			t.Fatalf("error %v", err)
		}
		made, err := apikey.NewSecret(bytes.NewReader(raw), prefix)
		if err != nil {
			return // too short, or zeros
		}
		back, err := apikey.ParseSecret(prefix, made.Reveal())
		if err != nil || back.Reveal() != made.Reveal() || !whole.MatchString(made.Reveal()) {
			t.Fatalf("what was made does not parse: %v", err)
		}
		if bigBase62(raw[:32]) != strings.TrimLeft(made.Reveal()[len(made.Reveal())-49:][:43], "0") {
			t.Fatal("other digits than those of the random bytes")
		}
	})
}
