package request_test

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

func TestSeal(t *testing.T) {
	key := []byte("a key of the tests, 32 bytes long")
	sealed := request.Seal(key, []byte("text"), "list", "ada")
	text, ok := request.Open(key, sealed, "list", "ada")
	require.True(t, ok)
	require.Equal(t, "text", string(text))
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	require.NoError(t, err)
	for i := range raw {
		raw[i] ^= 1
		_, ok := request.Open(key, base64.RawURLEncoding.EncodeToString(raw), "list", "ada")
		require.False(t, ok, "byte %d", i)
		raw[i] ^= 1
	}
	for name, c := range map[string]struct {
		key    []byte
		sealed string
		bound  []string
	}{
		"another key":           {[]byte("another key of the tests: 32 bytes"), sealed, []string{"list", "ada"}},
		"bound to another list": {key, sealed, []string{"list2", "ada"}},
		"cut elsewhere":         {key, sealed, []string{"lista", "da"}},
		"bound to less":         {key, sealed, []string{"list"}},
		"bound to more":         {key, sealed, []string{"list", "ada", ""}},
		"a line break in it":    {key, sealed[:9] + "\n" + sealed[9:], []string{"list", "ada"}},
		"padded":                {key, sealed + "=", []string{"list", "ada"}},
		"too short":             {key, "AAAA", []string{"list", "ada"}},
		"empty":                 {key, "", []string{"list", "ada"}},
	} {
		t.Run("B20 "+name, func(t *testing.T) {
			_, ok := request.Open(c.key, c.sealed, c.bound...)
			require.False(t, ok)
		})
	}
	require.NotEqual(t, request.Digest("a", "bc"), request.Digest("ab", "c"))
	require.Len(t, request.Digest(), 64)
}

// FuzzOpen tests that Open accepts only exactly what Seal made.
func FuzzOpen(f *testing.F) {
	key := []byte("a key of the tests, 32 bytes long")
	f.Add(request.Seal(key, []byte("text"), "list"))
	f.Add("")
	f.Fuzz(func(t *testing.T, sealed string) {
		if text, ok := request.Open(key, sealed, "list"); ok && request.Seal(key, text, "list") != sealed {
			t.Fatalf("%q opened", sealed)
		}
	})
}

func TestIsPrintable(t *testing.T) {
	require.True(t, request.IsPrintable(" ~"))
	require.True(t, request.IsPrintable(""))
	for _, text := range []string{"\x1f", "\x7f", "a\n", "é"} {
		require.False(t, request.IsPrintable(text), "%q", text)
	}
}
