package console_test

import (
	"bufio"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

// newPages returns a Console that is not mounted, and its log.
func newPages(t *testing.T) (*console.Console, *harness.Recorder) {
	t.Helper()
	var config console.Config
	r := newQuietRig(t, func(_ *store.Store, _ *apikey.Config, cfg *console.Config) {
		cfg.Timeout = 3 * time.Second
		config = *cfg
	})
	pages, err := console.New(r.keys, config)
	require.NoError(t, err)
	return pages, r.log
}

// open asks for a page, and returns the address of a link on it as a browser resolves it.
func open(t *testing.T, h http.Handler, path, holds string) (status int, link string) {
	t.Helper()
	got := harness.Serve(h, harness.Incoming(http.MethodGet, path, "", "X-Person", "ada"))
	require.Empty(t, got.Header.Get("Location"))
	base, err := url.Parse(path)
	require.NoError(t, err)
	for _, match := range links.FindAllStringSubmatch(got.Body, -1) {
		if strings.Contains(match[1], holds) {
			to, err := base.Parse(match[1])
			require.NoError(t, err)
			return got.StatusCode, to.Path
		}
	}
	return got.StatusCode, ""
}

// TestFirstPage: the first page is at the prefix with and without a slash, and its links lead
// below the prefix. Nothing redirects, so no middleware for slashes can make a loop of it.
func TestFirstPage(t *testing.T) {
	pages, _ := newPages(t)
	for _, prefix := range []string{"", "/console", "/app/keys-of-ours", "/a%20b/c%20d"} {
		plain, err := url.PathUnescape(prefix)
		require.NoError(t, err)
		h := http.StripPrefix(plain, pages)
		for _, path := range []string{prefix, prefix + "/", prefix + "?x=/y", prefix + "/?x=y"} {
			if path == "" || path[0] == '?' {
				continue
			}
			status, link := open(t, h, path, "workspaces/team-a/keys")
			require.Equal(t, http.StatusOK, status, path)
			require.Equal(t, plain+"/workspaces/team-a/keys", link, path)
			_, asset := open(t, h, path, "console.css")
			require.Equal(t, plain+"/console.css", asset, path)
		}
		// Who has one workspace is sent there.
		if prefix != "" {
			got := harness.Serve(h, harness.Incoming(http.MethodGet, prefix, "", "X-Person", "olga"))
			base, err := url.Parse(prefix)
			require.NoError(t, err)
			to, err := base.Parse(got.Header.Get("Location"))
			require.NoError(t, err)
			require.Equal(t, plain+"/workspaces/team-a/keys", to.Path)
		}
		status, link := open(t, h, prefix+"/workspaces/team-a/keys", "keys/new")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, plain+"/workspaces/team-a/keys/new", link)
	}
}

// TestOtherSpellings: a path in another spelling is 404 and no redirect, which would lead out of
// the prefix.
func TestOtherSpellings(t *testing.T) {
	pages, _ := newPages(t)
	h := http.StripPrefix("/console", pages)
	for _, path := range []string{
		"/console//", "/console//settings", "/console/./settings", "/console/x/../settings", "/console/settings/", "/console/workspaces//keys",
		"/console//evil.example", "/console/workspaces/team-a/keys/..",
	} {
		status, _ := open(t, h, path, "keys")
		require.Equal(t, http.StatusNotFound, status, path)
	}
}

// TestMisplaced: a Console that gets another prefix than it should answers 404, and the log says
// once what it expected.
func TestMisplaced(t *testing.T) {
	const warning = "no page or form has this method and path"
	for _, c := range []struct {
		name, path string
		mount      func(http.Handler) http.Handler
		status     int
		want       string // in the log
	}{
		{"right", "/console/settings/keys", func(h http.Handler) http.Handler { return http.StripPrefix("/console", h) }, http.StatusOK, ""},
		{"no StripPrefix, the first page", "/app/console/", func(h http.Handler) http.Handler { return h }, http.StatusNotFound, `example="GET /settings" got="GET /app/console/"`},
		{"no StripPrefix", "/console/workspaces/team-a/keys", func(h http.Handler) http.Handler { return h },
			http.StatusNotFound, `example="GET /settings" got="GET /console/workspaces/team-a/keys"`},
		{"no StripPrefix, an asset", "/console/console.css", func(h http.Handler) http.Handler { return h }, http.StatusNotFound, `example="GET /settings" got="GET /console/console.css"`},
		{"a prefix with a slash", "/console/workspaces/team-a/keys", func(h http.Handler) http.Handler { return http.StripPrefix("/console/", h) },
			http.StatusNotFound, `example="GET /settings" got="GET workspaces/team-a/keys"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			pages, log := newPages(t)
			for range 3 {
				status, _ := open(t, c.mount(pages), c.path, "keys")
				require.Equal(t, c.status, status)
			}
			if c.want == "" {
				require.NotContains(t, log.String(), warning)
				return
			}
			require.Equal(t, 1, strings.Count(log.String(), warning), log.String())
			require.Contains(t, log.String(), c.want+"\n")
		})
	}
}

// TestSlowBodies: a body holds a request for Config.Timeout, also where nothing reads it; and
// behind a middleware that hides the connection for the server's ReadTimeout, which is logged.
func TestSlowBodies(t *testing.T) {
	opaque := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(struct{ http.ResponseWriter }{w}, r) })
	}
	for _, c := range []struct {
		name, request string
		middleware    func(http.Handler) http.Handler
		lasts         time.Duration
	}{
		{"B12 a form", "POST /settings", nil, 3 * time.Second},
		{"B12 a page", "GET /", nil, 3 * time.Second},
		{"B12 an asset", "GET /console.css", nil, 3 * time.Second},
		{"B12 no page", "POST /nothing", nil, 3 * time.Second},
		{"B12 another spelling", "POST //settings", nil, 3 * time.Second},
		{"B12 hidden", "POST /settings", opaque, 25 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pages, log := newPages(t)
				var handler http.Handler = pages
				if c.middleware != nil {
					handler = c.middleware(pages)
				}
				network := harness.NewNetwork()
				web := &http.Server{ReadTimeout: 25 * time.Second, Handler: handler}
				defer web.Close()
				go func() { _ = web.Serve(network) }()
				connection, err := network.Dial(t.Context())
				require.NoError(t, err)
				defer connection.Close()
				began := time.Now()
				_, err = io.WriteString(connection, c.request+" HTTP/1.1\r\nHost: x\r\nX-Person: ada\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nkeys=")
				require.NoError(t, err)
				reader := bufio.NewReader(connection)
				answer, err := http.ReadResponse(reader, nil)
				require.NoError(t, err)
				defer answer.Body.Close()
				require.Equal(t, c.lasts, time.Since(began))
				_, err = reader.WriteTo(io.Discard)
				require.NoError(t, err, "the connection ends")
				require.Equal(t, c.middleware != nil, strings.Contains(log.String(), "the time for a request's body is not bounded"), log.String())
			})
		})
	}
}
