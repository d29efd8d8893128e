package secrets_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
)

// homemade is the SHA-256 of bound.Secret, as a table of a host's may hold it.
func homemade(secret string) (asHex string, digest string) {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:]), "sha256-import$" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestOfSHA256(t *testing.T) {
	// A sum whose base64 differs between the alphabets.
	sum := sha256.Sum256([]byte("lk_secret 1"))
	require.Contains(t, base64.StdEncoding.EncodeToString(sum[:]), "/")
	want := "sha256-import$" + base64.RawURLEncoding.EncodeToString(sum[:])
	asHex := hex.EncodeToString(sum[:])
	padded, raw := base64.StdEncoding.EncodeToString(sum[:]), base64.RawStdEncoding.EncodeToString(sum[:])
	for _, tc := range []struct{ name, text, says string }{
		{"hex", asHex, ""},
		{"hex in capitals", strings.ToUpper(asHex), ""},
		{"base64", padded, ""},
		{"base64 without padding", raw, ""},
		{"base64url", base64.URLEncoding.EncodeToString(sum[:]), ""},
		{"base64url without padding", base64.RawURLEncoding.EncodeToString(sum[:]), ""},
		{"empty", "", "64 characters of hex"},
		{"hex, cut off", asHex[:63], "64 characters of hex"},
		{"hex, one more", asHex + "0", "64 characters of hex"},
		{"hex of another length", asHex[:40], "64 characters of hex"},
		{"hex with a prefix", "0x" + asHex[2:], "64 characters of hex"},
		{"base64, cut off", raw[:42], "64 characters of hex"},
		{"base64, padded twice", padded + "=", "64 characters of hex"},
		{"base64 with bits left over", raw[:42] + string(raw[42]+1), "64 characters of hex"},
		{"a line break", raw[:20] + "\n" + raw[20:], "64 characters of hex"},
		{"a carriage return at the end", padded + "\r", "64 characters of hex"},
		{"white space", " " + raw, "64 characters of hex"},
		{"the stored form", want, "64 characters of hex"},
		{"SHA-512", hex.EncodeToString(bytes.Repeat(sum[:], 2)), "64 characters of hex"},
		{"B01 of nothing", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "of an empty text"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			digest, id, err := secrets.OfSHA256(tc.text)
			if tc.says != "" {
				require.ErrorContains(t, err, tc.says)
				require.Empty(t, digest+id)
				return
			}
			require.NoError(t, err)
			require.Equal(t, want, digest)
			require.Equal(t, secrets.ID("lk_secret 1"), id)
		})
	}
}

func TestVerifyImportedSHA256(t *testing.T) {
	_, stored := homemade(bound.Secret)
	importing := func(peppers ...secrets.Pepper) *secrets.Hasher {
		h, err := secrets.NewHasher(peppers, nil, true)
		require.NoError(t, err)
		return h
	}
	_, isPeppers := secrets.PepperOf(stored)
	require.False(t, isPeppers, "B31 it names no pepper")
	require.False(t, secrets.IsSlow(stored))

	for name, h := range map[string]*secrets.Hasher{"a pepper": importing(pepper3, pepper1), "no pepper": importing(secrets.NoPepper()), "an empty list": importing()} {
		t.Run(name, func(t *testing.T) {
			require.NotContains(t, h.Digest(bound), "sha256-import$")
			for _, tc := range []struct {
				name, stored, secret string
				ok                   bool
				err                  error
			}{
				{"right", stored, bound.Secret, true, nil},
				{"wrong", stored, "lk_secreT", false, nil},
				{"empty", stored, "", false, nil},
				{"the digest for the secret", stored, stored, false, nil},
				{"cut off", stored[:len(stored)-1], bound.Secret, false, secrets.ErrDigest},
				{"longer", stored + "A", bound.Secret, false, secrets.ErrDigest},
				{"a line break", stored[:len(stored)-1] + "\n", bound.Secret, false, secrets.ErrDigest},
				{"of nothing", "sha256-import$", "", false, secrets.ErrDigest},
				{"B01 under another label", "sha256$0$" + stored[len("sha256-import$"):], bound.Secret, false, nil},
			} {
				b, before := bound, h.Computed()
				b.Secret = tc.secret
				ok, outdated, err := h.Verify(tc.stored, b)
				require.Equal(t, tc.ok, ok, tc.name)
				require.Equal(t, tc.ok, outdated, "it is replaced at the first use")
				if name == "a pepper" && tc.name == "B01 under another label" {
					tc.err = secrets.ErrPepper
				}
				require.ErrorIs(t, err, tc.err, tc.name)
				require.EqualValues(t, 1, h.Computed()-before, "B02 as much as any other")
			}
			require.NoError(t, h.Check(stored))
		})
	}
	t.Run("B01 unless imports are accepted", func(t *testing.T) {
		h := hasher(t, pepper3)
		ok, _, err := h.Verify(stored, bound)
		require.NoError(t, err)
		require.False(t, ok)
		require.ErrorIs(t, h.Check(stored), secrets.ErrImported)
	})
}

func FuzzOfSHA256(f *testing.F) {
	asHex, stored := homemade(bound.Secret)
	for _, text := range []string{asHex, strings.ToUpper(asHex), stored, stored[len("sha256-import$"):], stored[len("sha256-import$"):] + "=", ""} {
		f.Add(text)
	}
	h, err := secrets.NewHasher(nil, nil, true)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		digest, id, err := secrets.OfSHA256(text)
		if err != nil {
			if digest+id != "" || len(text) > 20 && strings.Contains(err.Error(), text) {
				t.Fatal("an error and a digest, or an error that repeats the text")
			}
			return
		}
		// What is accepted is one of the six spellings of one sum.
		sum, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(digest, "sha256-import$"))
		if err != nil || len(sum) != sha256.Size || secrets.IDOf([sha256.Size]byte(sum)) != id || h.Check(digest) != nil {
			t.Fatalf("%q: %q %q", text, digest, id)
		}
		if strings.ToLower(text) != hex.EncodeToString(sum) {
			plain := strings.TrimSuffix(strings.NewReplacer("+", "-", "/", "_").Replace(text), "=")
			if plain != base64.RawURLEncoding.EncodeToString(sum) {
				t.Fatalf("%q is no spelling of %x", text, sum)
			}
		}
	})
}
