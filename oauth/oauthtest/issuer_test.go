package oauthtest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/trust"
)

func fetch(t testing.TB, url string) (int, []byte) {
	t.Helper()
	answer, err := http.Get(url)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, body
}

// published returns the keys that a client finds by discovery.
func published(t testing.TB, issuer *oauthtest.Issuer) map[string]jose.PublicKey {
	t.Helper()
	status, body := fetch(t, issuer.URL+"/.well-known/openid-configuration")
	require.Equal(t, http.StatusOK, status)
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	require.NoError(t, json.Unmarshal(body, &metadata))
	require.Equal(t, issuer.URL, metadata.Issuer)
	status, body = fetch(t, metadata.JWKSURI)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, issuer.JWKS(), body)
	keys, err := jose.ParseKeySet(body)
	require.NoError(t, err)
	byID := make(map[string]jose.PublicKey)
	for _, key := range keys {
		byID[key.ID] = key
	}
	return byID
}

func TestIssuer(t *testing.T) {
	issuer := oauthtest.NewIssuer(t)
	identity := oauthtest.Identity{Claims: map[string]any{"iss": issuer.URL, "sub": "a", "aud": "b", "exp": 1}}
	verify := func(t *testing.T, token string) {
		t.Helper()
		unverified, err := jose.ParseAssertion(token)
		require.NoError(t, err)
		key, known := published(t, issuer)[unverified.KeyID]
		require.True(t, known)
		require.Equal(t, key.Algorithm, unverified.Algorithm)
		claims, err := unverified.Verify(key)
		require.NoError(t, err)
		require.Contains(t, string(claims), issuer.URL)
	}
	old := issuer.Sign(t, identity)
	t.Run("RS256", func(t *testing.T) { verify(t, old) })
	t.Run("ES256, and the old key stays published", func(t *testing.T) {
		issuer.Rotate(t, "ES256")
		for range 20 {
			verify(t, issuer.Sign(t, identity))
		}
		verify(t, old)
	})
	t.Run("old keys are removed", func(t *testing.T) {
		require.Len(t, published(t, issuer), 2)
		issuer.RemoveOldKeys()
		require.Len(t, published(t, issuer), 1)
		verify(t, issuer.Sign(t, identity))
	})
	t.Run("counts requests", func(t *testing.T) {
		metadata, keys := issuer.Fetches()
		published(t, issuer)
		nowMetadata, nowKeys := issuer.Fetches()
		require.Equal(t, []int{metadata + 1, keys + 1}, []int{nowMetadata, nowKeys})
	})
	t.Run("down, and up again", func(t *testing.T) {
		issuer.Down()
		for _, path := range []string{"/.well-known/openid-configuration", "/keys"} {
			status, _ := fetch(t, issuer.URL+path)
			require.Equal(t, http.StatusServiceUnavailable, status)
		}
		issuer.Respond(nil)
		published(t, issuer)
		status, _ := fetch(t, issuer.URL+"/nothing")
		require.Equal(t, http.StatusNotFound, status)
	})
	t.Run("hangs until the client gives up", func(t *testing.T) {
		issuer.Hang()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer.URL+"/keys", nil)
		require.NoError(t, err)
		_, err = http.DefaultClient.Do(r)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("a header of one's own", func(t *testing.T) {
		identity.Header = map[string]any{"kid": nil, "typ": "JWT"}
		head, _, _ := strings.Cut(issuer.Sign(t, identity), ".")
		header, err := base64.RawURLEncoding.DecodeString(head)
		require.NoError(t, err)
		require.JSONEq(t, `{"alg":"ES256","typ":"JWT"}`, string(header))
	})
	t.Run("another algorithm is an error", func(t *testing.T) {
		reports := play(func(t testing.TB) { issuer.Rotate(t, "HS256") }).reports
		require.Equal(t, []string{`oauthtest: Issuer.Rotate: the algorithm "HS256" is neither RS256 nor ES256`}, reports)
	})
	t.Run("its entry", func(t *testing.T) {
		given := trust.Issuer{Name: "ci", Issuer: "https://ci.example", JWKSURL: "https://ci.example/keys", JWKS: []byte("{}"), Once: true}
		entry := issuer.Entry(given)
		require.Equal(t, issuer.URL, entry.Issuer)
		require.False(t, entry.Private)
		require.True(t, entry.Once)
		require.Empty(t, entry.JWKSURL)
		require.Nil(t, entry.JWKS)
	})
}

// The presets have the claims that trusts need, and the times of the clock.
func TestIssuerIdentities(t *testing.T) {
	issuer := oauthtest.NewIssuer(t)
	issuer.Clock.Advance(time.Hour)
	now := issuer.Clock.Now()
	for name, c := range map[string]struct {
		of    func(audience string) oauthtest.Identity
		typ   string
		array bool
		life  time.Duration
	}{
		"GitHub Actions": {issuer.GitHubActions, "JWT", false, 5 * time.Minute},
		"GitLab":         {issuer.GitLab, "JWT", false, time.Hour},
		"Kubernetes":     {issuer.Kubernetes, "", true, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			token := issuer.Sign(t, c.of("https://api.example.com"))
			unverified, err := jose.ParseAssertion(token)
			require.NoError(t, err)
			require.Equal(t, c.typ, unverified.Type)
			data, err := unverified.Verify(published(t, issuer)[unverified.KeyID])
			require.NoError(t, err)
			claims, err := jose.ReadAssertion(data)
			require.NoError(t, err)
			require.Equal(t, issuer.URL, claims.Issuer)
			require.Equal(t, []string{"https://api.example.com"}, claims.Audience)
			require.Equal(t, c.array, claims.AudienceIsArray)
			require.Equal(t, now.Unix(), claims.IssuedAt)
			require.Equal(t, now.Add(c.life).Unix(), claims.Expires)
			require.LessOrEqual(t, claims.NotBefore, now.Unix())
			again, err := jose.ParseAssertion(issuer.Sign(t, c.of("https://api.example.com")))
			require.NoError(t, err)
			require.NotEqual(t, unverified, again, "each has a jti of its own")
		})
	}
}
