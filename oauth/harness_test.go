package oauth_test

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// start is when every test begins. It is between two seconds, so that tests notice
// a truncated fraction.
var start = time.Date(2026, 3, 1, 12, 0, 0, 400_000_000, time.UTC)

var catalog = scope.MustCatalog(scope.Group{Permissions: []scope.Permission{
	{Name: "project.list"}, {Name: "project.read"}, {Name: "project.write"}, {Name: "key.rotate"},
	{Name: "admin.project.list", Level: scope.Admin},
}})

// quiet is the log of servers whose log no test reads.
var quiet = slog.New(slog.DiscardHandler)

var admin = harness.Ada

const form = "application/x-www-form-urlencoded"

// world is a host: a server behind a real listener, one clock, one key.
type world struct {
	*oauth.Server
	t      testing.TB
	base   string
	clock  *oauthtest.Clock
	log    *harness.Recorder
	key    apikey.Key
	secret string
	dial   func(context.Context) (net.Conn, error)
}

// setup is what a test changes of its world before it begins.
type setup struct {
	config  oauth.Config
	store   store.Store
	start   func(*httptest.Server)
	network *harness.Network // instead of a loopback port
}

// inMemory is for a world in a bubble of synctest, which then has one clock
// with the connections that raw makes.
func inMemory(s *setup) { s.network = harness.NewNetwork() }

func newWorld(t testing.TB, changes ...func(*setup)) *world {
	t.Helper()
	w := &world{t: t, clock: harness.ClockAt(start), log: &harness.Recorder{}}
	s := setup{store: memstore.New(), start: (*httptest.Server).Start}
	s.config = oauth.Config{
		InsecureLoopback: true,
		Permissions:      catalog,
		Realm:            "api",
		LoginTimeout:     time.Minute, // so that a busy machine causes no 503
		Logger:           w.log.Logger(),
		Now:              w.clock.Now,
		Observer:         func(_ context.Context, d observe.Decision) { w.log.Show(d) },
		APIKeys:          apikey.Options{RefuseAfter: -1},
	}
	mux := http.NewServeMux()
	web := httptest.NewUnstartedServer(mux)
	web.Config.ErrorLog = slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelError)
	address := web.Listener.Addr().String()
	s.config.Issuer = "http://" + address
	w.dial = func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", address) }
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
	mux.Handle("GET /workspaces/{workspace}/projects", srv.Require("project.list").InPath("workspace")(who))
	mux.Handle("GET /any", srv.Require().AnyWorkspace()(who))
	mux.Handle("/forward-auth", srv.ForwardAuth(srv.Require()))
	if s.network != nil {
		require.NoError(t, web.Listener.Close())
		web.Listener = s.network
		w.dial = s.network.Dial
	}
	s.start(web)
	t.Cleanup(web.Close)
	t.Cleanup(func() { w.log.Search(t) })
	w.base = web.URL
	w.key, w.secret = w.newKey("team-a", "project.list project.read")
	return w
}

// at returns the world for a subtest, so that the subtest fails and not its parent.
func (w *world) at(t testing.TB) *world {
	there := *w
	there.t = t
	return &there
}

// newKey makes a key in a workspace.
func (w *world) newKey(workspace, permissions string) (apikey.Key, string) {
	w.t.Helper()
	return harness.NewKey(w.t, w.APIKeys(), w.log, workspace, "ci", permissions)
}

type answer = harness.Answer

// send makes one request. Headers are pairs; a name given twice is sent twice.
func (w *world) send(method, target, body string, headers ...string) answer {
	w.t.Helper()
	return w.do(http.DefaultClient, harness.NewRequest(w.t, method, w.base+target, body, headers...))
}

func (w *world) do(client *http.Client, r *http.Request) answer {
	w.t.Helper()
	a, err := harness.Do(w.t, client, r)
	require.NoError(w.t, err)
	return a
}

// post sends a form to the login, byte for byte.
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
	require.Equal(w.t, http.StatusOK, a.StatusCode, a.Body)
	return a.Token()
}

// call requests a guarded route with a token and returns the status.
func (w *world) call(token string) int {
	w.t.Helper()
	return w.send(http.MethodGet, "/any", "", "Authorization", "Bearer "+token).StatusCode
}

// refused requires an error response that meets RFC 6749, section 5.2.
func (w *world) refused(a answer, status int, code string) {
	w.t.Helper()
	require.Equal(w.t, status, a.StatusCode, a.Body)
	require.Equal(w.t, code, a.Code(), a.Body)
	require.Equal(w.t, "application/json", a.Header.Get("Content-Type"))
	require.Equal(w.t, "no-store", a.Header.Get("Cache-Control"))
	require.Equal(w.t, "no-cache", a.Header.Get("Pragma"))
	require.Regexp(w.t, `^[ -!#-\[\]-~]+$`, a.Description(), "the characters of RFC 6749, section 5.2")
	require.NotContains(w.t, a.Body, "access_token")
	require.NotContains(w.t, a.Body, w.secret)
	if status == http.StatusUnauthorized {
		require.Equal(w.t, `Basic realm="api", charset="UTF-8"`, a.Header.Get("WWW-Authenticate"))
	} else {
		require.Empty(w.t, a.Header.Values("WWW-Authenticate"))
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		require.Regexp(w.t, `^[1-9][0-9]*$`, a.Header.Get("Retry-After"))
	}
}

// raw writes bytes to a fresh connection and returns it for reading.
func (w *world) raw(text string) net.Conn {
	w.t.Helper()
	conn, err := w.dial(w.t.Context())
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(w.t, conn.SetDeadline(time.Now().Add(time.Minute))) // or it would hang for ever
	_, err = io.WriteString(conn, text)
	require.NoError(w.t, err)
	return conn
}

// serve calls a handler without a network.
func serve(handler http.Handler, method, target, body string, headers ...string) answer {
	return harness.Serve(handler, harness.Incoming(method, target, body, append(headers, "Content-Type", form)...))
}
