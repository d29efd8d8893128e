package oauth_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestRoutesInAGroup tests that routes under a prefix work, and that the first request
// is logged with what to change.
func TestRoutesInAGroup(t *testing.T) {
	t.Parallel()
	const warning = "the path of a request has a prefix that the metadata does not name"
	for _, c := range []struct {
		name   string
		mount  func(routes map[string]http.Handler) http.Handler
		prefix string
		want   string // in the log
	}{
		{"at the root", func(routes map[string]http.Handler) http.Handler {
			mux := http.NewServeMux()
			for path, route := range routes {
				mux.Handle(path, route)
			}
			return mux
		}, "", ""},
		{"in a group", func(routes map[string]http.Handler) http.Handler {
			mux := http.NewServeMux()
			for path, route := range routes {
				mux.Handle("/v1"+path, route)
			}
			return mux
		}, "/v1", "got=/v1/api/login"},
		{"behind StripPrefix", func(routes map[string]http.Handler) http.Handler {
			mux := http.NewServeMux()
			for path, route := range routes {
				mux.Handle(path, route)
			}
			return http.StripPrefix("/v1/x", mux)
		}, "/v1/x", "got=/v1/x/api/login"},
		{"a handler at a path of the host's own", func(routes map[string]http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/token", routes["/api/login"])
			return mux
		}, "/token", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			h := c.mount(w.Routes())
			path := c.prefix + "/api/login"
			if c.prefix == "/token" {
				path = c.prefix
			}
			for range 3 {
				require.NotEmpty(t, serve(h, http.MethodPost, path+"?x=1", w.grant()).Token())
			}
			if c.want == "" {
				require.NotContains(t, w.log.String(), warning)
				return
			}
			require.Equal(t, 1, strings.Count(w.log.String(), warning), w.log.String())
			require.Contains(t, w.log.String(), "example=/api/login "+c.want+"\n")
		})
	}
	t.Run("an absolute URL, as a client of a proxy sends it", func(t *testing.T) {
		w := newWorld(t)
		require.NotEmpty(t, serve(w.Handler(http.NotFoundHandler()), http.MethodPost, "https://a.example/api/login", w.grant()).Token())
		require.NotContains(t, w.log.String(), warning)
	})
}

// asked records whether a handler called WriteHeader. Some adaptors need that, since
// they have no default status.
type asked struct {
	http.ResponseWriter
	status int
}

func (a *asked) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// TestHeadHasAStatus: no handler leaves the status of an answer to net/http.
func TestHeadHasAStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(s *setup) {
		s.config.AuthorizationPath, s.config.Resource, s.config.OpenIDAlias = "/oauth/authorize", "https://api.example.com/v1", true
	})
	for path, route := range w.Routes() {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions} {
			answer := &asked{ResponseWriter: httptest.NewRecorder()}
			r := httptest.NewRequest(method, path, nil)
			route.ServeHTTP(answer, r)
			require.NotZero(t, answer.status, "%s %s", method, path)
			if strings.HasPrefix(path, "/.well-known/") && method == http.MethodHead {
				require.Equal(t, http.StatusOK, answer.status, path)
				r.Header.Set("If-None-Match", answer.Header().Get("ETag"))
				again := &asked{ResponseWriter: httptest.NewRecorder()}
				route.ServeHTTP(again, r)
				require.Equal(t, http.StatusNotModified, again.status, path)
			}
		}
	}
	revoked := &asked{ResponseWriter: httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodPost, "/api/revoke", strings.NewReader(w.grant()+"&token=x"))
	r.Header.Set("Content-Type", form)
	w.Revocation().ServeHTTP(revoked, r)
	require.Equal(t, http.StatusOK, revoked.status)
}

// opaque hides all methods of a ResponseWriter but the three that every one has.
func opaque(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
	})
}

type unwrapping struct{ http.ResponseWriter }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// TestHiddenConnection tests that behind a middleware that hides the connection only the
// server's own ReadTimeout bounds a body, and that this is logged.
func TestHiddenConnection(t *testing.T) {
	const warning = "the time for a request's body is not bounded"
	for _, c := range []struct {
		name        string
		middleware  func(http.Handler) http.Handler
		readTimeout time.Duration
		lasts       time.Duration
		status      int
		logged      bool
	}{
		{"hidden", opaque, 25 * time.Second, 25 * time.Second, http.StatusRequestTimeout, true},
		{"hidden, with a short ReadTimeout", opaque, 5 * time.Second, 5 * time.Second, http.StatusRequestTimeout, false},
		{"http.TimeoutHandler", func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "") },
			25 * time.Second, 25 * time.Second, http.StatusServiceUnavailable, true},
		{"with Unwrap", func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(unwrapping{w}, r) })
		}, 25 * time.Second, 10 * time.Second, http.StatusRequestTimeout, false},
	} {
		t.Run("B12 "+c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, inMemory, func(s *setup) {
					s.start = func(web *httptest.Server) {
						web.Config.ReadTimeout, web.Config.Handler = c.readTimeout, c.middleware(web.Config.Handler)
						web.Start()
					}
				})
				for range 2 {
					began := time.Now()
					in := bufio.NewReader(w.raw(head("Content-Length: 1000") + "a"))
					require.Equal(t, c.status, answerOn(t, in).StatusCode)
					_, err := in.WriteTo(io.Discard)
					require.NoError(t, err)
					require.Equal(t, c.lasts, time.Since(began))
				}
				want := 0
				if c.logged {
					want = 1
				}
				require.Equal(t, want, strings.Count(w.log.String(), warning), w.log.String())
			})
		})
	}
	t.Run("not by net/http's server", func(t *testing.T) {
		w := newWorld(t)
		require.NotEmpty(t, serve(opaque(w.Token()), http.MethodPost, "/api/login", w.grant()).Token())
		require.NotContains(t, w.log.String(), warning, "nobody waits: the body is in memory, or the other server bounds it")
	})
}
