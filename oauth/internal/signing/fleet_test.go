package signing_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/signing"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// start is when every test begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 400_000_000, time.UTC)

const (
	issuer       = "https://a.example"
	period, lead = 30 * 24 * time.Hour, 10 * time.Minute
)

// sealKey is a seal key of the given version.
func sealKey(version int) (key [32]byte) {
	for i := range key {
		key[i] = []byte{byte(version), 0xca}[i%2]
	}
	return key
}

// sealKeys are those of the given versions.
func sealKeys(versions ...int) []signing.SealKey {
	var keys []signing.SealKey
	for _, version := range versions {
		keys = append(keys, signing.SealKey{Version: version, Key: sealKey(version)})
	}
	return keys
}

// givenKey is a key of the host's.
func givenKey(t testing.TB, kid string) *jose.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := jose.NewSigner(jose.EdDSA, kid, private)
	require.NoError(t, err)
	return signer
}

// fleet is a store and a clock, for replicas that share them.
type fleet struct {
	t        testing.TB
	store    store.Store
	keys     store.SigningKeys // not through the tap
	tap      *storetest.Tap
	written  *atomic.Int64 // how often the ring was changed
	clock    *oauthtest.Clock
	log      *harness.Recorder
	config   signing.Config
	lifetime time.Duration // of tokens
	leeway   time.Duration
}

func newFleet(t testing.TB) *fleet {
	t.Helper()
	f := &fleet{t: t, clock: harness.ClockAt(start), log: &harness.Recorder{}, lifetime: 10 * time.Minute}
	below := memstore.New()
	f.tap, f.keys, f.written = &storetest.Tap{}, below.SigningKeys, &atomic.Int64{}
	f.store = f.tap.Over(below)
	f.tap.After(func(call string, err error) error {
		if call == "SigningKeys.SetRing" && err == nil {
			f.written.Add(1)
		}
		return err
	})
	f.config = signing.Config{
		SealKeys: sealKeys(1), Issuer: issuer, Algorithm: jose.ES256, RotateEvery: period, Now: f.clock.Now, Logger: f.log.Logger(),
	}
	return f
}

// at is the fleet as a subtest sees it.
func (f *fleet) at(t testing.TB) *fleet {
	there := *f
	there.t = t
	return &there
}

// replica is a server with its ring: it signs tokens and verifies them.
type replica struct {
	*signing.Ring
	verifier *bearer.Verifier
	now      func() time.Time
}

// Verifier is that of the server's guards.
func (r *replica) Verifier() *bearer.Verifier { return r.verifier }

// try starts a replica.
func (f *fleet) try(changes ...func(*signing.Config)) (*replica, error) {
	cfg := f.config
	cfg.Store = f.store.SigningKeys
	for _, change := range changes {
		change(&cfg)
	}
	records := f.store
	records.HostLists = memstore.New().HostLists // the ring needs none
	keys, err := apikey.New(records, apikey.Config{Permissions: harness.Catalog, Now: cfg.Now, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	cfg.CheckClock, cfg.StoreClock = keys.CheckClock, f.store.Upkeep.Clock
	ring, err := signing.New(cfg)
	if err != nil {
		return nil, err
	}
	if err := ring.Start(context.Background()); err != nil {
		return nil, err
	}
	verifier, err := bearer.New(bearer.Config{
		Issuer: issuer, Audiences: []string{issuer}, Keys: ring, Leeway: f.leeway, Now: cfg.Now, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	return &replica{ring, verifier, cfg.Now}, nil
}

func (f *fleet) server(changes ...func(*signing.Config)) *replica {
	f.t.Helper()
	srv, err := f.try(changes...)
	require.NoError(f.t, err)
	return srv
}

// ahead is a server on the fleet's store whose clock is that far ahead.
func (f *fleet) ahead(d time.Duration) *replica {
	return f.server(func(c *signing.Config) { c.Now = func() time.Time { return f.clock.Now().Add(d) } })
}

// login returns a token of the server, and the kid that signed it.
func (f *fleet) login(srv *replica) (token, kid string) {
	f.t.Helper()
	now := srv.now()
	token, err := srv.Signer(f.t.Context()).Sign(jose.AppendClaims(nil, &jose.Claims{
		Issuer: issuer, Subject: "key-1", ClientID: "key-1", Audience: []string{issuer}, Scope: "project.list", TokenID: rand.Text(),
		IssuedAt: now.Unix(), Expires: now.Add(f.lifetime).Unix(), Workspace: "team-a", CredentialID: "s",
	}))
	require.NoError(f.t, err)
	return token, harness.Head(f.t, token)["kid"].(string)
}

func (f *fleet) kid(srv *replica) string {
	f.t.Helper()
	_, kid := f.login(srv)
	return kid
}

// published returns the kids of the JWKS.
func (f *fleet) published(srv *replica) []string {
	f.t.Helper()
	var set struct {
		Keys []struct{ Kid string }
	}
	require.NoError(f.t, json.Unmarshal(srv.JWKS(f.t.Context()), &set))
	kids := make([]string, len(set.Keys))
	for i, key := range set.Keys {
		kids[i] = key.Kid
	}
	return kids
}

func (f *fleet) step(srv *replica) error { return srv.Step(f.t.Context()) }

// ring is what the store holds.
func (f *fleet) ring() store.Ring {
	f.t.Helper()
	r, err := f.keys.Ring(f.t.Context())
	require.NoError(f.t, err)
	return r
}
