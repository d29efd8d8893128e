package console_test

import (
	"bufio"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

// TestTimeout: a page is answered in time even if Authorize or the store hangs.
func TestTimeout(t *testing.T) {
	for name, hang := range map[string]func(*store.Store, *console.Config){
		"the store": func(st *store.Store, _ *console.Config) {
			*st = harness.Tapped(*st, harness.Hang, "Keys.", "Settings.")
		},
		"Authorize, in words of its own": func(_ *store.Store, cfg *console.Config) {
			cfg.Authorize = func(r *http.Request) (console.Person, error) {
				<-r.Context().Done()
				return console.Person{}, errNobody
			}
		},
		"Authorize": func(_ *store.Store, cfg *console.Config) {
			cfg.SignIn = "/sign-in"
			cfg.Authorize = func(r *http.Request) (console.Person, error) { return console.Person{}, harness.Hang(r.Context(), "") }
		},
	} {
		t.Run("B19 "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newQuietRig(t, func(st *store.Store, _ *apikey.Config, cfg *console.Config) {
					hang(st, cfg)
					cfg.Timeout = 3 * time.Second
				})
				began := time.Now()
				got := r.serve("olga", http.MethodGet, "/workspaces/team-a/keys", nil)
				require.Equal(t, 3*time.Second, time.Since(began))
				require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
				require.NotEmpty(t, got.Header.Get("Retry-After"))
				require.Contains(t, got.Body, "is unavailable at the moment")
				require.Contains(t, r.log.String(), "a page failed because the store or another service is unavailable")
			})
		})
	}
}

// TestSlowForm: a form that does not arrive holds a connection no longer than
// Config.Timeout, measured by the clock of a synctest bubble.
func TestSlowForm(t *testing.T) {
	for name, c := range map[string]struct {
		person, begins string
		status         int
	}{
		"B12 a part of it":            {"olga", "name=", http.StatusBadRequest},
		"B12 nothing of it":           {"olga", "", http.StatusBadRequest},
		"B12 a form that is not read": {"nobody", "", http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newQuietRig(t, func(_ *store.Store, _ *apikey.Config, cfg *console.Config) { cfg.Timeout = 3 * time.Second })
				network := harness.NewNetwork()
				web := &http.Server{Handler: r.mux, ReadHeaderTimeout: time.Minute}
				defer web.Close()
				go func() { _ = web.Serve(network) }()
				connection, err := network.Dial(t.Context())
				require.NoError(t, err)
				defer connection.Close()
				began := time.Now()
				_, err = io.WriteString(connection, "POST "+prefix+newPage+" HTTP/1.1\r\nHost: x\r\nX-Person: "+c.person+
					"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n"+c.begins)
				require.NoError(t, err)
				reader := bufio.NewReader(connection)
				answer, err := http.ReadResponse(reader, nil)
				require.NoError(t, err)
				defer answer.Body.Close()
				require.Equal(t, 3*time.Second, time.Since(began))
				require.Equal(t, c.status, answer.StatusCode)
				_, err = reader.WriteTo(io.Discard)
				require.NoError(t, err, "the connection ends")
			})
		})
	}
}
