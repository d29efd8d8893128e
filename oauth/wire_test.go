package oauth_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
)

// head is a request's head with a length that need not be true.
func head(length string, headers ...string) string {
	return "POST /api/login HTTP/1.1\r\nHost: h\r\nContent-Type: " + form + "\r\n" + length + "\r\n" +
		strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

// answerOn reads one response from a connection.
func answerOn(t testing.TB, from *bufio.Reader) answer {
	t.Helper()
	response, err := http.ReadResponse(from, nil)
	require.NoError(t, err)
	a, err := harness.Read(t, response)
	require.NoError(t, err)
	return a
}

// closed requires that the server has closed the connection.
func closed(t testing.TB, from *bufio.Reader) {
	t.Helper()
	_, err := from.ReadByte()
	require.Error(t, err, "the connection is still open")
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection is still open")
}

func TestWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := w.grant()

	t.Run("B12 a declared length over the limit is refused before the body comes", func(t *testing.T) {
		w := w.at(t)
		for _, length := range []int{64<<10 + 1, 200_000, 1 << 40} {
			in := bufio.NewReader(w.raw(head(fmt.Sprintf("Content-Length: %d", length))))
			w.refused(answerOn(t, in), http.StatusRequestEntityTooLarge, "invalid_request")
			closed(t, in)
		}
	})
	t.Run("B12 an endless chunked body is cut off at the limit", func(t *testing.T) {
		w := w.at(t)
		conn := w.raw(head("Transfer-Encoding: chunked"))
		chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<10, strings.Repeat("a", 1<<10))
		sent := 0
		for range 64 << 10 { // 64 MiB, if the server read it all
			n, err := io.WriteString(conn, chunk)
			sent += n
			if err != nil {
				break
			}
		}
		require.Less(t, sent, 16<<20, "the server stopped reading")
	})
	t.Run("B12 413 for a chunked body", func(t *testing.T) {
		w := w.at(t)
		in := bufio.NewReader(w.raw(head("Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", 65<<10, strings.Repeat("a", 65<<10))))
		w.refused(answerOn(t, in), http.StatusRequestEntityTooLarge, "invalid_request")
	})
	t.Run("B12 Expect: 100-continue", func(t *testing.T) {
		w := w.at(t)
		conn := w.raw(head(fmt.Sprintf("Content-Length: %d", len(good)), "Expect: 100-continue"))
		in := bufio.NewReader(conn)
		require.Equal(t, http.StatusContinue, answerOn(t, in).StatusCode)
		_, err := io.WriteString(conn, good)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answerOn(t, in).StatusCode)
	})
	t.Run("B12 Expect: 100-continue for a body that is too long", func(t *testing.T) {
		w := w.at(t)
		in := bufio.NewReader(w.raw(head("Content-Length: 100000", "Expect: 100-continue")))
		w.refused(answerOn(t, in), http.StatusRequestEntityTooLarge, "invalid_request")
		closed(t, in)
	})
	t.Run("B12 chunked and Content-Length: one reading, one answer", func(t *testing.T) {
		w := w.at(t)
		// Read by its Content-Length, the body would end in a second request.
		smuggled := "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
		body := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(good), good)
		in := bufio.NewReader(w.raw(head("Transfer-Encoding: chunked\r\nContent-Length: 5", "Connection: close") + body + smuggled))
		a := answerOn(t, in)
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, a.StatusCode)
		closed(t, in)
	})
	t.Run("B12 two lengths that differ", func(t *testing.T) {
		w := w.at(t)
		in := bufio.NewReader(w.raw(head("Content-Length: 5\r\nContent-Length: 6") + good))
		require.Equal(t, http.StatusBadRequest, answerOn(t, in).StatusCode)
	})
	t.Run("B12 gzip is not inflated", func(t *testing.T) {
		w := w.at(t)
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := io.WriteString(z, good)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		for _, headers := range [][]string{{"Content-Encoding", "gzip"}, nil} {
			w.refused(w.post(packed.String(), headers...), http.StatusBadRequest, "invalid_request")
		}
	})
	t.Run("B12 a body shorter than declared", func(t *testing.T) {
		w := w.at(t)
		conn := w.raw(head(fmt.Sprintf("Content-Length: %d", len(good)+10)) + good)
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		w.refused(answerOn(t, bufio.NewReader(conn)), http.StatusBadRequest, "invalid_request")
	})
	t.Run("B15 a line break cannot come in a header", func(t *testing.T) {
		w := w.at(t)
		in := bufio.NewReader(w.raw("POST /api/login HTTP/1.1\r\nHost: h\r\nAuthorization: Basic eDp5\x00\r\nContent-Length: 0\r\n\r\n"))
		require.Equal(t, http.StatusBadRequest, answerOn(t, in).StatusCode)
	})
	t.Run("9700-07 and 8414-02 the Host header changes nothing", func(t *testing.T) {
		w := w.at(t)
		in := bufio.NewReader(w.raw("GET /api/login HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Proto: https\r\n\r\n"))
		a := answerOn(t, in)
		require.Equal(t, http.StatusMethodNotAllowed, a.StatusCode)
		require.NotContains(t, fmt.Sprint(a), "evil")
	})
}

// TestSlowBody tests that a body may take ten seconds to arrive, by the clock of
// the synctest bubble.
func TestSlowBody(t *testing.T) {
	for _, tc := range []struct {
		name, head string
		status     int
	}{
		{"form", head("Content-Length: 1000"), http.StatusRequestTimeout},
		{"chunked", head("Transfer-Encoding: chunked") + "5\r\nab", http.StatusRequestTimeout},
		// The handlers do not read these bodies, but net/http waits for them.
		{"another content type", strings.Replace(head("Content-Length: 1000"), form, "text/plain", 1), http.StatusBadRequest},
		{"another method", strings.Replace(head("Content-Length: 1000"), "POST", "PUT", 1), http.StatusMethodNotAllowed},
		{"a parameter in the URL", strings.Replace(head("Content-Length: 1000"), "login", "login?scope=a", 1), http.StatusBadRequest},
	} {
		t.Run("B12 "+tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, inMemory)
				began := time.Now()
				in := bufio.NewReader(w.raw(tc.head + "a"))
				a := answerOn(t, in)
				require.Equal(t, tc.status, a.StatusCode, a.Body)
				require.Equal(t, "invalid_request", a.Code())
				closed(t, in)
				require.Equal(t, 10*time.Second, time.Since(began).Truncate(time.Second))
			})
		})
	}
}

// TestSlowBodyOfADocument tests that a body that no handler reads holds a request for
// ten seconds on every other route, too: net/http waits for it before it answers.
func TestSlowBodyOfADocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, inMemory, func(s *setup) {
			s.config.AuthorizationPath, s.config.Resource, s.config.OpenIDAlias = "/oauth/authorize", "https://api.example.com/v1", true
		})
		for _, path := range append(slices.Collect(maps.Keys(w.Routes())), "/forward-auth") {
			for _, method := range []string{"GET", "POST"} {
				began := time.Now()
				in := bufio.NewReader(w.raw(method + " " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\na"))
				answerOn(t, in)
				closed(t, in)
				require.Equal(t, 10*time.Second, time.Since(began).Truncate(time.Second), "B12 %s %s", method, path)
			}
		}
	})
}

// TestSlowBodyIsNotASlowStore tests that LoginTimeout begins when the body is there.
func TestSlowBodyIsNotASlowStore(t *testing.T) {
	for _, path := range []string{"/api/login", "/api/revoke", "/api/introspect"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, inMemory, func(s *setup) { s.config.LoginTimeout = 900 * time.Millisecond })
				body := w.grant("token", "none")
				conn := w.raw(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", path, form, len(body)))
				time.Sleep(3 * time.Second) //nolint:forbidigo // by the clock of the bubble
				_, err := io.WriteString(conn, body)
				require.NoError(t, err)
				a := answerOn(t, bufio.NewReader(conn))
				require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
			})
		})
	}
}

// TestHostsReadTimeout tests that the server's own shorter ReadTimeout stays.
func TestHostsReadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, inMemory, func(s *setup) {
			s.start = func(web *httptest.Server) {
				web.Config.ReadTimeout = 300 * time.Millisecond
				web.Start()
			}
		})
		began := time.Now()
		in := bufio.NewReader(w.raw(head("Content-Length: 1000") + "a"))
		require.Equal(t, http.StatusRequestTimeout, answerOn(t, in).StatusCode, "B12")
		require.Equal(t, 300*time.Millisecond, time.Since(began))
		closed(t, in)
	})
}

// TestKeepAlive tests that the bound on one body does not apply to the next
// request.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn := w.raw("")
	in := bufio.NewReader(conn)
	for range 3 {
		_, err := io.WriteString(conn, head(fmt.Sprintf("Content-Length: %d", len(w.grant())))+w.grant())
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, answerOn(t, in).StatusCode)
	}
}

// TestSlowStore tests that the bound on a body does not apply after the body, even
// if a middleware has read the body before.
func TestSlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, tapped := harness.NewTap()
		w := newWorld(t, inMemory, func(s *setup) {
			s.store = st
			s.start = func(web *httptest.Server) {
				next := web.Config.Handler
				web.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					r.Body = io.NopCloser(bytes.NewReader(body))
					next.ServeHTTP(rw, r)
				})
				web.Start()
			}
		})
		tapped.Before(func(ctx context.Context, _ string) error {
			select {
			case <-time.After(20 * time.Second):
			case <-ctx.Done():
			}
			return ctx.Err()
		})
		in := bufio.NewReader(w.raw(head(fmt.Sprintf("Content-Length: %d", len(w.grant())), "Connection: close") + w.grant()))
		require.Equal(t, http.StatusOK, answerOn(t, in).StatusCode)
		closed(t, in)
	})
}
