// Package mounting_test mounts Latchkey on other routers than net/http's, and runs the same
// tests with all of them.
package mounting_test

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// app is what a mount puts on a router: the server, and the handlers of the management API and
// the console, which expect their prefixes to be removed.
type app struct {
	*oauth.Server
	management, console http.Handler
}

// mount mounts a server's routes on a router, the management API under /api/admin, the
// console under /console, and these routes
//
//	GET /workspaces/{workspace}/projects   guarded: project.list, in the workspace
//	GET /workspaces/{workspace}/invoices   guarded: billing.read, in the workspace
//	GET /forgotten/{workspace}             guarded, but with another name of the path value
//	GET /open                              not guarded
//
// whose handlers answer what answerOf returns.
type mount func(a app) http.Handler

// answerOf returns the answer of every handler: the principal, and the workspace that the
// router found. ctx is the request's context.
func answerOf(ctx context.Context, workspace string) map[string]string {
	said := map[string]string{"router": workspace}
	if p, ok := bearer.PrincipalFrom(ctx); ok {
		said["key"], said["workspace"] = p.KeyID, p.Workspace
	}
	return said
}

// host is a router with Latchkey on it, behind a real listener.
type host struct {
	*oauth.Server
	base string
	log  *lines
}

// lines is a log that a test can read.
type lines struct {
	mu sync.Mutex
	strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.String()
}

// serve starts a server with a mount. changes change its configuration.
func serve(t *testing.T, m mount, changes ...func(*oauth.Config)) host {
	t.Helper()
	said := &lines{}
	log := slog.New(slog.NewTextHandler(said, nil))
	web := httptest.NewUnstartedServer(nil)
	config := oauth.Config{
		Issuer:           "http://" + web.Listener.Addr().String(),
		InsecureLoopback: true,
		Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{
			{Name: "project.list"}, {Name: "billing.read"}, {Name: "key.list"}, {Name: "key.save"}, {Name: "key.delete"},
		}}),
		OpenIDAlias: true,
		APIKeys:     apikey.Options{Management: apikey.Management{List: "key.list", Save: "key.save", Delete: "key.delete"}},
		Logger:      log,
	}
	for _, change := range changes {
		change(&config)
	}
	srv, err := oauth.New(memstore.New(), config)
	require.NoError(t, err)
	management, err := admin.New(srv.APIKeys(), admin.Config{Authorize: admin.Bearer(srv.Verifier()), TrustedOrigins: []string{trusted}, Logger: log})
	require.NoError(t, err)
	pages, err := console.New(srv.APIKeys(), console.Config{Logger: log, Authorize: func(r *http.Request) (console.Person, error) {
		if cookie, err := r.Cookie("session"); err != nil || cookie.Value != "ada" {
			return console.Person{}, errors.New("nobody is signed in")
		}
		return console.Person{Actor: apikey.OrganizationAdmin("ada"), Workspaces: []string{"team-a", "team-b"}}, nil
	}})
	require.NoError(t, err)
	web.Config.Handler = m(app{srv, management, pages})
	web.Start()
	t.Cleanup(web.Close)
	return host{srv, web.URL, said}
}

// allowOnly allows logins from one network.
func allowOnly(network netip.Prefix) func(*oauth.Config) {
	return func(cfg *oauth.Config) { cfg.Policy = policy.AllowAddresses(network) }
}

// trusted is an origin whose pages may use the management API.
const trusted = "https://app.example"

// newKey returns a key's id and secret.
func (h host) newKey(t *testing.T, workspace string) (id, secret string) {
	t.Helper()
	key, made, err := h.APIKeys().Create(t.Context(), apikey.OrganizationAdmin("tests"), apikey.Spec{
		Workspace: workspace, Name: "ci", Permissions: scope.MustParse("project.list key.list key.save key.delete"),
	})
	require.NoError(t, err)
	return key.ID, made.Reveal()
}

func (h host) login(t *testing.T, id, secret string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	status, _, body := h.send(t, http.MethodPost, "/api/login", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, http.StatusOK, status, body)
	return tokenIn(t, body)
}

// tokenIn returns the token in the answer to a login.
func tokenIn(t *testing.T, body string) string {
	t.Helper()
	var said struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &said))
	return said.Token
}

func (h host) get(t *testing.T, path, token string) (int, http.Header, string) {
	t.Helper()
	if token == "" {
		return h.send(t, http.MethodGet, path, "")
	}
	return h.send(t, http.MethodGet, path, "", "Authorization", "Bearer "+token)
}

func (h host) send(t *testing.T, method, path, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, h.base+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, string(text)
}

// testMount tests everything that a router could break. slashes says whether the router
// unescapes a slash in a path value. If it does not, both guard and handler get "x%2Fy", and
// no key can reach a workspace whose id has a slash.
func testMount(t *testing.T, m mount, slashes bool) {
	t.Helper()
	h := serve(t, m)
	id, secret := h.newKey(t, "team-a")
	token := h.login(t, id, secret)

	t.Run("documents", func(t *testing.T) {
		for _, path := range []string{"/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
			status, header, body := h.get(t, path, "")
			require.Equal(t, http.StatusOK, status, path)
			require.Equal(t, "application/json", header.Get("Content-Type"))
			require.True(t, json.Valid([]byte(body)))
			status, header, body = h.send(t, http.MethodHead, path, "")
			require.Equal(t, http.StatusOK, status, path)
			require.NotEmpty(t, header.Get("ETag"))
			require.Empty(t, body)
		}
	})
	t.Run("a login answers a wrong method itself", func(t *testing.T) {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			status, header, body := h.send(t, method, "/api/login", "")
			require.Equal(t, http.StatusMethodNotAllowed, status, method)
			require.Equal(t, "POST", header.Get("Allow"))
			require.Contains(t, body, `"invalid_request"`)
		}
	})
	t.Run("a wrong secret", func(t *testing.T) {
		status, header, body := h.send(t, http.MethodPost, "/api/login", `{"clientId":"`+id+`","clientSecret":"wrong"}`, "Content-Type", "application/json")
		require.Equal(t, http.StatusUnauthorized, status)
		require.Contains(t, body, `"invalid_client"`)
		require.Contains(t, header.Get("WWW-Authenticate"), "Basic")
		require.Equal(t, "no-store", header.Get("Cache-Control"))
	})
	for _, c := range []struct {
		name, path, token string
		status            int
		challenge         string
	}{
		{"own workspace", "/workspaces/team-a/projects", token, http.StatusOK, ""},
		{"another workspace", "/workspaces/team-b/projects", token, http.StatusNotFound, ""},
		{"another workspace, escaped", "/workspaces/team-a%2F..%2Fteam-b/projects", token, http.StatusNotFound, ""},
		{"permission not held", "/workspaces/team-a/invoices", token, http.StatusForbidden, `error="insufficient_scope"`},
		{"no token", "/workspaces/team-a/projects", "", http.StatusUnauthorized, "Bearer "},
		{"a token that was tampered with", "/workspaces/team-a/projects", token[:len(token)-8] + "AAAAAAAA", http.StatusUnauthorized, `error="invalid_token"`},
		{"a guard with another name of the path value", "/forgotten/team-a", token, http.StatusNotFound, ""},
		{"a route without a guard", "/open", "", http.StatusOK, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, header, body := h.get(t, c.path, c.token)
			require.Equal(t, c.status, status, body)
			require.Contains(t, header.Get("WWW-Authenticate"), c.challenge)
			if c.status != http.StatusOK {
				require.NotContains(t, body, "router", "the handler ran")
			}
		})
	}
	t.Run("the handler gets the principal", func(t *testing.T) {
		_, _, body := h.get(t, "/workspaces/team-a/projects", token)
		require.JSONEq(t, `{"key":"`+id+`","workspace":"team-a","router":"team-a"}`, body)
	})
	t.Run("a route without a guard has no principal", func(t *testing.T) {
		_, _, body := h.get(t, "/open", token)
		require.JSONEq(t, `{"router":""}`, body)
	})
	// Guard and handler must get the same workspace, however the id is escaped.
	for _, workspace := range []string{"team b", "équipe", "a+b", "50%", "a%2Fb"} {
		t.Run("workspace "+url.PathEscape(workspace), func(t *testing.T) {
			own := h.tokenOf(t, workspace)
			status, _, body := h.get(t, "/workspaces/"+url.PathEscape(workspace)+"/projects", own)
			require.Equal(t, http.StatusOK, status, body)
			var said map[string]string
			require.NoError(t, json.Unmarshal([]byte(body), &said))
			require.Equal(t, workspace, said["workspace"])
			require.Equal(t, workspace, said["router"])
			status, _, _ = h.get(t, "/workspaces/"+url.PathEscape(workspace)+"/projects", token)
			require.Equal(t, http.StatusNotFound, status)
		})
	}
	t.Run("management", func(t *testing.T) { h.testManagement(t, token) })
	t.Run("console", func(t *testing.T) { h.testConsole(t) })
	t.Run("a workspace with a slash", func(t *testing.T) {
		want := http.StatusNotFound
		if slashes {
			want = http.StatusOK
		}
		status, _, body := h.get(t, "/workspaces/x%2Fy/projects", h.tokenOf(t, "x/y"))
		require.Equal(t, want, status, body)
	})
}

// tokenOf returns a token of a new key of the workspace.
func (h host) tokenOf(t *testing.T, workspace string) string {
	t.Helper()
	id, secret := h.newKey(t, workspace)
	return h.login(t, id, secret)
}

// testManagement tests the management API behind the router.
func (h host) testManagement(t *testing.T, token string) {
	t.Helper()
	const keys = "/api/admin/workspaces/team-a/keys"
	authorized := []string{"Authorization", "Bearer " + token, "Content-Type", "application/json"}
	status, _, body := h.send(t, http.MethodPost, keys, `{"name":"deploy","permissions":["project.list"]}`, authorized...)
	require.Equal(t, http.StatusCreated, status, body)
	var made struct {
		Key struct {
			ID string `json:"id"`
		} `json:"key"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &made))
	require.NotEmpty(t, made.Key.ID, body)
	status, header, body := h.get(t, "/api/admin/keys/"+made.Key.ID, token)
	require.Equal(t, http.StatusOK, status, body)
	status, _, body = h.send(t, http.MethodPatch, "/api/admin/keys/"+made.Key.ID, `{"name":"deploy 2"}`, append(authorized, "If-Match", header.Get("ETag"))...)
	require.Equal(t, http.StatusOK, status, body)
	status, _, body = h.send(t, http.MethodDelete, "/api/admin/keys/"+made.Key.ID, "", authorized...)
	require.Equal(t, http.StatusNoContent, status, body)
	for path, want := range map[string]int{
		keys:                                http.StatusOK,
		keys + "?limit=1":                   http.StatusOK,
		"/api/admin/workspaces/team-b/keys": http.StatusNotFound,
		"/api/admin/kyes":                   http.StatusNotFound,
		"/api/admin/openapi.json":           http.StatusOK,
	} {
		status, header, body := h.get(t, path, token)
		require.Equal(t, want, status, "%s: %s", path, body)
		if want == http.StatusNotFound {
			require.Equal(t, "application/problem+json", header.Get("Content-Type"), "the management API has answered, not the router")
		}
	}
	status, header, _ = h.get(t, keys, "")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, header.Get("WWW-Authenticate"), "Bearer")
}

var field = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// testConsole tests the console behind the router, with the links that a browser would follow.
func (h host) testConsole(t *testing.T) {
	t.Helper()
	// follow returns the page and its address, which a redirect may have changed.
	follow := func(from, link string) (at, body string) {
		base, err := url.Parse(h.base + from)
		require.NoError(t, err)
		to, err := base.Parse(html.UnescapeString(link))
		require.NoError(t, err)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to.String(), nil)
		require.NoError(t, err)
		request.Header.Set("Cookie", "session=ada")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode, "%s: %s", to, text)
		return response.Request.URL.RequestURI(), string(text)
	}
	link := func(body, suffix string) string {
		found := regexp.MustCompile(`href="([^"]*` + suffix + `)"`).FindStringSubmatch(body)
		require.NotNil(t, found, "%s in %s", suffix, body)
		return found[1]
	}
	for _, first := range []string{"/console/", "/console"} {
		home, body := follow(first, "")
		_, sheet := follow(home, link(body, `console\.css[^"]*`))
		require.Contains(t, sheet, "body")
		list, body := follow(home, link(body, "workspaces/team-a/keys"))
		require.Equal(t, "/console/workspaces/team-a/keys", list)
		at, body := follow(list, link(body, "keys/new"))
		form := url.Values{"name": {"by hand"}, "permissions": {"project.list"}, "expires": {"never"}}
		for _, hidden := range field.FindAllStringSubmatch(body, -1) {
			form.Set(hidden[1], html.UnescapeString(hidden[2]))
		}
		status, _, body := h.send(t, http.MethodPost, at, form.Encode(),
			"Cookie", "session=ada", "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")
		require.Equal(t, http.StatusCreated, status, body)
		require.Contains(t, body, "lk_")
	}
	status, _, _ := h.send(t, http.MethodGet, "/console/", "")
	require.Equal(t, http.StatusUnauthorized, status)
	status, _, _ = h.send(t, http.MethodGet, "/console/nothing", "", "Cookie", "session=ada")
	require.Equal(t, http.StatusNotFound, status)
	require.NotContains(t, h.log.String(), "is not bounded")
}
