package oauthtest_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
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

// TestIssuerOutage tests that logins which need the keys of an issuer that is down are
// counted and delayed like wrong secrets, since anybody can send them.
func TestIssuerOutage(t *testing.T) {
	issuer := oauthtest.NewIssuer(t)
	var log strings.Builder
	cfg := oauth.Config{
		Permissions: deploys(), TrustedIssuers: []trust.Issuer{issuer.Entry(trust.GitHubActions())},
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})), LoginTimeout: time.Minute,
	}
	cfg.APIKeys.RefuseAfter = 5 * time.Millisecond
	auth := oauthtest.NewWith(t, cfg)
	issuer.Clock = auth.Clock
	key := trusted(t, auth, "github", store.Claim{Name: "ref", Value: "refs/heads/main"}, store.Claim{Name: "repository_id", Value: "74"})
	issuer.Down()
	statuses := map[int]int{}
	for n := range 80 {
		start := time.Now()
		statuses[loginWithAnyKey(auth, issuer.URL, key, fmt.Sprint("any-", n))]++
		require.GreaterOrEqual(t, time.Since(start), cfg.APIKeys.RefuseAfter, "B02")
	}
	require.Equal(t, map[int]int{http.StatusServiceUnavailable: 60, http.StatusTooManyRequests: 20}, statuses, "B18")
	require.LessOrEqual(t, strings.Count(log.String(), "level=ERROR"), 60+1, "one for the fetch")
}

// TestOnceOfTwoEntries tests that a token is accepted once, although two entries that accept
// it have one issuer.
func TestOnceOfTwoEntries(t *testing.T) {
	issuer := oauthtest.NewIssuer(t)
	one, two := issuer.Entry(trust.Kubernetes("one", "")), issuer.Entry(trust.Kubernetes("two", ""))
	one.Once, two.Once = true, true
	auth := oauthtest.NewWith(t, oauth.Config{Permissions: deploys(), TrustedIssuers: []trust.Issuer{one, two}})
	issuer.Clock = auth.Clock
	sub := store.Claim{Name: "sub", Value: "system:serviceaccount:ci:deployer"}
	login := func(key string, jti string) error {
		identity := issuer.Kubernetes(auth.URL)
		identity.Claims["jti"] = jti
		_, err := auth.LoginWithAssertion(t, key, issuer.Sign(t, identity))
		return err
	}
	first, second := trusted(t, auth, "one", sub), trusted(t, auth, "two", sub)
	require.NoError(t, login(first, "1"))
	require.Error(t, login(second, "1"), "B18")
	require.NoError(t, login(second, "2"))
}

// trusted returns the id of a key that trusts an issuer.
func trusted(t *testing.T, auth *oauthtest.Server, entry string, claims ...store.Claim) string {
	key, _, err := auth.Server().APIKeys().Create(t.Context(), apikey.OrganizationAdmin("ada"), apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("deploy"), NoSecret: true,
		Credentials: []apikey.CredentialSpec{{Name: "deploy", Trust: &store.Trust{Issuer: entry, Claims: claims}}},
	})
	require.NoError(t, err)
	return key.ID
}

// loginWithAnyKey sends an assertion that anybody can make, and returns the status.
func loginWithAnyKey(auth *oauthtest.Server, issuer, id, kid string) int {
	enc := base64.RawURLEncoding.EncodeToString
	assertion := enc([]byte(`{"alg":"RS256","kid":"`+kid+`"}`)) + "." + enc(fmt.Appendf(nil, `{"iss":%q,"sub":"x","aud":"x","exp":1}`, issuer)) + "." + enc(make([]byte, 256))
	r := httptest.NewRequest(http.MethodPost, auth.URL+"/", strings.NewReader(url.Values{
		"grant_type": {"client_credentials"}, "client_id": {id}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	auth.Server().Token().ServeHTTP(w, r)
	return w.Code
}

func deploys() *scope.Catalog {
	return scope.MustCatalog(scope.Group{Title: "Deploy", Permissions: []scope.Permission{{Name: "deploy"}}})
}
