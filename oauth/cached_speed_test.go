package oauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// BenchmarkFloorCached is a login of one key through a cache in which it is,
// next to one on the store below.
func BenchmarkFloorCached(b *testing.B) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b, err)
	cfg := oauth.Config{Issuer: pairIssuer, Permissions: catalog, Logger: quiet, Signers: []oauth.SigningKey{{Key: private}}}
	below := memstore.New()
	cached, err := cache.New(below, cache.Config{Bound: time.Minute, Logger: quiet})
	require.NoError(b, err)
	here, err := oauth.New(cached.Store(), cfg)
	require.NoError(b, err)
	floor, err := oauth.New(below, cfg)
	require.NoError(b, err)
	key, secret, err := floor.APIKeys().Create(context.Background(), admin, apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list project.read"),
	})
	require.NoError(b, err)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {key.ID}, "client_secret": {secret.Reveal()}}.Encode()

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { cached.Run(ctx) })
	defer running.Wait()
	defer cancel()
	require.Eventually(b, cached.Usable, time.Minute, time.Millisecond)
	one, two := newCall(form), newCall(form)
	duel(b, func() error { return one.to(here.Token()) }, func() error { return two.to(floor.Token()) })
}
