package oauthtest_test

import (
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
