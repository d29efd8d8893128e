package console_test

import (
	"context"
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

// hung waits like a database that does not answer, until its caller gives up.
func hung(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestTimeout: a page for which nobody answers comes all the same.
func TestTimeout(t *testing.T) {
	for name, hang := range map[string]func(*store.Store, *console.Config){
		"the store": func(st *store.Store, _ *console.Config) {
			tap := &harness.Tap{}
			tap.Set(hung)
			*st = tap.Over(*st)
		},
		"Authorize": func(_ *store.Store, cfg *console.Config) {
			cfg.SignIn = "/sign-in"
			cfg.Authorize = func(r *http.Request) (console.Person, error) { return console.Person{}, hung(r.Context(), "") }
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
				require.Contains(t, got.body, "cannot answer at the moment")
				require.Contains(t, r.log.String(), "a page met an outage")
			})
		})
	}
}
