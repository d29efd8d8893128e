package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func newStore() store.Store { return memstore.New() }

// failingEpochs fails the call that a test names.
type failingEpochs struct {
	store.Epochs
	fail  atomic.Value
	until atomic.Value // the time.Time of the last revocation
}

func (f *failingEpochs) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	if f.fail.Load() == "read" {
		return store.EpochState{}, store.ErrUnavailable
	}
	return f.Epochs.Read(ctx, ref)
}

func (f *failingEpochs) Revoke(ctx context.Context, id string, until, now time.Time) error {
	if f.fail.Load() == "revoke" {
		return errors.New("a driver's own")
	}
	f.until.Store(until)
	return f.Epochs.Revoke(ctx, id, until, now)
}

const (
	billing = "https://billing.example.com"
	reports = "https://reports.example.com/v1"
)

// withResources is a world with two further resource servers and a key that
// may ask for the first.
func withResources(t *testing.T) (w *world, key apikey.Key, secret string) {
	w = newWorld(t, func(s *setup) {
		s.config.Resource = s.config.Issuer + "/api"
		s.config.Resources = []apikey.Resource{
			{URI: billing, Permissions: scope.MustParse("project.read")},
			{URI: reports},
		}
	})
	key, plain, err := w.APIKeys().Create(t.Context(), admin, apikey.Spec{
		Workspace: "team-a", Name: "billing", Permissions: scope.MustParse("project.list project.read"), Resources: []string{billing},
	})
	require.NoError(t, err)
	require.Equal(t, []string{billing}, key.Resources)
	return w, key, plain.Reveal()
}

func TestResourceIndicators(t *testing.T) {
	t.Parallel()
	w, key, secret := withResources(t)
	login := func(w *world, further string) answer {
		w.t.Helper()
		return w.post("grant_type=client_credentials"+further, basic(key.ID, secret)...)
	}
	for name, resource := range map[string]string{
		"relative": "%2Fapi", "with a fragment": "https%3A%2F%2Fbilling.example.com%23x", "unknown": "https%3A%2F%2Fother.example.com",
		"known but not allowed for the key": "https%3A%2F%2Freports.example.com%2Fv1", "in another case": "HTTPS%3A%2F%2Fbilling.example.com",
		"8707-04 with a slash too many": "https%3A%2F%2Fbilling.example.com%2F", "not text": "%22",
	} {
		t.Run("8707-01 "+name, func(t *testing.T) {
			w := w.at(t)
			w.refused(login(w, "&resource="+resource), http.StatusBadRequest, "invalid_target")
		})
	}
	t.Run("8707-01 a key without an allow-list", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post(w.grant("resource", billing)), http.StatusBadRequest, "invalid_target")
	})
	t.Run("8707-01 wrong credentials say nothing of resources", func(t *testing.T) {
		w := w.at(t)
		w.refused(w.post("grant_type=client_credentials&resource="+billing, basic(key.ID, "lk_wrong")...), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("8707-02 a token is for one resource", func(t *testing.T) {
		w := w.at(t)
		w.refused(login(w, "&resource="+billing+"&resource="+billing), http.StatusBadRequest, "invalid_target")
	})
	t.Run("9700-02 and 8707-03 the token is for that resource, with the permissions that apply there", func(t *testing.T) {
		w := w.at(t)
		a := login(w, "&resource="+billing)
		require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
		require.Equal(t, "project.read", a.Member("scope"))
		require.Equal(t, billing, harness.Claims(t, a.Token())["aud"])
		require.Equal(t, http.StatusUnauthorized, w.call(a.Token()), "this server is another resource")
		require.Equal(t, true, w.ask("/api/introspect", key.ID, secret, a.Token()).Member("active"))
		w.refused(login(w, "&resource="+billing+"&scope=project.list"), http.StatusBadRequest, "invalid_scope")
		require.Equal(t, http.StatusOK, login(w, "&resource="+billing+"&scope=project.read").StatusCode)
	})
	t.Run("8707-01 by JSON", func(t *testing.T) {
		w := w.at(t)
		a := w.postJSON(`{"clientId":"` + key.ID + `","clientSecret":"` + secret + `","resource":"` + billing + `"}`)
		require.Equal(t, billing, harness.Claims(t, a.Token())["aud"])
		a = w.postJSON(`{"clientId":"` + key.ID + `","clientSecret":"` + secret + `","resource":["` + billing + `"]}`)
		w.refused(a, http.StatusBadRequest, "invalid_request")
	})
	t.Run("8707-04 the server's own resource may be named", func(t *testing.T) {
		w := w.at(t)
		a := w.post(w.grant("resource", w.base+"/api"))
		require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
		require.Equal(t, w.base+"/api", harness.Claims(t, a.Token())["aud"])
		require.Equal(t, http.StatusOK, w.call(a.Token()))
		require.Equal(t, harness.Claims(t, a.Token())["aud"], harness.Claims(t, w.login(w.key.ID, w.secret))["aud"], "it is the default")
		w.refused(w.post(w.grant("resource", w.base+"/api/")), http.StatusBadRequest, "invalid_target")
	})
	t.Run("a revoked token of another resource is revoked too", func(t *testing.T) {
		w := w.at(t)
		token := login(w, "&resource="+billing).Token()
		require.Equal(t, http.StatusOK, w.ask("/api/revoke", key.ID, secret, token).StatusCode)
		require.JSONEq(t, `{"active":false}`, w.ask("/api/introspect", key.ID, secret, token).Body)
	})
	t.Run("a resource taken from a key ends its tokens", func(t *testing.T) {
		w, key, secret := withResources(t)
		w = w.at(t)
		token := w.post("grant_type=client_credentials&resource="+billing, basic(key.ID, secret)...).Token()
		none := []string{}
		_, err := w.APIKeys().Update(t.Context(), admin, key.ID, apikey.Changes{Resources: &none})
		require.NoError(t, err)
		require.JSONEq(t, `{"active":false}`, w.ask("/api/introspect", key.ID, secret, token).Body)
		w.refused(w.post("grant_type=client_credentials&resource="+billing, basic(key.ID, secret)...), http.StatusBadRequest, "invalid_target")
	})
	t.Run("a key is allowed known resources only", func(t *testing.T) {
		_, _, err := w.APIKeys().Create(t.Context(), admin, apikey.Spec{
			Workspace: "team-a", Name: "x", Resources: []string{"https://other.example.com"},
		})
		var invalid *apikey.InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "resources", invalid.Problems[0].Field)
	})
	t.Run("two audiences: one of them narrows", func(t *testing.T) {
		w := newWorld(t, func(s *setup) { s.config.Audience = []string{"https://one.example", "https://two.example"} }).at(t)
		require.Len(t, harness.Claims(t, w.login(w.key.ID, w.secret))["aud"], 2)
		require.Equal(t, "https://two.example", harness.Claims(t, w.post(w.grant("resource", "https://two.example")).Token())["aud"])
	})
}

func TestResourceMetadata(t *testing.T) {
	t.Parallel()
	w, _, _ := withResources(t)
	t.Run("9728-01 the document", func(t *testing.T) {
		w := w.at(t)
		a := w.send(http.MethodGet, "/.well-known/oauth-protected-resource/api", "", "Host", "evil.example", "X-Forwarded-Host", "evil.example")
		require.Equal(t, http.StatusOK, a.StatusCode)
		require.Equal(t, "application/json", a.Header.Get("Content-Type"))
		require.JSONEq(t, `{
			"resource": "`+w.base+`/api",
			"authorization_servers": ["`+w.base+`"],
			"scopes_supported": ["admin.project.list", "key.rotate", "project.list", "project.read", "project.write"],
			"bearer_methods_supported": ["header"]
		}`, a.Body)
	})
	t.Run("9728-01 an empty catalog leaves the array out", func(t *testing.T) {
		srv, err := oauth.New(memstore.New(), oauth.Config{Logger: quiet, Issuer: "https://a.example", Resource: "https://a.example", Permissions: emptyCatalog})
		require.NoError(t, err)
		require.Contains(t, srv.Routes(), "/.well-known/oauth-protected-resource")
		require.NotContains(t, serve(srv.ResourceMetadata(), http.MethodGet, "/", "").Body, "scopes_supported")
	})
	t.Run("9728-02 challenges name it", func(t *testing.T) {
		w := w.at(t)
		want := `resource_metadata="` + w.base + `/.well-known/oauth-protected-resource/api"`
		a := w.send(http.MethodGet, "/any", "", "X-Forwarded-Host", "evil.example")
		require.Equal(t, http.StatusUnauthorized, a.StatusCode)
		require.Contains(t, a.Header.Get("WWW-Authenticate"), want)
		a = w.send(http.MethodGet, "/any", "", "Authorization", "Bearer x")
		require.Contains(t, a.Header.Get("WWW-Authenticate"), want)
	})
	t.Run("9728-02 without a resource there is no metadata of it", func(t *testing.T) {
		w := newWorld(t).at(t)
		require.NotContains(t, w.send(http.MethodGet, "/any", "").Header.Get("WWW-Authenticate"), "resource_metadata")
		require.Equal(t, http.StatusNotFound, serve(w.ResourceMetadata(), http.MethodGet, "/", "").StatusCode)
	})
	t.Run("8414-07 the server's metadata lists the resources", func(t *testing.T) {
		w := w.at(t)
		a := w.send(http.MethodGet, "/.well-known/oauth-authorization-server", "")
		require.Equal(t, []any{w.base + "/api", billing, reports}, a.Member("protected_resources"))
		for _, name := range []string{"revocation_endpoint", "introspection_endpoint"} {
			url, _ := a.Member(name).(string)
			require.True(t, strings.HasPrefix(url, w.base), name)
			require.Equal(t, http.StatusUnauthorized, w.send(http.MethodPost, strings.TrimPrefix(url, w.base), "token=x", "Content-Type", form).StatusCode)
			require.Equal(t, []any{"client_secret_basic", "client_secret_post", "private_key_jwt"}, a.Member(name+"_auth_methods_supported"))
		}
	})
}

func TestResourceConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config oauth.Config
		want   string
	}{
		"relative":        {oauth.Config{Resource: "/api"}, "Config.Resource"},
		"http":            {oauth.Config{Resource: "http://a.example"}, "Config.Resource"},
		"a fragment":      {oauth.Config{Resource: "https://a.example#x"}, "Config.Resource"},
		"beyond ASCII":    {oauth.Config{Resource: "https://ä.example"}, "Config.Resource"},
		"a bad indicator": {oauth.Config{Resources: []apikey.Resource{{URI: "billing"}}}, "Config.Resources[0].URI"},
		"twice":           {oauth.Config{Resources: []apikey.Resource{{URI: billing}, {URI: billing}}}, "listed twice"},
		"the audience":    {oauth.Config{Audience: []string{billing}, Resources: []apikey.Resource{{URI: billing}}}, "in Config.Audience or its default; remove it from Resources"},
		"the resource":    {oauth.Config{Resource: billing, Audience: []string{"https://other.example"}, Resources: []apikey.Resource{{URI: billing}}}, "in Config.Audience or its default; remove it from Resources"},
		"the issuer":      {oauth.Config{Resources: []apikey.Resource{{URI: "https://a.example"}}}, "in Config.Audience or its default; remove it from Resources"},
		"no permission":   {oauth.Config{Resources: []apikey.Resource{{URI: billing, Permissions: scope.MustParse("x")}}}, "Config.Resources[0].Permissions"},
		"one path twice":  {oauth.Config{RevocationPath: "/api/login"}, "Config.RevocationPath"},
		"no path":         {oauth.Config{AuthorizationPath: "authorize"}, "Config.AuthorizationPath"},
		"a path in use":   {oauth.Config{AuthorizationPath: "/api/revoke"}, "Config.AuthorizationPath"},
		"a bad path":      {oauth.Config{IntrospectionPath: "introspect"}, "Config.IntrospectionPath"},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Logger, c.config.Issuer, c.config.Permissions = quiet, "https://a.example", catalog
			_, err := oauth.New(memstore.New(), c.config)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestAudienceOfPrincipal tests that a handler gets all audiences of a token.
func TestAudienceOfPrincipal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, err := w.Verifier().Verify(t.Context(), w.login(w.key.ID, w.secret))
	require.NoError(t, err)
	require.Equal(t, []string{w.base}, p.Audience)
	_, err = w.Verifier().Verify(t.Context(), "x")
	require.ErrorIs(t, err, bearer.ErrInvalid)
}
