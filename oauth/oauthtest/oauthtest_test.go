package oauthtest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

var catalog = scope.MustCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{
	{Name: "project.list"}, {Name: "project.read"}, {Name: "everything", Level: scope.Admin},
}})

// call sends one request with a token to a handler.
func call(handler http.Handler, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	return answer
}

func TestToken(t *testing.T) {
	auth := oauthtest.New(t, "project.list", "project.read", "project.list", "admin.project.list")
	verify := auth.Server().Verifier().Verify
	t.Run("what it holds", func(t *testing.T) {
		p, err := verify(t.Context(), auth.Token(t, "team-a", "project.list"))
		require.NoError(t, err)
		require.Equal(t, "team-a", p.Workspace)
		require.Equal(t, "project.list", p.Permissions.String())
		require.Equal(t, auth.Clock.Now(), p.IssuedAt)
	})
	t.Run("wildcards and nothing", func(t *testing.T) {
		p, err := verify(t.Context(), auth.Token(t, "team-a", "project.*"))
		require.NoError(t, err)
		require.Equal(t, "project.list project.read", p.Permissions.String())
		p, err = verify(t.Context(), auth.Token(t, "team-a"))
		require.NoError(t, err)
		require.Zero(t, p.Permissions.Len())
	})
	t.Run("admin. reaches every workspace", func(t *testing.T) {
		mux := http.NewServeMux()
		mux.Handle("/{workspace}", auth.Server().Require("project.list").Or("admin.project.list").InPath("workspace")(projects))
		require.Equal(t, http.StatusOK, call(mux, "/team-b", auth.Token(t, "team-a", "admin.project.list")).Code)
		require.Equal(t, http.StatusNotFound, call(mux, "/team-b", auth.Token(t, "team-a", "project.list")).Code)
	})
	t.Run("it expires by the clock", func(t *testing.T) {
		token := auth.Token(t, "team-a")
		auth.Clock.Advance(5*time.Minute - time.Second)
		_, err := verify(t.Context(), token)
		require.NoError(t, err)
		auth.Clock.Advance(time.Second)
		_, err = verify(t.Context(), token)
		require.ErrorIs(t, err, bearer.ErrExpired)
	})
	t.Run("a key logs in as often as it likes", func(t *testing.T) {
		id, secret := auth.Key(t, "team-a", "project.list")
		first, second := auth.Login(t, id, secret), auth.Login(t, id, secret)
		require.NotEqual(t, first, second)
		p, err := verify(t.Context(), second)
		require.NoError(t, err)
		require.Equal(t, id, p.KeyID)
	})
}

func TestClock(t *testing.T) {
	auth := oauthtest.New(t)
	start := auth.Clock.Now()
	require.Equal(t, "2030-01-15T12:00:00Z", start.Format(time.RFC3339))
	auth.Clock.Advance(-time.Hour)
	require.Equal(t, start.Add(-time.Hour), auth.Clock.Now())
	auth.Clock.Set(start.AddDate(1, 0, 0))
	id, secret := auth.Key(t, "team-a")
	key, err := auth.Server().APIKeys().Get(t.Context(), apikey.OrganizationAdmin("ada"), id)
	require.NoError(t, err)
	require.Equal(t, start.AddDate(1, 0, 0), key.Created)
	require.NotEmpty(t, secret)
}

// TestHostsRules: the host's rules apply to logins, but not to the creation of a test's key.
func TestHostsRules(t *testing.T) {
	rate := policy.RateLimit(policy.RateLimitConfig{Limit: 1, Per: time.Minute})
	var asked []string
	var seen []observe.Decision
	auth := oauthtest.NewWith(t, oauth.Config{
		Permissions: catalog,
		Observer:    func(_ context.Context, o observe.Decision) { seen = append(seen, o) },
		Policy:      policy.All(policy.MaxKeys(1), policy.RequireExpiry(), policy.TokenTTL(time.Minute), rate),
		APIKeys: apikey.Options{
			Workspaces: func(_ context.Context, workspace string) (bool, error) {
				asked = append(asked, workspace)
				return workspace == "team-a", nil
			},
			DefaultRules: store.Rules{MaxKeys: 1, RequireExpiry: true},
		},
	})
	auth.Key(t, "team-a")
	id, secret := auth.Key(t, "team-a", "project.list")
	require.Empty(t, asked)
	p, err := auth.Server().Verifier().Verify(t.Context(), auth.Login(t, id, secret))
	require.NoError(t, err)
	require.Equal(t, time.Minute, p.Expires.Sub(p.IssuedAt))
	require.Equal(t, []string{"team-a"}, asked)
	require.Equal(t, netip.MustParseAddr("127.0.0.1"), seen[0].Address)

	n := play(func(tb testing.TB) { auth.Login(tb, id, secret) })
	require.Len(t, n.reports, 1)
	require.Contains(t, n.reports[0], "oauthtest: Login: the server refused the login: 429 Too Many Requests")
	n = play(func(tb testing.TB) { auth.Token(tb, "team-b") })
	require.Len(t, n.reports, 1)
	require.Contains(t, n.reports[0], "The workspace of this API key is suspended")

	auth.CheckGuard(t, auth.Server().Require("project.list").InFunc(func(*http.Request) string { return "team-a" })(projects), oauthtest.Route{
		Request: httptest.NewRequest(http.MethodGet, "/", nil), Workspace: "team-a", Permissions: []string{"project.list"},
	})
	_, _, err = auth.Server().APIKeys().Create(t.Context(), apikey.OrganizationAdmin("ada"), apikey.Spec{Workspace: "team-a", Name: "ci"})
	denied, ok := policy.AsDenied(err)
	require.True(t, ok)
	require.Equal(t, "max_keys", denied.Rule)
}

func TestMisuse(t *testing.T) {
	for _, c := range []struct {
		name string
		test func(t testing.TB)
		want string
	}{
		{"New with a wildcard", func(t testing.TB) { oauthtest.New(t, "project.*") }, "reserved for wildcards"},
		{"NewWith without permissions", func(t testing.TB) { oauthtest.NewWith(t, oauth.Config{}) }, "Config.Permissions is missing"},
		{"NewWith a clock", func(t testing.TB) {
			oauthtest.NewWith(t, oauth.Config{Permissions: catalog, Now: time.Now})
		}, "leave Config.Now nil"},
		{"NewWith faults", func(t testing.TB) {
			oauthtest.NewWith(t, oauth.Config{Permissions: catalog, TokenPath: "login"})
		}, "Config.TokenPath"},
		{"a permission that New did not get", func(t testing.TB) { oauthtest.New(t, "project.list").Token(t, "team-a", "project.read") },
			"oauthtest: Token: the server has no permission project.read: name it in New"},
		{"a permission's form", func(t testing.TB) { oauthtest.New(t).Key(t, "team-a", "a b") }, `permissions ["a b"]`},
		{"no workspace", func(t testing.TB) { oauthtest.New(t).Key(t, "") }, "workspace"},
		{"a wrong secret", func(t testing.TB) {
			auth := oauthtest.New(t)
			id, _ := auth.Key(t, "team-a")
			auth.Login(t, id, "lk_wrong")
		}, "401 Unauthorized"},
		{"nothing missing", func(t testing.TB) { oauthtest.New(t).MissingPermission(t, "team-a") }, "name the permissions"},
		{"missing an unknown one", func(t testing.TB) { oauthtest.New(t).MissingPermission(t, "team-a", "a") }, "unknown permission: a"},
		{"another workspace's admin", func(t testing.TB) { oauthtest.New(t, "admin.a").OtherWorkspace(t, "team-a", "admin.a") },
			"admin.a reaches every workspace"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := play(c.test)
			require.Len(t, n.reports, 1)
			require.Contains(t, n.reports[0], "oauthtest: ")
			require.Contains(t, n.reports[0], c.want)
		})
	}
}

func TestListens(t *testing.T) {
	get := func(t *testing.T, client *http.Client, url string) (int, string) {
		t.Helper()
		answer, err := client.Get(url)
		require.NoError(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(body)
	}
	t.Run("its own documents", func(t *testing.T) {
		auth := oauthtest.New(t, "project.list")
		_, body := get(t, http.DefaultClient, auth.URL+"/.well-known/oauth-authorization-server")
		require.Contains(t, body, `"issuer":"`+auth.URL+`"`)
		require.Contains(t, body, `"token_endpoint":"`+auth.TokenURL+`"`)
	})
	t.Run("the mounted handler, after its own routes", func(t *testing.T) {
		auth := oauthtest.New(t)
		status, body := get(t, http.DefaultClient, auth.URL+"/x")
		require.Equal(t, http.StatusNotFound, status)
		require.Contains(t, body, "Server.Mount")
		auth.Mount(projects)
		_, body = get(t, http.DefaultClient, auth.URL+"/x")
		require.Equal(t, "website, pipeline", body)
		_, body = get(t, http.DefaultClient, auth.URL+"/.well-known/jwks.json")
		require.Contains(t, body, `"kid":"oauthtest"`)
		auth.Mount(nil)
		status, _ = get(t, http.DefaultClient, auth.URL+"/x")
		require.Equal(t, http.StatusNotFound, status)
	})
	t.Run("a configured issuer and path", func(t *testing.T) {
		auth := oauthtest.NewWith(t, oauth.Config{Permissions: catalog, Issuer: "https://api.example.com/v1", TokenPath: "/v1/token"})
		require.Equal(t, auth.URL+"/v1/token", auth.TokenURL)
		auth.Mount(auth.Server().Require().AnyWorkspace()(projects))
		status, _ := get(t, auth.Client(t, "team-a"), auth.URL+"/x")
		require.Equal(t, http.StatusOK, status)
	})
	t.Run("with TLS", func(t *testing.T) {
		auth := oauthtest.NewWith(t, oauth.Config{Permissions: catalog, RequireTLS: true})
		require.True(t, strings.HasPrefix(auth.URL, "https://"))
		auth.Mount(auth.Server().Require().AnyWorkspace()(projects))
		status, _ := get(t, auth.Client(t, "team-a"), auth.URL+"/x")
		require.Equal(t, http.StatusOK, status)
		auth.Token(t, "team-a")
	})
	t.Run("until the test ends", func(t *testing.T) {
		var url string
		n := play(func(tb testing.TB) { url = oauthtest.New(tb).URL })
		require.Empty(t, n.reports)
		require.Empty(t, n.logs, "a server that is used rightly says nothing")
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		_, err = http.DefaultTransport.RoundTrip(r)
		require.Error(t, err)
	})
}

// TestParallelSubtests: parallel subtests share a server. It is for the race detector.
func TestParallelSubtests(t *testing.T) {
	auth := oauthtest.New(t, "project.list")
	api := guarded(auth)
	mux := http.NewServeMux()
	mux.Handle("/workspaces/{workspace}/projects", api)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			auth.Clock.Advance(time.Millisecond)
			auth.Mount(mux)
			auth.CheckGuard(t, mux, oauthtest.Route{
				Request:   httptest.NewRequest(http.MethodGet, "/workspaces/team-a/projects", nil),
				Workspace: "team-a", Permissions: []string{"project.list"},
			})
		})
	}
	wait.Wait()
}
