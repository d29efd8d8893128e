package console_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// TestPolicyOutages: a policy's error that wraps an outage is answered with 503, whatever
// else it wraps. A denial is a denial, whatever it wraps.
func TestPolicyOutages(t *testing.T) {
	var answer error
	r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) {
		keys.Policy = policy.KeyFunc(func(context.Context, *policy.KeyRequest) error { return answer })
	})
	key, _ := r.made("team-a", "ci", "project.list")
	off, _ := r.made("team-a", "off", "project.list")
	off, err := r.keys.Disable(t.Context(), people["ada"].Actor, off.ID, 0)
	require.NoError(t, err)
	forms := map[string]func() *page{
		"create": func() *page {
			return r.post("olga", newPage, r.form("olga", newPage, "name", "new", "permissions", "project.list", "expires", "90d"))
		},
		"change": func() *page {
			path := "/keys/" + key.ID + "/change"
			form := r.form("olga", path, "permissions", "project.list", "expires", "keep")
			form.Set("name", "renamed")
			return r.post("olga", path, form)
		},
		"rotate": func() *page {
			path := "/keys/" + key.ID + "/rotate"
			return r.post("olga", path, r.form("olga", path, "grace", "0", "expires", "keep"))
		},
		"public key": func() *page {
			path := "/keys/" + key.ID + "/public-keys/new"
			return r.post("olga", path, r.form("olga", path, "name", "build", "public_key", publicJWK, "expires", "keep"))
		},
		"trust": func() *page {
			path := "/keys/" + key.ID + "/trusts/new/other"
			return r.post("olga", path, r.form("olga", path, "name", "build", "claim_sub", "robot", "expires", "keep"))
		},
		"enable": func() *page {
			return r.post("olga", "/keys/"+off.ID+"/enable", r.form("olga", "/keys/"+off.ID))
		},
	}
	for form, send := range forms {
		for name, err := range map[string]error{
			"an outage":                  fmt.Errorf("canary: %w", store.ErrUnavailable),
			"a denial because of one":    &policy.Denied{Rule: "quota", Reason: "canary", Err: store.ErrUnavailable},
			"one to try again later":     &policy.Denied{Rule: "quota", RetryAfter: time.Hour, Err: store.ErrUnavailable},
			"a record that is not there": errors.Join(store.ErrNotFound, store.ErrUnavailable),
			"a deadline of its own":      fmt.Errorf("canary: %w", context.DeadlineExceeded),
		} {
			t.Run(form+": "+name, func(t *testing.T) {
				answer = err
				defer func() { answer = nil }()
				got := send()
				require.Equal(t, http.StatusServiceUnavailable, got.StatusCode, got.Body)
				require.Equal(t, "1", got.Header.Get("Retry-After"))
				require.Equal(t, 2, r.count("team-a"))
			})
		}
		t.Run(form+": a denial that wraps a record that is not there", func(t *testing.T) {
			answer = &policy.Denied{Rule: "quota", Reason: "Not today.", Err: store.ErrNotFound}
			defer func() { answer = nil }()
			got := send()
			require.Equal(t, http.StatusForbidden, got.StatusCode, got.Body)
			require.Contains(t, got.Body, "Not today.")
		})
	}
}

func TestAuthorizeOutages(t *testing.T) {
	for name, err := range map[string]error{
		"of the store's":         fmt.Errorf("canary: %w", store.ErrUnavailable),
		"of a verifier's":        fmt.Errorf("canary: %w", bearer.ErrUnavailable),
		"a deadline of its own":  fmt.Errorf("canary: %w", context.DeadlineExceeded),
		"with a missing record":  errors.Join(store.ErrNotFound, store.ErrUnavailable),
		"with a denial":          errors.Join(&policy.Denied{Rule: "quota", RetryAfter: time.Hour}, store.ErrUnavailable),
		"with a forbidden place": errors.Join(&apikey.ForbiddenError{Action: "x"}, bearer.ErrUnavailable),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(_ *store.Store, _ *apikey.Config, c *console.Config) {
				c.Authorize = func(*http.Request) (console.Person, error) { return console.Person{}, err }
			})
			got := r.get("ada", "/workspaces/team-a/keys")
			require.Equal(t, http.StatusServiceUnavailable, got.StatusCode, got.Body)
			require.Equal(t, "1", got.Header.Get("Retry-After"))
		})
	}
}
