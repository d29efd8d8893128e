package admin_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// newHandler returns a Handler that is not mounted, and its log.
func newHandler(t *testing.T) (*admin.Handler, *harness.Recorder) {
	t.Helper()
	log := &harness.Recorder{}
	keys, err := apikey.New(memstore.New(), apikey.Config{Permissions: catalog, Logger: log.Logger()})
	require.NoError(t, err)
	h, err := admin.New(keys, admin.Config{
		Authorize: func(*http.Request) (apikey.Actor, error) { return people["ada"], nil },
		CursorKey: cursorKey, Timeout: 3 * time.Second, Logger: log.Logger(),
	})
	require.NoError(t, err)
	return h, log
}

// TestMisplaced: a Handler that gets another prefix than it should answers 404, and the
// log says once what it expected.
func TestMisplaced(t *testing.T) {
	const warning = "no route has the path of this request"
	for _, c := range []struct {
		name, path string
		mount      func(http.Handler) http.Handler
		status     int
		want       string // in the log
	}{
		{"right", "/api/admin/keys", func(h http.Handler) http.Handler { return http.StripPrefix("/api/admin", h) }, http.StatusOK, ""},
		{"no StripPrefix", "/api/admin/keys", func(h http.Handler) http.Handler { return h }, http.StatusNotFound, "example=/keys got=/api/admin/keys"},
		{"no StripPrefix, a longer route", "/api/admin/workspaces/team-a/settings", func(h http.Handler) http.Handler { return h },
			http.StatusNotFound, "example=/keys got=/api/admin/workspaces/team-a/settings"},
		{"a part of the prefix", "/api/admin/keys", func(h http.Handler) http.Handler { return http.StripPrefix("/api", h) }, http.StatusNotFound, "example=/keys got=/admin/keys"},
		{"a prefix with a slash", "/api/admin/keys", func(h http.Handler) http.Handler { return http.StripPrefix("/api/admin/", h) }, http.StatusNotFound, "example=/keys got=keys"},
		{"a long prefix", "/" + strings.Repeat("x", 10_000) + "/keys", func(h http.Handler) http.Handler { return h }, http.StatusNotFound, "example=/keys got=/" + strings.Repeat("x", 99) + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, log := newHandler(t)
			for range 3 {
				got := harness.Serve(c.mount(h), harness.Incoming(http.MethodGet, c.path, ""))
				require.Equal(t, c.status, got.StatusCode, got.Body)
			}
			if c.want == "" {
				require.NotContains(t, log.String(), warning)
				return
			}
			require.Equal(t, 1, strings.Count(log.String(), warning), log.String())
			require.Contains(t, log.String(), c.want)
		})
	}
}

// TestHiddenConnection: behind a middleware that hides the connection, the log says
// that only the server's ReadTimeout bounds a body.
func TestHiddenConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log := newHandler(t)
		network := harness.NewNetwork()
		web := &http.Server{ReadTimeout: 25 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
		})}
		defer web.Close()
		go func() { _ = web.Serve(network) }()
		for range 2 {
			connection, err := network.Dial(t.Context())
			require.NoError(t, err)
			began := time.Now()
			_, err = io.WriteString(connection, "POST /deletions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
			require.NoError(t, err)
			answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusBadRequest, answer.StatusCode, "B12")
			require.Equal(t, 25*time.Second, time.Since(began))
			require.NoError(t, connection.Close())
		}
		require.Equal(t, 1, strings.Count(log.String(), "the time for a request's body is not bounded"), log.String())
		require.Contains(t, log.String(), "bound=3s read_timeout=25s")
	})
}
