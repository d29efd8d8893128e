package oauth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// start is when every test begins, between two seconds so that cutting off a
// fraction shows.
var start = time.Date(2026, 3, 1, 12, 0, 0, 400_000_000, time.UTC)

var catalog = scope.MustCatalog(
	scope.Group{Title: "Projects", Permissions: []scope.Permission{
		{Name: "project.list"}, {Name: "project.read"}, {Name: "project.write"},
	}},
	scope.Group{Title: "Keys", Permissions: []scope.Permission{
		{Name: "key.rotate"}, {Name: "admin.project.list", Level: scope.Admin},
	}},
)

// quiet is for servers whose log nobody reads.
var quiet = slog.New(slog.DiscardHandler)

var admin = apikey.OrganizationAdmin("tests")

const form = "application/x-www-form-urlencoded"

// world is a host: a server behind a real listener, one clock, one key.
type world struct {
	*oauth.Server
	t      testing.TB
	base   string
	clock  *clock
	log    *logBuffer
	key    store.Key
	secret string
}

// setup is what a test changes of its world before it begins.
type setup struct {
	config oauth.Config
	store  store.Store
	start  func(*httptest.Server)
}

func newWorld(t testing.TB, changes ...func(*setup)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{now: start}, log: &logBuffer{}}
	s := setup{store: memstore.New(), start: (*httptest.Server).Start}
	s.config = oauth.Config{
		InsecureLoopback: true,
		Permissions:      catalog,
		Realm:            "api",
		Logger:           slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:              w.clock.time,
	}
	mux := http.NewServeMux()
	web := httptest.NewUnstartedServer(mux)
	web.Config.ErrorLog = slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelError)
	s.config.Issuer = "http://" + web.Listener.Addr().String()
	for _, change := range changes {
		change(&s)
	}
	srv, err := oauth.New(s.store, s.config)
	require.NoError(t, err)
	w.Server = srv
	for pattern, handler := range srv.Routes() {
		mux.Handle(pattern, handler)
	}
	who := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p, _ := bearer.PrincipalFrom(r.Context())
		_, _ = io.WriteString(rw, p.KeyID+" "+p.Permissions.String())
	})
	mux.Handle("GET /workspaces/{workspace}/projects", srv.Require("project.list").In("workspace")(who))
	mux.Handle("GET /any", srv.Require().AnyWorkspace()(who))
	s.start(web)
	t.Cleanup(web.Close)
	w.base = web.URL
	w.key, w.secret = w.newKey("team-a", "project.list project.read")
	return w
}

// at is the world as a subtest sees it, which then fails by itself.
func (w *world) at(t testing.TB) *world {
	there := *w
	there.t = t
	return &there
}

// newKey makes a key in a workspace.
func (w *world) newKey(workspace, permissions string) (store.Key, string) {
	w.t.Helper()
	key, secret, err := w.Keys().Create(w.t.Context(), admin, apikey.Spec{
		Workspace: workspace, Name: "ci", Permissions: scope.MustParse(permissions),
	})
	require.NoError(w.t, err)
	return key, secret.Reveal()
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// member returns a member of the answer's JSON object, nil if there is none.
func (a answer) member(name string) any {
	var object map[string]any
	if json.Unmarshal([]byte(a.body), &object) != nil {
		return nil
	}
	return object[name]
}

func (a answer) code() string        { text, _ := a.member("error").(string); return text }
func (a answer) description() string { text, _ := a.member("error_description").(string); return text }
func (a answer) token() string       { text, _ := a.member("access_token").(string); return text }

// send makes one request. Headers are pairs; a name given twice is sent twice.
func (w *world) send(method, target, body string, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.base+target, strings.NewReader(body))
	require.NoError(w.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return w.do(http.DefaultClient, r)
}

func (w *world) do(client *http.Client, r *http.Request) answer {
	w.t.Helper()
	response, err := client.Do(r)
	require.NoError(w.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	return answer{response.StatusCode, response.Header, string(text)}
}

// post sends a form to the login as its text stands.
func (w *world) post(body string, headers ...string) answer {
	w.t.Helper()
	return w.send(http.MethodPost, "/api/login", body, append([]string{"Content-Type", form}, headers...)...)
}

// postJSON sends a JSON text to the login.
func (w *world) postJSON(body string, headers ...string) answer {
	w.t.Helper()
	return w.send(http.MethodPost, "/api/login", body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// grant is a login's form with the world's key and further parameters.
func (w *world) grant(further ...string) string {
	v := url.Values{"grant_type": {"client_credentials"}, "client_id": {w.key.ID}, "client_secret": {w.secret}}
	for i := 0; i < len(further); i += 2 {
		v.Set(further[i], further[i+1])
	}
	return v.Encode()
}

// basic is the header of RFC 6749, section 2.3.1.
func basic(id, secret string) []string {
	plain := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(plain))}
}

// login logs in and returns the token.
func (w *world) login(id, secret string) string {
	w.t.Helper()
	a := w.post("grant_type=client_credentials", basic(id, secret)...)
	require.Equal(w.t, http.StatusOK, a.status, a.body)
	return a.token()
}

// call asks a guarded route with a token and returns the status.
func (w *world) call(token string) int {
	w.t.Helper()
	return w.send(http.MethodGet, "/any", "", "Authorization", "Bearer "+token).status
}

// refused requires an error answer of RFC 6749, section 5.2, in every respect.
func (w *world) refused(a answer, status int, code string) {
	w.t.Helper()
	require.Equal(w.t, status, a.status, a.body)
	require.Equal(w.t, code, a.code(), a.body)
	require.Equal(w.t, "application/json", a.header.Get("Content-Type"))
	require.Equal(w.t, "no-store", a.header.Get("Cache-Control"))
	require.Equal(w.t, "no-cache", a.header.Get("Pragma"))
	require.Regexp(w.t, `^[ -!#-\[\]-~]+$`, a.description(), "the characters of RFC 6749, section 5.2")
	require.NotContains(w.t, a.body, "access_token")
	require.NotContains(w.t, a.body, w.secret)
	if status == http.StatusUnauthorized {
		require.Equal(w.t, `Basic realm="api", charset="UTF-8"`, a.header.Get("WWW-Authenticate"))
	} else {
		require.Empty(w.t, a.header.Values("WWW-Authenticate"))
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		require.Regexp(w.t, `^[1-9][0-9]*$`, a.header.Get("Retry-After"))
	}
}

// payload decodes a token's claims without verifying anything.
func payload(t testing.TB, token string) map[string]any {
	t.Helper()
	return part(t, token, 1)
}

func part(t testing.TB, token string, i int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	text, err := base64.RawURLEncoding.DecodeString(parts[i])
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(text, &members))
	return members
}

// raw writes bytes to a fresh connection and returns it for reading.
func (w *world) raw(text string) net.Conn {
	w.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(w.t.Context(), "tcp", strings.TrimPrefix(w.base, "http://"))
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(w.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, text)
	require.NoError(w.t, err)
	return conn
}

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// serve asks a handler without a network.
func serve(handler http.Handler, method, target, body string, headers ...string) answer {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", form)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rw := httptest.NewRecorder()
	handler.ServeHTTP(rw, r)
	return answer{rw.Code, rw.Header(), rw.Body.String()}
}

// cancelled is a request's context after its caller went away.
func cancelled(t testing.TB) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}
