package interop_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// nodeService answers each request with its headers as JSON, by their names in lower case
// with "_" as "-", as CGI and WSGI read them. It prints its port.
const nodeService = `
const server = require("node:http").createServer((request, response) => {
	const headers = {}
	for (let i = 0; i < request.rawHeaders.length; i += 2) {
		const name = request.rawHeaders[i].toLowerCase().replaceAll("_", "-")
		headers[name] = [...(headers[name] ?? []), request.rawHeaders[i + 1]]
	}
	response.end(JSON.stringify(headers))
})
server.listen(0, "127.0.0.1", () => console.log(server.address().port))
process.stdin.resume().on("end", () => process.exit())
`

// startNode starts the service and returns its URL.
func startNode(t *testing.T) string {
	t.Helper()
	command := exec.CommandContext(context.Background(), "node", "-e", nodeService)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = input.Close() // ends it
		_ = command.Wait()
	})
	port, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	return "http://127.0.0.1:" + strings.TrimSpace(port)
}

// documented returns the configuration of nginx in MIDDLEWARE.md.
func documented(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../../oauth/MIDDLEWARE.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?ms)^```nginx\n(.+?)^```$").FindAllStringSubmatch(string(page), -1)
	require.Len(t, blocks, 1)
	return blocks[0][1]
}

// guardedService is a Latchkey server, and a service in Node that a proxy guards with it.
type guardedService struct {
	*oauth.Server
	tap          storetest.Tap
	web, service string
	ago          time.Duration // by how much the clock is behind
}

func newGuardedService(t *testing.T) *guardedService {
	t.Helper()
	g := &guardedService{service: startNode(t)}
	st := memstore.New()
	var err error
	g.Server, err = oauth.New(g.tap.Over(st), oauth.Config{
		Issuer: "https://api.example.com", Logger: slog.New(slog.DiscardHandler),
		Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}, {Name: "project.read"}}}),
		SecretForms: bearer.SecretForms{Header: "X-API-Key"},
		Now:         func() time.Time { return time.Now().Add(-g.ago) },
		// The keys of one workspace get tokens without any scope.
		Policy: policy.TokenFunc(func(_ context.Context, r *policy.TokenRequest) error {
			if r.Key.Workspace == "team-without" {
				r.Drop(r.Granted())
			}
			return nil
		}),
	})
	require.NoError(t, err)
	// One route for each guard; the configuration names the first.
	limit := g.LimitRequests(oauth.RequestLimit{Settings: true}) // none, but for workspaces with their own
	mux := http.NewServeMux()
	mux.Handle("/forward-auth", g.ForwardAuth(g.Require("project.list").OrSecret(), limit))
	mux.Handle("/forward-any", g.ForwardAuth(g.Require()))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			t.Error("the proxy sent the body")
		}
		if r.Header.Get("X-Forwarded-For") == "" {
			t.Error("the proxy did not name the client")
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	g.web = web.URL
	return g
}

// start starts nginx with a configuration.
func (g *guardedService) start(t *testing.T, config string) *proxy {
	t.Helper()
	for from, to := range map[string]string{"http://127.0.0.1:8080": g.web, "http://127.0.0.1:9000": g.service} {
		require.Equal(t, 1, strings.Count(config, from))
		config = strings.Replace(config, from, to, 1)
	}
	return startNginx(t, config)
}

// key makes a key that allows direct use.
func (g *guardedService) key(t *testing.T, workspace, permissions string) (id, secret string) {
	t.Helper()
	key, plain, err := g.APIKeys().Create(t.Context(), apikey.OrganizationAdmin("ada"), apikey.Spec{
		Workspace: workspace, Name: "ci", Permissions: scope.MustParse(permissions), Direct: true,
	})
	require.NoError(t, err)
	return key.ID, plain.Reveal()
}

// token makes a key and logs in with it.
func (g *guardedService) token(t *testing.T, workspace, permissions string) (id, token string) {
	t.Helper()
	id, secret := g.key(t, workspace, permissions)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	r := httptest.NewRequest(http.MethodPost, "/api/login", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	g.Token().ServeHTTP(w, r)
	var answer struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	require.NotEmpty(t, answer.Token, w.Body)
	return id, answer.Token
}

// forged are headers with which a client tries to be somebody else.
var forged = []string{
	"X-Workspace", "forged", "X-Client-Id", "forged", "X-Scope", "forged", "x_workspace", "forged", "X_Client-Id", "forged", "X-Client_Id", "forged", "X_SCOPE", "forged",
}

// seen returns what the service behind the proxy sees of a request with forged headers.
func seen(t *testing.T, p *proxy, method string, credential ...string) map[string][]string {
	t.Helper()
	answer, body := p.send(t, method, "/projects?x=1", strings.Repeat("b", len(method)*1000), append(credential, forged...)...)
	require.Equal(t, http.StatusOK, answer.StatusCode, p.logged(t, 0))
	var headers map[string][]string
	require.NoError(t, json.Unmarshal(body, &headers))
	return headers
}

// survivors returns the names under which forged headers reached the service.
func survivors(headers map[string][]string) (names []string) {
	for name, values := range headers {
		for _, value := range values {
			if value == "forged" {
				names = append(names, name)
			}
		}
	}
	return names
}

// TestNginxForwardAuth runs the configuration of MIDDLEWARE.md.
func TestNginxForwardAuth(t *testing.T) {
	g := newGuardedService(t)
	config := documented(t)
	p := g.start(t, config)
	id, good := g.token(t, "team-a", "project.list project.read")
	withToken := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	refused := func(t *testing.T, p *proxy, status int, challenge string, credential ...string) *http.Response {
		t.Helper()
		answer, body := p.send(t, http.MethodGet, "/projects", "", append(credential, forged...)...)
		require.Equal(t, status, answer.StatusCode, p.logged(t, 0))
		require.NotContains(t, string(body), "forged", "the service was asked")
		if challenge == "" {
			require.Empty(t, answer.Header.Values("WWW-Authenticate"))
		} else {
			require.Len(t, answer.Header.Values("WWW-Authenticate"), 1)
			require.Contains(t, answer.Header.Get("WWW-Authenticate"), challenge)
		}
		return answer
	}
	nginx.shows(t, "auth_request in front of a Node service: a token, a secret in X-API-Key", func(t *testing.T) {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			headers := seen(t, p, method, withToken(good)...)
			require.Equal(t, []string{"team-a"}, headers["x-workspace"])
			require.Equal(t, []string{id}, headers["x-client-id"])
			require.Equal(t, []string{"project.list project.read"}, headers["x-scope"])
			require.Empty(t, survivors(headers))
			require.NotContains(t, headers, "authorization", "the credential stays at the proxy")
		}
		direct, secret := g.key(t, "team-a", "project.list")
		headers := seen(t, p, http.MethodGet, "X-API-Key", secret)
		require.Equal(t, []string{direct}, headers["x-client-id"])
		require.Empty(t, survivors(headers))
		require.NotContains(t, headers, "x-api-key", "nor does a secret reach the service")
		_, without := g.token(t, "team-without", "project.list")
		loose := g.start(t, strings.Replace(config, "/forward-auth;", "/forward-any;", 1))
		headers = seen(t, loose, http.MethodGet, withToken(without)...)
		require.Equal(t, []string{"team-without"}, headers["x-workspace"])
		require.Empty(t, headers["x-scope"])
		require.Empty(t, survivors(headers))
	})
	nginx.refuses(t, "auth_request: no token, wrong, expired, scope not held, malformed, too many requests, outage (by ForwardAuth)", func(t *testing.T) {
		refused(t, p, http.StatusUnauthorized, `Bearer realm="latchkey"`)
		refused(t, p, http.StatusUnauthorized, "invalid_token", withToken("x")...)
		refused(t, p, http.StatusUnauthorized, "invalid_token", "X-API-Key", "lk_wrong")
		g.ago = time.Hour
		_, expired := g.token(t, "team-a", "project.list")
		g.ago = 0
		refused(t, p, http.StatusUnauthorized, "invalid_token", withToken(expired)...)
		_, reader := g.token(t, "team-a", "project.read")
		refused(t, p, http.StatusForbidden, `scope="project.list"`, withToken(reader)...)
		refused(t, p, http.StatusBadRequest, "invalid_request", "Authorization", "Bearer")

		keys := g.APIKeys()
		_, err := keys.SaveWorkspace(t.Context(), apikey.OrganizationAdmin("ada"), store.Workspace{ID: "team-busy", Rules: store.Rules{KeyRequests: 1}})
		require.NoError(t, err)
		_, busy := g.token(t, "team-busy", "project.list")
		require.Empty(t, survivors(seen(t, p, http.MethodGet, withToken(busy)...)))
		require.Regexp(t, "^[1-9][0-9]?$", refused(t, p, http.StatusTooManyRequests, "", withToken(busy)...).Header.Get("Retry-After"))

		g.tap.Before(func(context.Context, string) error { return store.ErrUnavailable })
		require.Equal(t, "1", refused(t, p, http.StatusServiceUnavailable, "", withToken(good)...).Header.Get("Retry-After"))
		g.tap.Before(nil)
		unreachable := &guardedService{web: "http://127.0.0.1:1", service: g.service}
		refused(t, unreachable.start(t, config), http.StatusServiceUnavailable, "", withToken(good)...)
	})
	// Each line of the configuration that replaces a header is needed: without it, the test
	// above would fail.
	for _, name := range []string{"X-Workspace", "X-Client-Id", "X-Scope"} {
		t.Run("B15 without the lines of "+name, func(t *testing.T) {
			variable := "$latchkey_" + strings.ReplaceAll(strings.ToLower(name[2:]), "-", "_")
			lines := regexp.MustCompile(`(?m)^.*\` + variable + `[ ;].*\n`)
			require.Len(t, lines.FindAllString(config, -1), 2)
			bad := g.start(t, lines.ReplaceAllString(config, ""))
			require.Equal(t, []string{strings.ToLower(name)}, survivors(seen(t, bad, http.MethodGet, withToken(good)...)))
		})
	}
}
