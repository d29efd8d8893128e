package console_test

import (
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

// TestTimeout: a page for which nobody answers comes all the same.
func TestTimeout(t *testing.T) {
	for name, hang := range map[string]func(*store.Store, *console.Config){
		"the store": func(st *store.Store, _ *console.Config) {
			*st = harness.Tapped(*st, harness.Hang)
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
				require.Contains(t, got.Body, "cannot answer at the moment")
				require.Contains(t, r.log.String(), "a page met an outage")
			})
		})
	}
}
