package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/examples/interop/testserver"
	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

const (
	oauth2Proxy = peer("github.com/oauth2-proxy/oauth2-proxy/v7")
	nginx       = peer("nginx")
)

// proxy is a proxy that runs until the test ends. It listens on a Unix socket.
type proxy struct {
	client *http.Client
	log    string // file
}

// startProxy starts the program that an environment variable names, and waits until it
// listens.
func startProxy(t *testing.T, variable string, args func(socket string) []string) *proxy {
	t.Helper()
	program := os.Getenv(variable)
	if program == "" {
		t.Skipf("%s is not set; examples/interop/run sets it", variable)
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	p := &proxy{log: filepath.Join(dir, "log")}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	p.client = &http.Client{Transport: &http.Transport{DialContext: dial, DisableCompression: true}}
	log, err := os.Create(p.log)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program, args(socket)...) //nolint:gosec // the run script names it
	command.Dir, command.Stdout, command.Stderr = dir, log, log
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		p.client.CloseIdleConnections()
		stop()
		_ = command.Wait() // it was interrupted
		require.NoError(t, log.Close())
	})
	require.Eventually(t, func() bool {
		conn, err := dial(ctx, "", "")
		return err == nil && conn.Close() == nil
	}, time.Minute, 20*time.Millisecond, "%s does not listen", program)
	return p
}

// send returns the answer and its body, which is not decompressed.
func (p *proxy) send(t *testing.T, method, path, body string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(limited(t), method, "http://proxy"+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := p.client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, text
}

// logged returns what the proxy has logged since a position.
func (p *proxy) logged(t *testing.T, from int) string {
	t.Helper()
	text, err := os.ReadFile(p.log)
	require.NoError(t, err)
	return string(text[from:])
}

// TestOAuth2Proxy: with --skip-jwt-bearer-tokens, oauth2-proxy accepts requests with a token
// and verifies it with go-oidc's defaults.
func TestOAuth2Proxy(t *testing.T) {
	servers := map[string]testserver.Facts{}
	var issuers []string
	for _, algorithm := range testserver.Algorithms() {
		f := start(t, algorithm)
		servers[algorithm] = f
		issuers = append(issuers, "--extra-jwt-issuers="+f.Issuer+"="+f.Audience)
	}
	p := startProxy(t, "LATCHKEY_OAUTH2_PROXY", func(socket string) []string {
		return append(issuers, "--skip-jwt-bearer-tokens", "--http-address=unix://"+socket, "--upstream=static://200", "--email-domain=*",
			"--client-id=unused", "--client-secret=unused", "--cookie-secret=0123456789abcdef0123456789abcdef")
	})
	oauth2Proxy.shows(t, "--extra-jwt-issuers, with its defaults: "+strings.Join(testserver.Algorithms(), ", "), func(t *testing.T) {
		for algorithm, f := range servers {
			answer, _ := p.send(t, http.MethodGet, "/", "", "Authorization", "Bearer "+f.Tokens.Good)
			require.Equal(t, http.StatusOK, answer.StatusCode, "%s: %s", algorithm, p.logged(t, 0))
			require.Equal(t, f.ClientID, answer.Header.Get("Gap-Auth"), "who it is")
		}
	})
	for _, bad := range []struct{ wrong, says string }{
		{"expired", "token is expired"}, {"wrong audience", "audience from claim"}, {"other key", "failed to verify signature"},
	} {
		oauth2Proxy.refuses(t, bad.wrong, func(t *testing.T) {
			for algorithm, f := range servers {
				from := len(p.logged(t, 0))
				answer, _ := p.send(t, http.MethodGet, "/", "", "Authorization", "Bearer "+f.Tokens.Invalid()[bad.wrong])
				require.Equal(t, http.StatusForbidden, answer.StatusCode, algorithm)
				require.Contains(t, p.logged(t, from), bad.says)
			}
		})
	}
}

// TestNginx: nginx compresses the answers of the management API, which makes their ETags weak.
// A change with a weak ETag works all the same.
func TestNginx(t *testing.T) {
	server, err := oauth.New(memstore.New(), oauth.Config{
		Issuer: "https://api.example.com", Logger: slog.New(slog.DiscardHandler),
		Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}}),
	})
	require.NoError(t, err)
	h, err := admin.New(server.APIKeys(), admin.Config{
		Authorize: func(*http.Request) (apikey.Actor, error) { return apikey.OrganizationAdmin("ada"), nil },
		CursorKey: bytes.Repeat([]byte("k"), 32), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	p := startNginx(t, "location / { proxy_pass "+web.URL+"; }")
	read := func(t *testing.T) (etag string, settings map[string]json.RawMessage) {
		t.Helper()
		answer, body := p.send(t, http.MethodGet, "/settings", "", "Accept-Encoding", "gzip")
		require.Equal(t, "gzip", answer.Header.Get("Content-Encoding"), p.logged(t, 0))
		require.NotContains(t, string(body), "require_expiry")
		etag = answer.Header.Get("ETag")
		require.True(t, strings.HasPrefix(etag, "W/"), etag)
		_, body = p.send(t, http.MethodGet, "/settings", "")
		require.NoError(t, json.Unmarshal(body, &settings))
		return etag, settings
	}
	put := func(t *testing.T, etag string, settings map[string]json.RawMessage) *http.Response {
		t.Helper()
		wanted := map[string]json.RawMessage{}
		for _, name := range settable(t, p) {
			wanted[name] = settings[name]
		}
		body, err := json.Marshal(wanted)
		require.NoError(t, err)
		answer, text := p.send(t, http.MethodPut, "/settings", string(body), "If-Match", etag, "Content-Type", "application/json", "Accept-Encoding", "gzip")
		if answer.StatusCode != http.StatusPreconditionFailed {
			require.Equal(t, http.StatusOK, answer.StatusCode, string(text))
		}
		return answer
	}
	nginx.shows(t, "gzip in front of the management API: PUT with the weak ETag", func(t *testing.T) {
		etag, settings := read(t)
		settings["require_expiry"] = json.RawMessage("true")
		require.Equal(t, http.StatusOK, put(t, etag, settings).StatusCode)
		next, settings := read(t)
		require.NotEqual(t, etag, next)
		require.Equal(t, "true", string(settings["require_expiry"]))
	})
	nginx.refuses(t, "PUT with a weak ETag of before (by Latchkey)", func(t *testing.T) {
		etag, settings := read(t)
		settings["require_expiry"] = json.RawMessage("false")
		require.Equal(t, http.StatusOK, put(t, etag, settings).StatusCode)
		settings["require_expiry"] = json.RawMessage("true")
		require.Equal(t, http.StatusPreconditionFailed, put(t, etag, settings).StatusCode)
	})
}

// settable returns the members that a PUT of the settings requires.
func settable(t *testing.T, p *proxy) []string {
	t.Helper()
	var document struct {
		Components struct {
			Schemas struct {
				SettingsInput struct{ Required []string }
			}
		}
	}
	_, body := p.send(t, http.MethodGet, "/openapi.json", "")
	require.NoError(t, json.Unmarshal(body, &document))
	require.NotEmpty(t, document.Components.Schemas.SettingsInput.Required)
	return document.Components.Schemas.SettingsInput.Required
}

// startNginx starts nginx with these locations.
func startNginx(t *testing.T, locations string) *proxy {
	t.Helper()
	return startProxy(t, "LATCHKEY_NGINX", func(socket string) []string {
		dir := filepath.Dir(socket)
		config := strings.NewReplacer("DIR", dir, "SOCKET", socket, "LOCATIONS", locations).Replace(nginxConfig)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600))
		return []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf")}
	})
}

const nginxConfig = `
daemon off;
pid DIR/pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
	gzip on;
	gzip_types application/json application/problem+json;
	server {
		listen unix:SOCKET;
		LOCATIONS
	}
}
`
