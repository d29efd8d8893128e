package secrets_test

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
	"math"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
)

// shapes are all places of a secret in which printing may not call the methods that
// redact it.
type shapes struct {
	Exported secrets.Secret
	hidden   secrets.Secret
	Pointer  *secrets.Secret
	pointed  *secrets.Secret
	Any      any
	List     []secrets.Secret
	hiddenBy map[string]secrets.Secret
}

type holder struct{ Secret secrets.Secret }

func TestSecretRedactsItself(t *testing.T) {
	secret := mustSecret(rand.Reader, "lk_")
	plain := secret.Reveal()
	box := shapes{secret, secret, &secret, &secret, secret, []secrets.Secret{secret}, map[string]secrets.Secret{"k": secret}}
	// Half of the random part reveals too much as well, in any encoding.
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
		require.Error(t, gob.NewEncoder(&raw).Encode(holder{secret}), "it has no exported field to encode")
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
		clean(t, fmt.Sprint(diff(secret, mustSecret(rand.Reader, "lk_"))))
	})

	want := "lk_…" + plain[len(plain)-4:]
	require.Equal(t, want, secret.String())
	for _, verb := range []string{"%v", "%+v", "%s", "%x", "%d"} {
		require.Equal(t, want, fmt.Sprintf(verb, secret), verb)
	}
	require.Equal(t, `apikey.Secret("`+want+`")`, fmt.Sprintf("%#v", secret))
	require.Equal(t, fmt.Sprintf("%q", want), fmt.Sprintf("%q", secret))
	out, err := json.Marshal(secret)
	require.NoError(t, err)
	require.JSONEq(t, fmt.Sprintf("%q", want), string(out))
}

// diff is the message of a failed require.Equal, which prints unexported fields.
func diff(a, b any) string {
	var said strings.Builder
	require.Equal(recorder{&said}, a, b)
	return said.String()
}

type recorder struct{ *strings.Builder }

func (r recorder) Errorf(format string, args ...any) { fmt.Fprintf(r, format, args...) }
func (r recorder) FailNow()                          {}

func TestSecretZero(t *testing.T) {
	var zero secrets.Secret
	require.Empty(t, zero.Reveal())
	require.Empty(t, zero.Hint())
	require.Empty(t, fmt.Sprint(zero))
	out, err := json.Marshal(zero)
	require.NoError(t, err)
	require.Equal(t, `""`, string(out))
	require.Empty(t, secrets.Of("", "").String())
}

func TestHint(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"long", "0123456789abcdef", "cdef"},
		{"too short to spare four", "0123456789abcde", ""},
		{"cut inside a character", "0123456789abcdefgh\u20acxy", "xy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, secrets.Of("", tc.text).Hint())
		})
	}
}

// bigBase62 is the same number as math/big writes it.
func bigBase62(raw []byte) string { return new(big.Int).SetBytes(raw).Text(62) }

func TestNewSecret(t *testing.T) {
	t.Run("form", func(t *testing.T) {
		ones := bytes.NewReader(bytes.Repeat([]byte{0xff}, 32))
		text := mustSecret(ones, "").Reveal()
		require.Len(t, text, 3+43+6)
		// 2^256-1 in base 62, computed with math/big.
		require.Equal(t, bigBase62(bytes.Repeat([]byte{0xff}, 32)), text[3:46])
		small := append(make([]byte, 31), 1)
		text = mustSecret(bytes.NewReader(small), "acme_").Reveal()
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
			secret, err := secrets.New(tc.random, "lk_")
			require.Error(t, err)
			require.Empty(t, secret.Reveal())
		})
	}
	t.Run("B25 no ids if the source fails", func(t *testing.T) {
		for _, random := range []func() io.Reader{
			func() io.Reader { return iotest.ErrReader(io.ErrClosedPipe) },
			func() io.Reader { return bytes.NewReader(make([]byte, 64)) },
		} {
			_, err := secrets.NewKeyID(random())
			require.Error(t, err)
			_, err = secrets.RandomID(random())
			require.Error(t, err)
			_, err = secrets.HashSlow(random(), "s")
			require.Error(t, err)
		}
	})
}

// TestGitleaksRule tests the values of the rule that no secret may miss. Tests of
// examples/interop run it.
func TestGitleaksRule(t *testing.T) {
	for _, prefix := range []string{"lk_", strings.Repeat("a", 31) + "_", "acme-Prod_"} {
		rule := secrets.GitleaksRule(prefix)
		require.Contains(t, rule, "\nentropy = 3.2\n")
		regex, _, _ := strings.Cut(strings.SplitN(rule, "'''", 3)[1], "'''")
		pattern := regexp.MustCompile(regex)
		for range harness.Rounds(2_000, 1_000_000) {
			text := mustSecret(rand.Reader, prefix).Reveal()
			if found := pattern.FindStringSubmatch("x" + text + "-"); len(found) != 2 || found[1] != text {
				t.Fatalf("B33 not found")
			}
			if bits := entropy(text); bits <= 3.2 {
				t.Fatalf("B33 a secret has %.2f bits for each character", bits)
			}
		}
		require.False(t, pattern.MatchString(mustSecret(rand.Reader, prefix).Reveal()+"0"), "B33 a longer text")
	}
}

// entropy returns the bits of entropy for each character, as gitleaks computes them.
func entropy(text string) (bits float64) {
	counts := map[rune]float64{}
	for _, r := range text {
		counts[r]++
	}
	for _, n := range counts {
		bits -= n / float64(len(text)) * math.Log2(n/float64(len(text)))
	}
	return bits
}

func TestSecretPatternAndChecksum(t *testing.T) {
	pattern := regexp.MustCompile(secrets.Pattern("lk_"))
	whole := regexp.MustCompile("^" + secrets.Pattern("lk_") + "$")
	around := []string{"%s", "LATCHKEY=%s\n", `{"s":"%s"}`, "x%%3D%s%%26y", `a\n%s\n`, "https://u:%s@host/"}

	t.Run("B24 finds every secret", func(t *testing.T) {
		for i := range harness.Rounds(2_000, 1_000_000) {
			text := mustSecret(rand.Reader, "").Reveal()
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
				_, err := secrets.Parse("", text)
				require.Error(t, err)
			}
		}
	})
	t.Run("B24 every typo of one character is found", func(t *testing.T) {
		for range harness.Rounds(5, 200) {
			text := []byte(mustSecret(rand.Reader, "lk_").Reveal())
			for at, was := range text {
				for c := range 256 {
					if text[at] = byte(c); byte(c) == was {
						continue
					}
					if _, err := secrets.Parse("lk_", string(text)); err == nil {
						t.Fatalf("byte %#x at %d passed", c, at)
					}
				}
				text[at] = was
			}
			_, err := secrets.Parse("lk_", string(text))
			require.NoError(t, err)
		}
	})
	t.Run("B24 every swap of neighbours and every cut is found", func(t *testing.T) {
		for range 20 {
			text := mustSecret(rand.Reader, "lk_").Reveal()
			for i := 1; i < len(text); i++ {
				_, err := secrets.Parse("lk_", text[:i])
				require.Error(t, err)
				_, err = secrets.Parse("lk_", text[i:])
				require.Error(t, err)
				if text[i-1] != text[i] {
					_, err = secrets.Parse("lk_", text[:i-1]+string(text[i])+string(text[i-1])+text[i+1:])
					require.Error(t, err)
				}
			}
		}
	})
}

func TestParseSecretReasons(t *testing.T) {
	text := mustSecret(rand.Reader, "acme_").Reveal()
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
			secret, err := secrets.Parse("acme_", tc.text)
			require.ErrorContains(t, err, tc.says)
			require.Empty(t, secret.Reveal())
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
	for _, good := range []string{"_", "lk_", "acme-live_", "A9_", strings.Repeat("x", 31) + "_"} {
		require.NoError(t, secrets.CheckPrefix(good), good)
		secret := mustSecret(rand.Reader, good)
		_, err := secrets.Parse(good, secret.Reveal())
		require.NoError(t, err)
		require.Regexp(t, "^[A-Za-z0-9_-]+$", secret.Reveal(), "6749-02 no character needs form-encoding")
		require.Regexp(t, "^"+secrets.Pattern(good)+"$", secret.Reveal())
	}
	for _, bad := range []string{"", "lk", "lk-", "l k_", "l:k_", "l%k_", "é_", strings.Repeat("x", 32) + "_"} {
		require.Error(t, secrets.CheckPrefix(bad), bad)
	}
}

func TestIDs(t *testing.T) {
	t.Run("B25 no two are equal", func(t *testing.T) {
		// 64-bit hashes of the ids, so that ten million fit into memory. Two different
		// ids have the same hash in one of 370,000 runs.
		n, seed := harness.Rounds(100_000, 10_000_000), maphash.MakeSeed()
		ids, secretIDs := make([]uint64, n), make([]uint64, n)
		for i := range n {
			id, err := secrets.NewKeyID(rand.Reader)
			require.NoError(t, err)
			ids[i] = maphash.String(seed, id)
			secretIDs[i] = maphash.String(seed, secrets.ID(mustSecret(rand.Reader, "").Reveal()))
		}
		for _, all := range [][]uint64{ids, secretIDs} {
			slices.Sort(all)
			require.Len(t, slices.Compact(all), n)
		}
	})
	t.Run("key ids are version 4 UUIDs", func(t *testing.T) {
		for range 1000 {
			id, err := secrets.NewKeyID(rand.Reader)
			require.NoError(t, err)
			require.Regexp(t, "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", id)
		}
	})
	t.Run("a secret's id is fixed and short", func(t *testing.T) {
		require.Equal(t, "KQJG0Lvak-q8", secrets.ID("lk_fixed"))
		require.Regexp(t, "^[A-Za-z0-9_-]{12}$", secrets.ID(strings.Repeat("x", 1000)))
	})
	t.Run("random ids", func(t *testing.T) {
		id, err := secrets.RandomID(rand.Reader)
		require.NoError(t, err)
		require.Regexp(t, "^[A-Za-z0-9_-]{12}$", id)
	})
}

func FuzzParseSecret(f *testing.F) {
	f.Add("lk_", "lk_JAanpjzMehrxcMTxd5w2acQ8bcDyyCiBSPploaLC5Bk1CMkK2", []byte{1})
	f.Add("", "", bytes.Repeat([]byte{0xff}, 32))
	f.Add("a-_", "a-_", []byte("0123456789abcdef0123456789abcdef"))
	f.Fuzz(func(t *testing.T, prefix, text string, raw []byte) {
		if prefix != "" && secrets.CheckPrefix(prefix) != nil {
			return
		}
		whole := regexp.MustCompile("^" + secrets.Pattern(prefix) + "$")
		parsed, err := secrets.Parse(prefix, text)
		if err == nil && (parsed.Reveal() != text || !whole.MatchString(text)) || err != nil && parsed.Reveal() != "" {
			t.Fatalf("error %v", err)
		}
		made, err := secrets.New(bytes.NewReader(raw), prefix)
		if err != nil {
			return // too short, or zeros
		}
		back, err := secrets.Parse(prefix, made.Reveal())
		if err != nil || back.Reveal() != made.Reveal() || !whole.MatchString(made.Reveal()) {
			t.Fatalf("a new secret does not parse: %v", err)
		}
		if bigBase62(raw[:32]) != strings.TrimLeft(made.Reveal()[len(made.Reveal())-49:][:43], "0") {
			t.Fatal("other digits than those of the random bytes")
		}
	})
}

func mustSecret(random io.Reader, prefix string) secrets.Secret {
	s, err := secrets.New(random, prefix)
	if err != nil {
		panic(err)
	}
	return s
}
