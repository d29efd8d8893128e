// Package mounting_test mounts Latchkey on other routers than net/http's, and runs the same
// tests with all of them.
package mounting_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// mount mounts a server's routes on a router, and these routes
//
//	GET /workspaces/{workspace}/projects   guarded: project.list, in the workspace
//	GET /workspaces/{workspace}/invoices   guarded: billing.read, in the workspace
//	GET /forgotten/{workspace}             guarded, but with another name of the path value
//	GET /open                              not guarded
//
// whose handlers answer what said returns.
type mount func(srv *oauth.Server) http.Handler

// said is the answer of every handler: the principal, and the workspace that the router found.
// ctx is the request's context.
func said(ctx context.Context, workspace string) map[string]string {
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
}

func serve(t *testing.T, m mount) host {
	t.Helper()
	web := httptest.NewUnstartedServer(nil)
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer:           "http://" + web.Listener.Addr().String(),
		InsecureLoopback: true,
		Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{
			{Name: "project.list"}, {Name: "billing.read"},
		}}),
		OpenIDAlias: true,
		Logger:      slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	web.Config.Handler = m(srv)
	web.Start()
	t.Cleanup(web.Close)
	return host{srv, web.URL}
}

// newKey returns a key's id and secret.
func (h host) newKey(t *testing.T, workspace string) (id, secret string) {
	t.Helper()
	key, made, err := h.APIKeys().Create(t.Context(), apikey.OrganizationAdmin("tests"), apikey.Spec{
		Workspace: workspace, Name: "ci", Permissions: scope.MustParse("project.list"),
	})
	require.NoError(t, err)
	return key.ID, made.Reveal()
}

func (h host) login(t *testing.T, id, secret string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	status, _, body := h.send(t, http.MethodPost, "/api/login", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, http.StatusOK, status, body)
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

// holds tests everything that a router could break. slashes says whether the router unescapes a
// slash in a path value. If not, both guard and handler get "x%2Fy", and a workspace whose id
// has a slash cannot be reached by any key.
func holds(t *testing.T, m mount, slashes bool) {
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
			status, _, body = h.send(t, http.MethodHead, path, "")
			require.Equal(t, http.StatusOK, status, path)
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
