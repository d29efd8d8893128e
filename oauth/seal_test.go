package oauth_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func ExampleSealKey() {
	key := oauth.SealKey{Version: 3, Key: []byte("32 bytes from your secret store.")}
	fmt.Println(key)
	// Output: seal key 3
}

func TestRingConfig(t *testing.T) {
	t.Parallel()
	_, edKey, _ := testKeys()
	long := make([]byte, 33)
	long[0] = 1
	for _, tc := range []struct {
		name   string
		change func(*oauth.Config)
		want   []string // in the error; none: fine
	}{
		{"one seal key", func(*oauth.Config) {}, nil},
		{"two in any order", func(c *oauth.Config) { c.SealKeys = []oauth.SealKey{sealKey(9), sealKey(1)} }, nil},
		{"seal keys and signers", func(c *oauth.Config) { c.Signers = []oauth.SigningKey{{Key: edKey}} }, []string{"Config.Signers and Config.SealKeys exclude each other"}},
		{"version 0", func(c *oauth.Config) { c.SealKeys = append(c.SealKeys, sealKey(0)) }, []string{"Config.SealKeys[1].Version: 0, must be 1 or more"}},
		{"a version twice", func(c *oauth.Config) { c.SealKeys = []oauth.SealKey{sealKey(1), sealKey(1)} }, []string{"Config.SealKeys[1].Version: 1 is there twice"}},
		{"31 bytes", func(c *oauth.Config) { c.SealKeys = []oauth.SealKey{{Version: 1, Key: long[:31]}} }, []string{"Config.SealKeys[0].Key: 31 bytes"}},
		{"33 bytes", func(c *oauth.Config) { c.SealKeys = []oauth.SealKey{{Version: 1, Key: long}} }, []string{"Config.SealKeys[0].Key: 33 bytes"}},
		{"no bytes", func(c *oauth.Config) { c.SealKeys = []oauth.SealKey{{Version: 1}} }, []string{"Config.SealKeys[0].Key: 0 bytes"}},
		{"zeros", func(c *oauth.Config) { c.SealKeys = []oauth.SealKey{{Version: 1, Key: make([]byte, 32)}} }, []string{"Config.SealKeys[0].Key: all bytes are zero"}},
		{"every problem", func(c *oauth.Config) { c.SealKeys, c.RotateEvery = []oauth.SealKey{{}, {Version: 2}}, 1 }, []string{"SealKeys[0]", "SealKeys[1]", "Config.RotateEvery is 1ns"}},
		{"too often", func(c *oauth.Config) { c.RotateEvery = time.Hour - 1 }, []string{"Config.RotateEvery is 59m"}},
		{"too seldom", func(c *oauth.Config) { c.RotateEvery = 366*24*time.Hour + 1 }, []string{"Config.RotateEvery is 8784h"}},
		{"a negative period", func(c *oauth.Config) { c.RotateEvery = -time.Hour }, []string{"Config.RotateEvery is -1h"}},
		{"an unknown algorithm", func(c *oauth.Config) { c.SigningAlgorithm = "none" }, []string{`Config.SigningAlgorithm is "none"`}},
		{"an algorithm without public keys", func(c *oauth.Config) { c.SigningAlgorithm = "HS256" }, []string{"Config.SigningAlgorithm"}},
		{"another fault", func(c *oauth.Config) { c.TokenPath = "x" }, []string{"Config.TokenPath"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFleet(t)
			srv, err := f.try(tc.change)
			if len(tc.want) == 0 {
				require.NoError(t, err)
				require.Equal(t, int64(1), f.ring().Version)
				return
			}
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
			require.Nil(t, srv)
			require.Zero(t, f.ring(), "nothing was written")
		})
	}
	t.Run("a durable store needs one or the other", func(t *testing.T) {
		f := newFleet(t)
		f.store.SigningKeys = durableRing{f.keys}
		_, err := f.try(func(c *oauth.Config) { c.SealKeys = nil })
		require.ErrorContains(t, err, "Config.Signers and Config.SealKeys are empty, and Store.SigningKeys is durable")
		require.Zero(t, f.ring())
		f.server()
		require.Len(t, f.ring().Keys, 1)
	})
	t.Run("seal keys need a place", func(t *testing.T) {
		f := newFleet(t)
		f.store.SigningKeys = nil
		_, err := f.try()
		require.ErrorContains(t, err, "Store.SigningKeys is missing")
	})
	t.Run("the caller's key is copied", func(t *testing.T) {
		f := newFleet(t)
		key := sealKey(1)
		f.config.SealKeys = []oauth.SealKey{key}
		srv := f.server()
		clear(key.Key)
		f.clock.Advance(30 * 24 * time.Hour)
		require.NoError(t, f.step(srv))
		f.config.SealKeys = []oauth.SealKey{sealKey(1)}
		require.Equal(t, f.published(srv), f.published(f.server()))
	})
}

type durableRing struct{ store.SigningKeys }

func (durableRing) Durable() bool { return true }

// opened opens a record as it is documented to be sealed, without our code.
func opened(t testing.TB, key oauth.SealKey, issuer string, record store.SigningKey) []byte {
	t.Helper()
	require.Equal(t, key.Version, record.SealKey)
	var bound []byte
	for _, part := range []string{"latchkey signing key", record.ID, record.Algorithm, issuer} {
		bound = binary.BigEndian.AppendUint32(bound, uint32(len(part)))
		bound = append(bound, part...)
	}
	block, err := aes.NewCipher(key.Key)
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	private, err := gcm.Open(nil, record.Sealed[:12], record.Sealed[12:], bound)
	require.NoError(t, err)
	return private
}

func TestStoreHoldsNoPrivateKey(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	srv := f.server()
	f.clock.Advance(30*24*time.Hour - 10*time.Minute)
	require.NoError(t, f.step(srv))
	ring := f.ring()
	require.Len(t, ring.Keys, 2)
	marshalled, err := json.Marshal(ring)
	require.NoError(t, err)
	dump := fmt.Sprintf("%s %v %+v", marshalled, ring, ring) + f.log.String()
	for _, record := range ring.Keys {
		text := opened(t, sealKey(1), "https://a.example", record)
		parsed, err := x509.ParsePKCS8PrivateKey(text)
		require.NoError(t, err)
		private, err := parsed.(*ecdsa.PrivateKey).Bytes()
		require.NoError(t, err)
		require.False(t, bytes.Contains(record.Sealed, private), "B11")
		for _, secret := range []string{string(text), string(private), string(sealKey(1).Key)} {
			for _, form := range forms(secret) {
				require.NotContains(t, dump, form, "B11")
			}
		}
	}
	require.NotEqual(t, ring.Keys[0].Sealed[:12], ring.Keys[1].Sealed[:12], "a nonce of its own")
}

// TestSealKeyRedactsItself is B11 for seal keys and what holds them.
func TestSealKeyRedactsItself(t *testing.T) {
	t.Parallel()
	const canary = "canary-seal-key-0123456789abcdef"
	key := oauth.SealKey{Version: 7, Key: []byte(canary)}
	cfg := oauth.Config{Issuer: "https://a.example", Permissions: catalog, Logger: quiet, SealKeys: []oauth.SealKey{key}}
	srv, err := oauth.New(memstore.New(), cfg)
	require.NoError(t, err)
	var out bytes.Buffer
	for _, value := range []any{key, &key, cfg.SealKeys, cfg, &cfg, srv, map[string]any{"key": key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("x", "value", value)
		}
	}
	for _, value := range []any{key, &key, cfg.SealKeys} {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		out.Write(text)
	}
	out.WriteString(key.String() + key.GoString())
	for _, form := range append(forms(canary), fmt.Sprintf("%X", canary), string(bytes.Trim(fmt.Append(nil, []byte(canary)), "[]"))) {
		require.NotContains(t, out.String(), form, "B11")
	}
	require.Contains(t, out.String(), "seal key 7")
}

// TestSealAnew moves a ring from one seal key to the next.
func TestSealAnew(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	old := f.server()
	f.clock.Advance(30*24*time.Hour - 10*time.Minute)
	require.NoError(t, f.step(old))
	token, _ := f.login(old)
	before := f.ring()
	kids := f.published(old)
	require.Len(t, before.Keys, 2)

	both := f.server(func(c *oauth.Config) { c.SealKeys = []oauth.SealKey{sealKey(2), sealKey(1)} })
	after := f.ring()
	require.Equal(t, before.Version+1, after.Version, "in one write")
	for i, record := range after.Keys {
		require.Equal(t, 2, record.SealKey)
		require.Equal(t, opened(t, sealKey(1), f.config.Issuer, before.Keys[i]), opened(t, sealKey(2), f.config.Issuer, record))
		record.SealKey, record.Sealed = before.Keys[i].SealKey, before.Keys[i].Sealed
		require.Equal(t, before.Keys[i], record, "nothing else changed")
	}
	require.Equal(t, kids, f.published(both))
	require.NoError(t, f.step(both))
	require.Equal(t, after, f.ring(), "and once")

	t.Run("then the old one can go", func(t *testing.T) {
		f := f.at(t)
		srv := f.server(func(c *oauth.Config) { c.SealKeys = []oauth.SealKey{sealKey(2)} })
		require.Equal(t, kids, f.published(srv))
		_, err := srv.Verifier().Verify(t.Context(), token)
		require.NoError(t, err)
	})
	t.Run("a replica that lacks the new one keeps what it has", func(t *testing.T) {
		f := f.at(t)
		require.ErrorContains(t, f.step(old), `Config.SealKeys has no version 2, which sealed the signing key "`+kids[0]+`"`)
		require.Equal(t, kids, f.published(old))
		fresh, _ := f.login(old)
		_, err := both.Verifier().Verify(t.Context(), fresh)
		require.NoError(t, err)
	})
	t.Run("and cannot start", func(t *testing.T) {
		f := f.at(t)
		srv, err := f.try()
		require.ErrorContains(t, err, "Config.SealKeys has no version 2")
		require.Nil(t, srv)
		require.Equal(t, after, f.ring())
	})
}

// sealedOnce is a record of sealKey(1) for https://a.example: what one release
// sealed, the next ones open.
func sealedOnce(t testing.TB) store.SigningKey {
	t.Helper()
	sealed, err := base64.StdEncoding.DecodeString("1zdf5I06KRajeY9UU+gIOeAHwYEpJ2pJS2BQFen9swgtDFINO2JB" +
		"DK9S8tL8koau9cinK8tztcO1WGocfrOaaxzHD7bz3r2ivukzxw==")
	require.NoError(t, err)
	return store.SigningKey{
		ID: "Is8VkHi_IUEeg_CU34MTIdbsB37Zekg2v1zejFFqIfQ", Algorithm: "EdDSA", Sealed: sealed, SealKey: 1, Created: start, NotBefore: start,
	}
}

// FuzzSealed changes a record: whatever is not what was sealed opens nothing,
// makes no new ring and panics nobody.
func FuzzSealed(fz *testing.F) {
	f := newFleet(fz)
	good := sealedOnce(fz)
	fz.Add(good.ID, good.Algorithm, good.Sealed, good.SealKey)
	fz.Add("", "", []byte(nil), 0)
	fz.Add(good.ID, "ES256", good.Sealed, 1)
	fz.Add(good.ID, "HS256", good.Sealed[:11], 1)
	fz.Add("a", good.Algorithm, good.Sealed[:28], -1)
	fz.Fuzz(func(t *testing.T, id, algorithm string, sealed []byte, version int) {
		record := good
		record.ID, record.Algorithm, record.Sealed, record.SealKey = id, algorithm, slices.Clone(sealed), version
		f := f.at(t)
		f.store = memstore.New()
		require.NoError(t, f.store.SigningKeys.SetRing(t.Context(), store.Ring{Keys: []store.SigningKey{record}}))
		f.keys = f.store.SigningKeys
		same := id == good.ID && algorithm == good.Algorithm && bytes.Equal(sealed, good.Sealed) && version == good.SealKey
		srv, err := f.try()
		require.Equal(t, same, err == nil, "%v", err)
		require.Equal(t, same, srv != nil)
		require.Equal(t, int64(1), f.ring().Version)
	})
}
