package secrets_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
)

var (
	pepper1 = secrets.Pepper{Version: 1, Key: []byte("first pepper, thirty-two bytes ok")}
	pepper3 = secrets.Pepper{Version: 3, Key: []byte("third pepper, thirty-two bytes ok")}
	pepper5 = secrets.Pepper{Version: 5, Key: []byte("fifth pepper, thirty-two bytes ok")}
	bound   = secrets.Binding{KeyID: "key-1", Workspace: "team-a", SecretID: "s-1", Secret: "lk_secret"}
)

func hasher(t testing.TB, peppers ...secrets.Pepper) *secrets.Hasher {
	t.Helper()
	h, err := secrets.NewHasher(peppers, nil, false)
	require.NoError(t, err)
	return h
}

func TestDigestForm(t *testing.T) {
	var message []byte
	for _, part := range []string{"latchkey secret digest", "key-1", "team-a", "s-1", "lk_secret"} {
		message = binary.BigEndian.AppendUint64(message, uint64(len(part)))
		message = append(message, part...)
	}
	plain := sha256.Sum256(message)
	mac := hmac.New(sha256.New, pepper3.Key)
	mac.Write(message)

	h := hasher(t)
	require.Equal(t, "sha256$0$"+base64.RawURLEncoding.EncodeToString(plain[:]), h.Digest(bound))
	require.Equal(t, h.Digest(bound), hasher(t, secrets.NoPepper(), pepper3).Digest(bound), "NoPepper, and an empty list")
	// The first is used for new digests, whatever its version.
	want := "hmac-sha256$3$" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	require.Equal(t, want, hasher(t, pepper3, pepper1).Digest(bound))
	require.Equal(t, want, hasher(t, pepper3, secrets.Pepper{Version: 9, Key: pepper1.Key}).Digest(bound))
}

func TestVerify(t *testing.T) {
	h := hasher(t, pepper3, secrets.NoPepper(), pepper1, pepper5)
	own := h.Digest(bound)
	old := hasher(t, pepper1).Digest(bound)
	newer := hasher(t, pepper5).Digest(bound)
	bare := hasher(t).Digest(bound)
	changed := func(change func(*secrets.Binding)) secrets.Binding {
		b := bound
		change(&b)
		return b
	}
	for _, tc := range []struct {
		name         string
		stored       string
		b            secrets.Binding
		ok, outdated bool
		err          error
	}{
		{"own digest", own, bound, true, false, nil},
		{"B01 an old pepper verifies and is outdated", old, bound, true, true, nil},
		{"B01 a digest from before peppers verifies and is outdated", bare, bound, true, true, nil},
		{"B31 a higher pepper verifies and is not rewritten", newer, bound, true, false, nil},
		{"B01 a row with another row's digest: key id", own, changed(func(b *secrets.Binding) { b.KeyID = "key-2" }), false, false, nil},
		{"B01 a row with another row's digest: workspace", own, changed(func(b *secrets.Binding) { b.Workspace = "team-b" }), false, false, nil},
		{"B01 a row with another row's digest: secret id", own, changed(func(b *secrets.Binding) { b.SecretID = "s-2" }), false, false, nil},
		{"B01 parts do not run into each other", own, changed(func(b *secrets.Binding) { b.KeyID, b.Workspace = "key-1t", "eam-a" }), false, false, nil},
		{"wrong secret", own, changed(func(b *secrets.Binding) { b.Secret = "lk_secreT" }), false, false, nil},
		{"wrong secret under an old pepper", old, changed(func(b *secrets.Binding) { b.Secret = "" }), false, false, nil},
		{"B01 unknown pepper version", strings.Replace(own, "$3$", "$4$", 1), bound, false, false, secrets.ErrPepper},
		{"B01 another pepper's version", strings.Replace(own, "$3$", "$1$", 1), bound, false, false, nil},
		{"version 0 with a key's algorithm", strings.Replace(own, "$3$", "$0$", 1), bound, false, false, secrets.ErrDigest},
		{"no pepper with a pepper's version", strings.Replace(own, "hmac-sha256", "sha256", 1), bound, false, false, secrets.ErrDigest},
		{"second spelling of a version", strings.Replace(own, "$3$", "$03$", 1), bound, false, false, secrets.ErrDigest},
		{"signed version", strings.Replace(own, "$3$", "$+3$", 1), bound, false, false, secrets.ErrDigest},
		{"negative version", strings.Replace(own, "$3$", "$-3$", 1), bound, false, false, secrets.ErrDigest},
		{"unknown algorithm", "md5" + own, bound, false, false, secrets.ErrDigest},
		{"empty", "", bound, false, false, secrets.ErrDigest},
		{"cut off", own[:len(own)-1], bound, false, false, secrets.ErrDigest},
		{"longer", own + "A", bound, false, false, secrets.ErrDigest},
		{"a line break after the characters", "sha256$0$" + strings.Repeat("A", 43) + "\n", bound, false, false, secrets.ErrDigest},
		{"the sum alone", own[len(own)-43:], bound, false, false, secrets.ErrDigest},
		{"line breaks for characters", "sha256$0$" + strings.Repeat("A", 40) + "\n\n\n", bound, false, false, secrets.ErrDigest},
		{"no base64", own[:len(own)-1] + "$", bound, false, false, secrets.ErrDigest},
		{"the secret in clear", bound.Secret, bound, false, false, secrets.ErrDigest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ok, outdated, err := h.Verify(tc.stored, tc.b)
			require.ErrorIs(t, err, tc.err)
			require.Equal(t, tc.ok, ok)
			require.Equal(t, tc.outdated, outdated)
			if err != nil && tc.stored != "" {
				require.NotContains(t, err.Error(), tc.stored)
			}
		})
	}
	t.Run("B01 a pepper removed from the list", func(t *testing.T) {
		ok, _, err := hasher(t, pepper3).Verify(old, bound)
		require.ErrorIs(t, err, secrets.ErrPepper)
		require.False(t, ok)
	})
	t.Run("B01 a digest without a pepper, planted where peppers are set", func(t *testing.T) {
		ok, _, err := hasher(t, pepper3).Verify(bare, bound)
		require.ErrorIs(t, err, secrets.ErrPepper)
		require.False(t, ok)
	})
	t.Run("B31 a digest with a withdrawn pepper matches nothing, and is no error", func(t *testing.T) {
		without := func(title string) *secrets.Hasher {
			h, err := secrets.NewHasher([]secrets.Pepper{pepper3}, []string{title}, false)
			require.NoError(t, err)
			return h
		}
		for title, stored := range map[string]string{"pepper 1": old, "pepper 0": bare} {
			ok, _, err := without(title).Verify(stored, bound)
			require.NoError(t, err)
			require.False(t, ok)
		}
		_, _, err := without("pepper 1").Verify(newer, bound)
		require.ErrorIs(t, err, secrets.ErrPepper)
	})
	t.Run("B01 another key under the same version", func(t *testing.T) {
		impostor := secrets.Pepper{Version: 3, Key: bytes.Repeat([]byte("x"), 32)}
		ok, _, err := hasher(t, impostor).Verify(own, bound)
		require.NoError(t, err)
		require.False(t, ok)
	})
}

func TestPeppersAreChecked(t *testing.T) {
	withKey := secrets.NoPepper()
	withKey.Key = pepper1.Key
	_, err := secrets.NewHasher([]secrets.Pepper{
		{Version: 0, Key: pepper1.Key},
		{Version: -1, Key: pepper1.Key},
		{Version: 5, Key: pepper1.Key[:31]},
		{Version: 6, Key: make([]byte, 32)},
		pepper3, pepper3,
		{Version: 7},
		secrets.NoPepper(), secrets.NoPepper(), withKey,
	}, nil, false)
	for _, says := range []string{
		"Peppers[0].Version: 0", "Peppers[1].Version: -1", "Peppers[2].Key: 31 bytes, must be at least 32",
		"Peppers[3].Key: all bytes are zero", "Peppers[5].Version: 3 is listed twice", "Peppers[6].Key: 0 bytes",
		"Peppers[8].Version: 0 is listed twice", "Peppers[9].Version: NoPepper has no other fields",
	} {
		require.ErrorContains(t, err, says)
	}
	require.NotContains(t, err.Error(), "Peppers[4]")
	require.NotContains(t, err.Error(), "Peppers[7]")
}

func TestPeppersAreCopied(t *testing.T) {
	key := bytes.Clone(pepper1.Key)
	h := hasher(t, secrets.Pepper{Version: 1, Key: key})
	clear(key)
	require.Equal(t, hasher(t, pepper1).Digest(bound), h.Digest(bound))
}

func TestPepperRedactsItself(t *testing.T) {
	h := hasher(t, pepper3)
	h.Digest(bound)
	var logs bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&logs, nil), slog.NewJSONHandler(&logs, nil)} {
		slog.New(handler).Info("x", "pepper", pepper3, "list", []secrets.Pepper{pepper3}, "hasher", h)
	}
	out := []string{logs.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{pepper3, &pepper3, []secrets.Pepper{pepper3}, struct{ P []secrets.Pepper }{[]secrets.Pepper{pepper3}}, h} {
			out = append(out, fmt.Sprintf(verb, value))
		}
	}
	marshalled, err := json.Marshal(map[string]any{"peppers": []secrets.Pepper{pepper3}, "hasher": h})
	require.NoError(t, err)
	for _, text := range append(out, string(marshalled)) {
		for _, canary := range []string{
			"third pepper", fmt.Sprintf("%x", "third"), fmt.Sprintf("%X", "third"),
			strings.Trim(fmt.Sprint([]byte("third")), "[]"), base64.StdEncoding.EncodeToString([]byte("third ")), "0x74, 0x68",
			"lk_secret",
		} {
			require.NotContains(t, text, canary, "B11")
		}
	}
	require.Equal(t, "pepper 3", pepper3.String())
	require.Equal(t, "apikey.Pepper{Version:3}", fmt.Sprintf("%#v", pepper3))
}

func TestHasherIsConcurrent(t *testing.T) {
	h := hasher(t, pepper3, pepper1)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			b := bound
			b.Secret = strings.Repeat("s", 1<<(2*g)) // some beyond what is pooled
			for range 200 {
				if ok, _, err := h.Verify(h.Digest(b), b); !ok || err != nil {
					t.Error("a digest does not verify", err)
				}
				h.Dummy(b)
			}
		})
	}
	wg.Wait()
}

func FuzzVerify(f *testing.F) {
	h := hasher(f, pepper3, secrets.NoPepper(), pepper1)
	own := h.Digest(bound)
	f.Add(own)
	f.Add(hasher(f, pepper1).Digest(bound))
	f.Add("hmac-sha256$99999999999999999999$")
	f.Add("sha256$0$\n")
	known := map[string]bool{own: true, hasher(f, pepper1).Digest(bound): true, hasher(f).Digest(bound): true}
	f.Fuzz(func(t *testing.T, stored string) {
		ok, outdated, err := h.Verify(stored, bound)
		if ok != known[stored] || outdated && !ok || ok && err != nil {
			t.Fatalf("ok %t, outdated %t, error %v", ok, outdated, err)
		}
	})
}

func BenchmarkHasher(b *testing.B) {
	h := hasher(b, pepper3)
	bound := bound
	bound.Secret = strings.Repeat("s", 52)
	stored := h.Digest(bound)
	bare := hasher(b)
	storedBare := bare.Digest(bound)
	b.Run("verify hmac", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, _ = h.Verify(stored, bound)
		}
	})
	b.Run("verify sha256", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, _ = bare.Verify(storedBare, bound)
		}
	})
	b.Run("digest", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = h.Digest(bound)
		}
	})
}
