package oauth_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func ExampleServer_RevokeSigningKeys() {
	ctx := context.Background()
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer:      "https://api.example.com",
		Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}}),
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	before := serve(srv.JWKS(), http.MethodGet, "/", "").Body
	if err := srv.RevokeSigningKeys(ctx); err != nil {
		fmt.Println(err)
		return
	}
	after := serve(srv.JWKS(), http.MethodGet, "/", "").Body
	fmt.Println("other keys are published:", before != after)
	// Output: other keys are published: true
}

// TestRotationElsewhere tests which tokens a resource server that fetches the keys
// accepts after a call of RotateSigningKey or RevokeSigningKeys.
func TestRotationElsewhere(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		rotate func(*oauth.Server, context.Context) error
		// fresh and old say whether the resource server accepts tokens of the new key
		// and of the previous one, at once and after a Cooldown.
		fresh, old [2]bool
	}{
		{"the new key signs when it is known", func(s *oauth.Server, ctx context.Context) error {
			return s.RotateSigningKey(ctx, oauth.Rotation{})
		}, [2]bool{true, true}, [2]bool{true, true}},
		{"the new key signs now", func(s *oauth.Server, ctx context.Context) error {
			return s.RotateSigningKey(ctx, oauth.Rotation{Now: true})
		}, [2]bool{false, true}, [2]bool{true, true}},
		{"revoked", (*oauth.Server).RevokeSigningKeys, [2]bool{false, true}, [2]bool{true, false}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRolling(t, func(*oauth.Config, []int) {})
			srv, err := r.start()
			require.NoError(t, err)
			other := r.server()
			web := httptest.NewServer(srv.JWKS())
			t.Cleanup(web.Close)
			keys, err := bearer.NewRemoteKeys(bearer.RemoteKeysConfig{URL: web.URL, InsecureLoopback: true, Now: r.clock.Now, Logger: quiet})
			require.NoError(t, err)
			remote, err := bearer.New(bearer.Config{
				Issuer: r.config.Issuer, Audiences: []string{r.config.Issuer}, Keys: keys, Now: r.clock.Now, Logger: quiet,
			})
			require.NoError(t, err)
			passes := func(v *bearer.Verifier, token string) bool {
				_, err := v.Verify(t.Context(), token)
				if err != nil {
					require.ErrorIs(t, err, bearer.ErrInvalid)
				}
				return err == nil
			}
			key := r.create(srv)
			before := r.login(srv, key)
			require.True(t, passes(remote, before))
			r.clock.Advance(time.Second)
			require.NoError(t, tc.rotate(srv, t.Context()))
			fresh := r.login(srv, key)
			require.True(t, passes(srv.Verifier(), fresh))
			require.Equal(t, tc.old[1], passes(srv.Verifier(), before), "here at once")
			require.Equal(t, tc.fresh[0], passes(remote, fresh))
			require.Equal(t, tc.old[0], passes(remote, before))
			r.clock.Advance(bearer.DefaultCooldown)
			require.Equal(t, tc.fresh[1], passes(remote, fresh))
			require.Equal(t, tc.old[1], passes(remote, before))
			require.NoError(t, other.Step())
			require.True(t, passes(other.Verifier(), fresh))
			require.Equal(t, tc.old[1], passes(other.Verifier(), before))
		})
	}
	t.Run("the host's own keys", func(t *testing.T) {
		r := newRolling(t, hostLists[3].listed)
		srv, err := r.start(1)
		require.NoError(t, err)
		require.ErrorContains(t, srv.RotateSigningKey(t.Context(), oauth.Rotation{}), "oauth: rotate the signing key: the signing keys are the host's: to replace one, change Config.Signers")
		require.ErrorContains(t, srv.RevokeSigningKeys(t.Context()), "oauth: revoke the signing keys: the signing keys are the host's")
	})
}

// TestRevokedElsewhere tests that other replicas follow at once if there is a
// stream of changes.
func TestRevokedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRolling(t, func(*oauth.Config, []int) {})
		srv, other := r.server(), r.server()
		key := r.create(srv)
		before := r.login(other, key)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- other.Run(ctx) }()
		synctest.Wait()
		require.NoError(t, srv.RevokeSigningKeys(t.Context()))
		synctest.Wait()
		_, err := other.Verifier().Verify(t.Context(), before)
		require.ErrorIs(t, err, bearer.ErrInvalid)
		require.Equal(t, r.published(srv), r.published(other))
		cancel()
		require.NoError(t, <-done)
	})
}

// TestRunRecordsTheSigner tests that a signer stays in use as long as a server runs
// with it.
func TestRunRecordsTheSigner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRolling(t, hostLists[3].listed)
		r.config.Now = time.Now
		srv, err := r.start(1)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- srv.Run(ctx) }()
		time.Sleep(48 * time.Hour) //nolint:forbidigo // the bubble's clock
		_, err = r.start(2)
		require.ErrorContains(t, err, "Config.Signers lacks signer v1")
		cancel()
		require.NoError(t, <-done)
	})
}
