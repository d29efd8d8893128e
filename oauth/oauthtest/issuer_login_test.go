package oauthtest_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// The identities of an Issuer are accepted by the ready entries, through the whole login.
func TestIssuerLogin(t *testing.T) {
	for name, c := range map[string]struct {
		entry    func(issuer string) trust.Issuer
		identity func(*oauthtest.Issuer, string) oauthtest.Identity
		claims   []store.Claim
	}{
		"GitHub Actions": {
			func(string) trust.Issuer { return trust.GitHubActions() }, (*oauthtest.Issuer).GitHubActions,
			[]store.Claim{{Name: "repository_id", Value: "74"}, {Name: "environment", Value: "production"}, {Name: "ref", Value: "refs/heads/*"}},
		},
		"GitLab": {
			func(issuer string) trust.Issuer { return trust.GitLab("gitlab", issuer) }, (*oauthtest.Issuer).GitLab,
			[]store.Claim{{Name: "project_id", Value: "20"}, {Name: "ref_path", Value: "refs/heads/main"}, {Name: "environment", Value: "production"}},
		},
		"Kubernetes": {
			func(issuer string) trust.Issuer { return trust.Kubernetes("cluster", issuer) }, (*oauthtest.Issuer).Kubernetes,
			[]store.Claim{{Name: "sub", Value: "system:serviceaccount:ci:deployer"}, {Name: "serviceaccount_uid", Value: "e6a8680e-d103-4cce-80ea-03acbbeacf7d"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := oauthtest.NewIssuer(t)
			entry := issuer.Entry(c.entry(issuer.URL))
			entry.Algorithms = []string{"RS256", "ES256"}
			auth := oauthtest.NewWith(t, oauth.Config{Permissions: catalog, TrustedIssuers: []trust.Issuer{entry}})
			issuer.Clock = auth.Clock
			key, _, err := auth.Server().APIKeys().Create(t.Context(), apikey.OrganizationAdmin("ada"), apikey.Spec{
				Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list"), NoSecret: true,
				Credentials: []apikey.CredentialSpec{{Name: name, Trust: &store.Trust{Issuer: entry.Name, Claims: c.claims}}},
			})
			require.NoError(t, err)
			login := func(audience string) error {
				_, err := auth.LoginWithAssertion(t, key.ID, issuer.Sign(t, c.identity(issuer, audience)))
				return err
			}
			require.NoError(t, login(auth.URL))
			require.ErrorContains(t, login("https://other.example"), "401 Unauthorized")

			auth.Clock.Advance(2 * time.Minute) // a fetch for an unknown kid is allowed again
			issuer.Rotate(t, "ES256")
			require.NoError(t, login(auth.URL), "a new key is fetched")

			auth.Clock.Advance(2 * time.Minute)
			issuer.Down()
			require.NoError(t, login(auth.URL), "a known key works while the issuer is down")
			issuer.Rotate(t, "ES256")
			require.ErrorContains(t, login(auth.URL), "503 Service Unavailable")
		})
	}
}

// The keys of an entry can be static, and the issuer is then never asked.
func TestIssuerWithStaticKeys(t *testing.T) {
	issuer := oauthtest.NewIssuer(t)
	entry := trust.Kubernetes("cluster", "https://kubernetes.default.svc.cluster.local")
	entry.JWKS, issuer.URL = issuer.JWKS(), entry.Issuer
	auth := oauthtest.NewWith(t, oauth.Config{
		Permissions:    scope.MustCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{{Name: "project.list"}}}),
		TrustedIssuers: []trust.Issuer{entry},
	})
	issuer.Clock = auth.Clock
	key, _, err := auth.Server().APIKeys().Create(t.Context(), apikey.OrganizationAdmin("ada"), apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list"), NoSecret: true,
		Credentials: []apikey.CredentialSpec{{Name: "pod", Trust: &store.Trust{
			Issuer: "cluster", Claims: []store.Claim{{Name: "sub", Value: "system:serviceaccount:ci:deployer"}},
		}}},
	})
	require.NoError(t, err)
	_, err = auth.LoginWithAssertion(t, key.ID, issuer.Sign(t, issuer.Kubernetes(auth.URL)))
	require.NoError(t, err)
	metadata, keys := issuer.Fetches()
	require.Zero(t, metadata+keys)
}

// Two clusters have one issuer URL, and a key trusts both. The server of one hangs.
func TestLoginsWhileAnIssuerHangs(t *testing.T) {
	inTime := func(cfg oauth.Config) *oauthtest.Server { // something must still be possible after the identity is accepted
		cfg.Permissions, cfg.LoginTimeout, cfg.Logger = catalog, 900*time.Millisecond, slog.New(slog.DiscardHandler) // a fetch ends after the test
		cfg.APIKeys.Workspaces = func(ctx context.Context, _ string) (bool, error) { return true, ctx.Err() }
		return oauthtest.NewWith(t, cfg)
	}
	create := func(auth *oauthtest.Server, entries ...string) string {
		var credentials []apikey.CredentialSpec
		for _, entry := range entries {
			credentials = append(credentials, apikey.CredentialSpec{Name: entry, Trust: &store.Trust{Issuer: entry, Claims: []store.Claim{{Name: "sub", Value: "system:serviceaccount:ci:deployer"}}}})
		}
		key, _, err := auth.Server().APIKeys().Create(t.Context(), apikey.OrganizationAdmin("ada"), apikey.Spec{
			Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list"), NoSecret: true, Credentials: credentials,
		})
		require.NoError(t, err)
		return key.ID
	}
	t.Run("B34 another entry of its URL", func(t *testing.T) {
		hanging, working := oauthtest.NewIssuer(t), oauthtest.NewIssuer(t)
		hanging.Hang()
		working.Rotate(t, "ES256") // a kid that hanging does not have
		second := trust.Kubernetes("second", hanging.URL)
		second.JWKS = working.JWKS()
		auth := inTime(oauth.Config{TrustedIssuers: []trust.Issuer{hanging.Entry(trust.Kubernetes("first", "")), second}})
		working.Clock = auth.Clock
		id := create(auth, "first", "second")
		identity := working.Kubernetes(auth.URL)
		identity.Claims["iss"] = hanging.URL
		for range 3 {
			_, err := auth.LoginWithAssertion(t, id, working.Sign(t, identity))
			require.NoError(t, err)
		}
	})
	t.Run("B34 a key that is known", func(t *testing.T) {
		issuer := oauthtest.NewIssuer(t)
		auth := inTime(oauth.Config{TrustedIssuers: []trust.Issuer{issuer.Entry(trust.Kubernetes("first", ""))}})
		issuer.Clock = auth.Clock
		id := create(auth, "first")
		_, err := auth.LoginWithAssertion(t, id, issuer.Sign(t, issuer.Kubernetes(auth.URL)))
		require.NoError(t, err)
		issuer.Hang()
		auth.Clock.Advance(6 * time.Minute)
		_, err = auth.LoginWithAssertion(t, id, issuer.Sign(t, issuer.Kubernetes(auth.URL)))
		require.NoError(t, err)
	})
}
