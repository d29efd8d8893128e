package assertion_test

import (
	"context"
	"crypto/elliptic"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/assertion"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

// issuers returns the entries of GitHub and of a cluster with keys of this test, and a
// function that signs as they do.
func issuers(t *testing.T) ([]trust.Issuer, func(claims map[string]any) string) {
	t.Helper()
	signer, err := jose.NewSignerOf("JWT", jose.RS256, "k", harness.RSAKey())
	require.NoError(t, err)
	keys, err := jose.MarshalKeySet([]jose.PublicKey{signer.Public()})
	require.NoError(t, err)
	github, cluster := trust.GitHubActions(), trust.Kubernetes("cluster", "https://cluster.example.com")
	github.JWKS, cluster.JWKS = keys, keys
	return []trust.Issuer{github, cluster}, func(claims map[string]any) string {
		now := time.Now()
		all := map[string]any{"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
		maps.Copy(all, claims)
		data, err := json.Marshal(all)
		if err != nil {
			t.Error(err) // it also runs in the server's goroutine
		}
		token, err := signer.Sign(data)
		if err != nil {
			t.Error(err)
		}
		return token
	}
}

// TestTrusted logs in with identities of other issuers.
func TestTrusted(t *testing.T) {
	entries, sign := issuers(t)
	own := newECDSA(t, elliptic.P256())
	h := newHost(t, own, "k1", entries...)
	for _, to := range []store.Trust{
		{Issuer: "github", Claims: []store.Claim{{Name: "repository_id", Value: "42"}, {Name: "environment", Value: "production"}}},
		{Issuer: "cluster", Claims: []store.Claim{{Name: "sub", Value: "system:serviceaccount:shop:deploy"}}},
	} {
		_, err := h.server.APIKeys().AddCredential(t.Context(), apikey.OrganizationAdmin("operator"), h.clientID, apikey.CredentialSpec{Name: "trust", Trust: &to})
		require.NoError(t, err)
	}
	login := func(t *testing.T, from func(context.Context) (string, error)) {
		t.Helper()
		token, err := assertion.TokenSource(t.Context(), assertion.Config{TokenURL: h.tokenURL, ClientID: h.clientID, Assertion: from}).Token()
		require.NoError(t, err)
		require.Equal(t, h.clientID, harness.Claims(t, token.AccessToken)["client_id"])
	}

	t.Run("GitHub Actions", func(t *testing.T) {
		environment := "production"
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"value":%q}`, sign(map[string]any{
				"iss": "https://token.actions.githubusercontent.com", "sub": "repo:acme/shop", "aud": r.URL.Query().Get("audience"),
				"repository_id": "42", "environment": environment, "event_name": "push",
			}))
		}))
		defer web.Close()
		inJob(t, web.URL, jobToken)
		login(t, assertion.GitHubActions(h.issuer))
		refused(t, assertion.Config{TokenURL: h.tokenURL, ClientID: h.clientID, Assertion: assertion.GitHubActions(h.tokenURL)}, http.StatusUnauthorized, "invalid_client")
		environment = "staging"
		refused(t, assertion.Config{TokenURL: h.tokenURL, ClientID: h.clientID, Assertion: assertion.GitHubActions(h.issuer)}, http.StatusUnauthorized, "invalid_client")
	})

	t.Run("Kubernetes", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "token")
		project := func(account string) {
			text := sign(map[string]any{"iss": "https://cluster.example.com", "sub": "system:serviceaccount:shop:" + account, "aud": []string{h.issuer}})
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		}
		project("deploy")
		login(t, assertion.File(path))
		login(t, assertion.File(path)) // the same token
		project("other")
		refused(t, assertion.Config{TokenURL: h.tokenURL, ClientID: h.clientID, Assertion: assertion.File(path)}, http.StatusUnauthorized, "invalid_client")
	})
}
