package oauth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// sealKey is a seal key of the given version.
func sealKey(version int) oauth.SealKey {
	return oauth.SealKey{Version: version, Key: bytes.Repeat([]byte{byte(version), 0xca}, 16)}
}

// fleet is a store and a clock, for servers that share them.
type fleet struct {
	t      testing.TB
	store  store.Store
	keys   store.SigningKeys // those of the store, whatever a test puts in their place
	clock  *oauthtest.Clock
	log    *harness.Recorder
	config oauth.Config
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	f := &fleet{t: t, store: memstore.New(), clock: harness.ClockAt(start), log: &harness.Recorder{}}
	f.keys = f.store.SigningKeys
	f.config = oauth.Config{
		Issuer: "https://a.example", Permissions: catalog, Now: f.clock.Now, Logger: f.log.Logger(),
		SealKeys: []oauth.SealKey{sealKey(1)},
	}
	return f
}

func (f *fleet) try(changes ...func(*oauth.Config)) (*oauth.Server, error) {
	cfg := f.config
	for _, change := range changes {
		change(&cfg)
	}
	return oauth.New(f.store, cfg)
}

func (f *fleet) server(changes ...func(*oauth.Config)) *oauth.Server {
	f.t.Helper()
	srv, err := f.try(changes...)
	require.NoError(f.t, err)
	return srv
}

// ahead is a server whose clock is that far ahead.
func (f *fleet) ahead(d time.Duration) *oauth.Server {
	f.t.Helper()
	return f.server(func(c *oauth.Config) { c.Now = func() time.Time { return f.clock.Now().Add(d) } })
}

func (f *fleet) published(srv *oauth.Server) []string {
	f.t.Helper()
	return kidsOf(f.t, serve(srv.JWKS(), http.MethodGet, "/", "").Body)
}

// ring is what the store holds.
func (f *fleet) ring() store.Ring {
	f.t.Helper()
	r, err := f.keys.Ring(f.t.Context())
	require.NoError(f.t, err)
	return r
}

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
		{"version 0", func(c *oauth.Config) { c.SealKeys = append(c.SealKeys, sealKey(0)) }, []string{"Config.SealKeys[1].Version: 0, but it must be 1 or more"}},
		{"a version twice", func(c *oauth.Config) { c.SealKeys = []oauth.SealKey{sealKey(1), sealKey(1)} }, []string{"Config.SealKeys[1].Version: 1 is listed twice"}},
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
	t.Run("seal keys need a store with SigningKeys", func(t *testing.T) {
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
		require.NoError(t, srv.Step())
		f.config.SealKeys = []oauth.SealKey{sealKey(1)}
		require.Equal(t, f.published(srv), f.published(f.server()))
	})
}

type durableRing struct{ store.SigningKeys }

func (durableRing) Durable() bool { return true }

// TestNewReadsTheKeys tests New with damaged keys; package signing tests more
// faults.
func TestNewReadsTheKeys(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.server()
	before := f.ring()
	srv, err := f.try(func(c *oauth.Config) { c.Issuer = "https://b.example" })
	require.ErrorContains(t, err, `oauth: open the signing keys: Config.SealKeys: seal key 1 does not open the signing key`)
	require.ErrorContains(t, err, `made for another issuer than "https://b.example"`)
	require.Nil(t, srv)
	require.Equal(t, before, f.ring())
}

func TestSigningAlgorithm(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256", "PS256"} {
		t.Run(algorithm, func(t *testing.T) {
			w := newWorld(t, func(s *setup) { s.config.SigningAlgorithm = algorithm })
			token := w.login(w.key.ID, w.secret)
			require.Equal(t, algorithm, harness.Head(t, token)["alg"])
			require.Equal(t, http.StatusOK, w.call(token))
		})
	}
}

// storeClock is a store with a clock.
type storeClock struct {
	store.Upkeep
	now func() time.Time
}

func (c *storeClock) Clock(context.Context) (time.Time, error) { return c.now(), nil }

// TestRotationAsksTheStoresClock tests that rotation compares the clock with the
// store's; package signing tests the cases.
func TestRotationAsksTheStoresClock(t *testing.T) {
	t.Parallel()
	t.Run("B29 a server whose clock is an hour ahead rotates no keys and says so", func(t *testing.T) {
		f := newFleet(t)
		f.store.Upkeep = &storeClock{f.store.Upkeep, f.clock.Now}
		f.server()
		before := f.ring()
		f.clock.Advance(30*24*time.Hour - time.Hour)
		wrong := f.ahead(time.Hour)
		require.NoError(t, wrong.Step())
		require.Equal(t, before, f.ring())
		require.Contains(t, f.log.String(), "the clock of this process differs from the store's")
	})
	t.Run("B29 keys that a clock two years ahead made do not stop rotation", func(t *testing.T) {
		f := newFleet(t)
		f.ahead(2 * 365 * 24 * time.Hour)
		f.store.Upkeep = &storeClock{f.store.Upkeep, f.clock.Now}
		f.server()
		require.Len(t, f.ring().Keys, 2)
	})
}

// TestSealKeyRedactsItself tests B11 for seal keys and the types that contain them.
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
