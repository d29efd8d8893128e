package oauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*oauth.Config)
		want   string // in the error; empty: fine
	}{
		{"the least", func(*oauth.Config) {}, ""},
		{"8414-03 no issuer", func(c *oauth.Config) { c.Issuer = "" }, "Config.Issuer: it is missing"},
		{"8414-03 and 2.1-02 http", func(c *oauth.Config) { c.Issuer = "http://a.example" }, "Config.Issuer: it must be https"},
		{"8414-03 a query", func(c *oauth.Config) { c.Issuer += "?a" }, "no query and no fragment"},
		{"8414-03 an empty query", func(c *oauth.Config) { c.Issuer += "?" }, "no query and no fragment"},
		{"2.1-03 and 8414-03 a fragment", func(c *oauth.Config) { c.Issuer += "#a" }, "no query and no fragment"},
		{"2.1-03 an empty fragment", func(c *oauth.Config) { c.Issuer += "#" }, "no query and no fragment"},
		{"a user", func(c *oauth.Config) { c.Issuer = "https://u:canary@a.example" }, "scheme, host and optional path"},
		{"no host", func(c *oauth.Config) { c.Issuer = "https:///a" }, "scheme, host and optional path"},
		{"a port alone", func(c *oauth.Config) { c.Issuer = "https://:443" }, "scheme, host and optional path"},
		{"no scheme", func(c *oauth.Config) { c.Issuer = "a.example" }, "Config.Issuer"},
		{"another scheme", func(c *oauth.Config) { c.Issuer = "ftp://a.example" }, "it must be https"},
		{"opaque", func(c *oauth.Config) { c.Issuer = "https:a.example" }, "Config.Issuer"},
		{"not a URL", func(c *oauth.Config) { c.Issuer = "https://a b" }, "not a URL"},
		{"a control character", func(c *oauth.Config) { c.Issuer = "https://a.example/\n" }, "not a URL"},
		{"an unclean path", func(c *oauth.Config) { c.Issuer += "/a/../b" }, "its path"},
		{"an empty segment", func(c *oauth.Config) { c.Issuer += "//b" }, "its path"},
		{"an escaped path", func(c *oauth.Config) { c.Issuer += "/%7Bx%7D" }, "its path"},
		{"a pattern in the path", func(c *oauth.Config) { c.Issuer += "/{x}" }, "its path"},
		{"a path", func(c *oauth.Config) { c.Issuer += "/a/b" }, ""},
		{"a port", func(c *oauth.Config) { c.Issuer += ":8443" }, ""},
		{"loopback without the switch", func(c *oauth.Config) { c.Issuer = "http://127.0.0.1" }, "InsecureLoopback"},
		{"loopback", func(c *oauth.Config) { c.Issuer, c.InsecureLoopback = "http://127.0.0.1", true }, ""},
		{"IPv6 loopback", func(c *oauth.Config) { c.Issuer, c.InsecureLoopback = "http://[::1]:80", true }, ""},
		{"localhost", func(c *oauth.Config) { c.Issuer, c.InsecureLoopback = "http://localhost", true }, ""},
		{"a name that begins like loopback", func(c *oauth.Config) { c.Issuer, c.InsecureLoopback = "http://127.0.0.1.evil.example", true }, "it must be https"},
		{"no permissions", func(c *oauth.Config) { c.Permissions = nil }, "Config.Permissions"},
		{"a token path without a slash", func(c *oauth.Config) { c.TokenPath = "login" }, "Config.TokenPath"},
		{"2.1-03 a token path with a fragment", func(c *oauth.Config) { c.TokenPath = "/login#a" }, "Config.TokenPath"},
		{"a token path with a query", func(c *oauth.Config) { c.TokenPath = "/login?a" }, "Config.TokenPath"},
		{"a token path with a pattern", func(c *oauth.Config) { c.TokenPath = "/{x}" }, "Config.TokenPath"},
		{"9700-07 a token path that a router would redirect to", func(c *oauth.Config) { c.TokenPath = "/login/" }, "Config.TokenPath"},
		{"9700-07 a token path that a router would clean", func(c *oauth.Config) { c.TokenPath = "/a//b" }, "Config.TokenPath"},
		{"a token path that is everything", func(c *oauth.Config) { c.TokenPath = "/" }, "Config.TokenPath"},
		{"a token path that is taken", func(c *oauth.Config) { c.TokenPath = "/.well-known/jwks.json" }, "Config.TokenPath"},
		{"a negative leeway", func(c *oauth.Config) { c.Leeway = -1 }, "Config.Leeway"},
		{"too much leeway", func(c *oauth.Config) { c.Leeway = 5*time.Minute + 1 }, "Config.Leeway"},
		{"too little time", func(c *oauth.Config) { c.LoginTimeout = time.Millisecond }, "Config.LoginTimeout"},
		{"too much time", func(c *oauth.Config) { c.LoginTimeout = time.Hour }, "Config.LoginTimeout"},
		{"B15 a realm with a quote", func(c *oauth.Config) { c.Realm = `a"b` }, "Config.Realm"},
		{"B15 a realm with a line break", func(c *oauth.Config) { c.Realm = "a\r\nX: y" }, "Config.Realm"},
		{"B15 a realm with a direction override", func(c *oauth.Config) { c.Realm = "a\u202eb" }, "Config.Realm"},
		{"a long realm", func(c *oauth.Config) { c.Realm = strings.Repeat("r", 256) }, "Config.Realm"},
		{"an empty audience", func(c *oauth.Config) { c.Audience = []string{"a", ""} }, "Config.Audience[1]"},
		{"one empty audience", func(c *oauth.Config) { c.Audience = []string{""} }, "Config.Audience[0]"},
		{"an audience that is no text", func(c *oauth.Config) { c.Audience = []string{"\xff"} }, "Config.Audience[0]"},
		{"a lifetime that is too long", func(c *oauth.Config) { c.APIKeys.TokenLifetime = 25 * time.Hour }, "TokenLifetime"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := oauth.Config{Logger: quiet, Issuer: "https://a.example", LoginTimeout: time.Minute, Permissions: catalog}
			tc.change(&cfg)
			srv, err := oauth.New(memstore.New(), cfg)
			if tc.want == "" {
				require.NoError(t, err)
				require.NotNil(t, srv)
				return
			}
			require.ErrorContains(t, err, tc.want)
			require.NotContains(t, err.Error(), "canary")
			require.Nil(t, srv)
		})
	}
	t.Run("all problems at once, each with its field", func(t *testing.T) {
		_, err := oauth.New(store.Store{}, oauth.Config{
			Logger: quiet, TokenPath: "x", Leeway: -1, Realm: "\n", APIKeys: apikey.Options{SecretPrefixes: []string{"?"}},
		})
		for _, want := range []string{
			"Config.Issuer", "Config.TokenPath", "Config.Leeway", "Config.Realm", "Config.Permissions", "Config.SecretPrefixes",
			"Store.Keys", "Store.Upkeep", "Store.Settings", "Store.Events", "Store.Epochs", "Store.SigningKeys",
		} {
			require.ErrorContains(t, err, want)
		}
	})
	t.Run("the caller's audience is copied", func(t *testing.T) {
		audience := []string{"mine"}
		w := newWorld(t, func(s *setup) { s.config.Audience = audience })
		audience[0] = "theirs"
		require.Equal(t, "mine", harness.Claims(t, w.login(w.key.ID, w.secret))["aud"])
	})
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	srv, err := oauth.New(memstore.New(), oauth.Config{Logger: quiet, Issuer: "https://a.example", LoginTimeout: time.Minute, Permissions: catalog})
	require.NoError(t, err)
	var patterns []string
	for pattern := range srv.Routes() {
		patterns = append(patterns, pattern)
	}
	require.ElementsMatch(t, []string{"/api/login", "/api/revoke", "/api/introspect", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server"}, patterns)
	require.Contains(t, serve(srv.Token(), http.MethodPost, "/api/login", cc).Header.Get("WWW-Authenticate"), `realm="latchkey"`)
}

func TestRequire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.login(w.key.ID, w.secret)
	_, err := w.APIKeys().Update(t.Context(), admin, w.key.ID, apikey.Changes{})
	require.NoError(t, err)
	global, globalSecret := w.newKey("team-z", "project.list admin.project.list")
	for _, tc := range []struct {
		name, path, token string
		want              int
	}{
		{"its own workspace", "/workspaces/team-a/projects", token, 200},
		{"another workspace", "/workspaces/team-b/projects", token, 404},
		{"no token", "/workspaces/team-a/projects", "", 400},
		{"an admin permission that the route does not name", "/workspaces/team-a/projects", w.login(global.ID, globalSecret), 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := w.at(t).send(http.MethodGet, tc.path, "", "Authorization", "Bearer "+tc.token)
			require.Equal(t, tc.want, a.StatusCode, a.Body)
		})
	}
}
