package oauthtest_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// DeployTrust is the host's code: the jobs that may deploy.
func DeployTrust() store.Trust {
	return store.Trust{Issuer: "github", Claims: []store.Claim{
		{Name: "repository_id", Value: "74"},
		{Name: "environment", Value: "production"},
	}}
}

// A test of a trust: which jobs of GitHub Actions can log in.
func ExampleNewIssuer() {
	TestDeployTrust := func(t testing.TB) {
		issuer := oauthtest.NewIssuer(t)
		auth := oauthtest.NewWith(t, oauth.Config{
			Permissions:    scope.MustCatalog(scope.Group{Title: "Deploy", Permissions: []scope.Permission{{Name: "deploy"}}}),
			TrustedIssuers: []trust.Issuer{issuer.Entry(trust.GitHubActions())},
		})
		issuer.Clock = auth.Clock
		deploy := DeployTrust()
		key, _, err := auth.Server().APIKeys().Create(t.Context(), apikey.OrganizationAdmin("ada"), apikey.Spec{
			Workspace: "team-a", Name: "deploy", Permissions: scope.MustParse("deploy"),
			NoSecret: true, Credentials: []apikey.CredentialSpec{{Name: "GitHub", Trust: &deploy}},
		})
		if err != nil {
			t.Fatalf("%v", err)
		}
		for _, job := range []struct {
			name, claim, value string
			accepted           bool
		}{
			{"of the repository", "ref", "refs/heads/main", true},
			{"of another repository", "repository_id", "75", false},
			{"in another environment", "environment", "staging", false},
			{"of a pull request", "event_name", "pull_request", false},
		} {
			identity := issuer.GitHubActions(auth.URL)
			identity.Claims[job.claim] = job.value
			_, err := auth.LoginWithAssertion(t, key.ID, issuer.Sign(t, identity))
			if (err == nil) != job.accepted {
				t.Errorf("a job %s: %v", job.name, err)
			}
		}
	}
	run(TestDeployTrust)
	// Output: PASS
}
