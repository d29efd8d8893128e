package trust_test

import (
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

// BenchmarkFind is the part of a login that checks an identity of GitHub's. The other
// two are what a program would do by hand, with the key at hand.
func BenchmarkFind(b *testing.B) {
	w := github(b)
	token := w.token()
	l := w.list()
	b.Run("Find", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := find(b.Context(), l, token, []store.Trust{w.trust}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("golang-jwt", func(b *testing.B) {
		b.ReportAllocs()
		parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(w.entry.Issuer), jwt.WithAudience(audience), jwt.WithTimeFunc(w.clock.Now))
		for b.Loop() {
			claims := jwt.MapClaims{}
			if _, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return w.signer.public.Key, nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("jose", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			parsed, err := jose.ParseAssertion(token)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := parsed.Verify(w.signer.public); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// github returns a world whose issuer is GitHub Actions with a key of the test's.
func github(t testing.TB) *world {
	w := newWorld(t)
	w.signer = newSigner(t, jose.RS256, "k1")
	w.entry = trust.GitHubActions()
	w.entry.JWKS = keySet(t, w.signer.public)
	w.header["alg"] = "RS256"
	w.header["x5t"] = "k1"
	w.trust = trusts("github", "repository_id", "74", "ref", "refs/heads/main")
	// The members that GitHub's documentation shows.
	for name, value := range map[string]any{
		"iss": w.entry.Issuer, "sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "jti": "example-id", "nbf": w.clock.Now().Unix() - 600,
		"environment": "prod", "ref": "refs/heads/main", "sha": "example-sha", "repository": "octo-org/octo-repo", "repository_owner": "octo-org",
		"actor_id": "12", "repository_visibility": "private", "repository_id": "74", "repository_owner_id": "65", "run_id": "example-run-id",
		"run_number": "10", "run_attempt": "2", "runner_environment": "github-hosted", "actor": "octocat", "workflow": "example-workflow",
		"head_ref": "", "base_ref": "", "event_name": "workflow_dispatch", "ref_type": "branch",
		"job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main",
		"workflow_ref":     "octo-org/octo-repo/.github/workflows/deploy.yml@refs/heads/main",
	} {
		w.claims[name] = value
	}
	for _, name := range []string{"project_id", "event", "n", "kubernetes.io"} {
		delete(w.claims, name)
	}
	require.Len(t, w.claims, 28)
	return w
}
