package admin_test

import (
	"bufio"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestTimeout: no request takes longer than Config.Timeout. A request that reaches it is
// answered and logged as an outage.
func TestTimeout(t *testing.T) {
	for _, c := range []struct {
		name          string
		timeout, want time.Duration
	}{{"unless set", 0, 2 * time.Second}, {"as set", 3 * time.Second, 3 * time.Second}} {
		for _, entry := range admin.Table() {
			if entry.Public || strings.HasSuffix(entry.Pattern, "/permissions") || everybodys[entry.Method+" "+entry.Pattern] { // these need no store
				continue
			}
			t.Run(c.name+" "+entry.Method+" "+entry.Pattern, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log strings.Builder
					logger := slog.New(slog.NewTextHandler(&log, nil))
					keys, err := apikey.New(hanging(), apikey.Config{Permissions: catalog, Logger: slog.New(slog.DiscardHandler)})
					require.NoError(t, err)
					api, err := admin.New(keys, admin.Config{
						Authorize: func(*http.Request) (apikey.Actor, error) { return people["ada"], nil },
						CursorKey: cursorKey, Timeout: c.timeout, Logger: logger,
					})
					require.NoError(t, err)
					began := time.Now()
					w := httptest.NewRecorder()
					api.ServeHTTP(w, jsonRequest(t, entry.Method, fill(entry.Pattern, "team-a", "x", "y"), bodyOf(t, entry)))
					require.Equal(t, c.want, time.Since(began))
					if entry.Pattern == "/deletions" {
						require.Contains(t, w.Body.String(), `"status":503`)
						return
					}
					require.Equal(t, http.StatusServiceUnavailable, w.Code, "%s", w.Body)
					require.Contains(t, w.Body.String(), admin.ProblemType+admin.CodeUnavailable)
					require.Contains(t, w.Body.String(), "is unavailable at the moment", "the caller did not hang up")
					require.NotEmpty(t, w.Header().Get("Retry-After"))
					require.Contains(t, log.String(), "another service is unavailable")
				})
			})
		}
	}
	for name, own := range map[string]error{
		"": nil, ", an unknown error": errors.New("canary"), ", joined with unauthorized": &admin.UnauthorizedError{}, ", joined with not found": store.ErrNotFound,
	} {
		t.Run("the actor could not be determined"+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				keys, err := apikey.New(memstore.New(), apikey.Config{Permissions: catalog, Logger: slog.New(slog.DiscardHandler)})
				require.NoError(t, err)
				api, err := admin.New(keys, admin.Config{
					Authorize: func(r *http.Request) (apikey.Actor, error) {
						<-r.Context().Done()
						if own != nil {
							return apikey.Actor{}, own
						}
						return apikey.Actor{}, r.Context().Err()
					},
					CursorKey: cursorKey, Logger: slog.New(slog.DiscardHandler),
				})
				require.NoError(t, err)
				w := httptest.NewRecorder()
				api.ServeHTTP(w, jsonRequest(t, "GET", "/keys", ""))
				require.Equal(t, http.StatusServiceUnavailable, w.Code, "an outage signs no person out")
			})
		})
	}
}

func jsonRequest(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("If-Match", "*")
	return r
}

// TestSlowBody: a body that does not arrive holds a connection no longer than
// Config.Timeout, measured by the clock of a synctest bubble.
func TestSlowBody(t *testing.T) {
	for _, c := range []struct {
		name, headers, begins string
		status                int
	}{
		{"B12 with a length", "X-Actor: olga\r\nContent-Length: 1000\r\n", `{"name":`, http.StatusBadRequest},
		{"B12 in chunks", "X-Actor: olga\r\nTransfer-Encoding: chunked\r\n", "8\r\n{\"name\":\r\n", http.StatusBadRequest},
		{"B12 nothing of it", "X-Actor: olga\r\nContent-Length: 1000\r\n", "", http.StatusBadRequest},
		{"B12 a body that is not read", "X-Actor: nobody known\r\nContent-Length: 1000\r\n", "", http.StatusUnauthorized},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := harness.NewNetwork()
				newRig(t, func(s *setup) { s.config.Timeout, s.listen = 3*time.Second, network })
				connection, err := network.Dial(t.Context())
				require.NoError(t, err)
				defer connection.Close()
				began := time.Now()
				_, err = connection.Write([]byte("POST " + prefix + createA + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + c.headers + "\r\n" + c.begins))
				require.NoError(t, err)
				reader := bufio.NewReader(connection)
				answer, err := http.ReadResponse(reader, nil)
				require.NoError(t, err)
				require.Equal(t, 3*time.Second, time.Since(began))
				defer answer.Body.Close()
				require.Equal(t, c.status, answer.StatusCode)
				_, err = reader.WriteTo(new(strings.Builder))
				require.NoError(t, err, "the connection ends")
			})
		})
	}
	t.Run("a connection whose body arrived in time stays open", func(t *testing.T) {
		r := newRig(t)
		for range 3 {
			r.create("olga", "team-a", "ci")
		}
	})
}
