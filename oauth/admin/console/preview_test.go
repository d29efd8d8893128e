package console_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// storeKeys adds keys without an expiry to the store.
func (r *rig) storeKeys(n int) {
	r.t.Helper()
	for i := range n {
		require.NoError(r.t, r.store.Keys.Create(r.t.Context(), store.Key{
			ID: fmt.Sprintf("key-%06d", i), Workspace: "team-a", Name: "key", Permissions: scope.MustParse("project.list"),
			Created:     noon.Add(time.Duration(i-n) * time.Second),
			Credentials: []store.Credential{{ID: fmt.Sprint("s-", i), Digest: "d", Created: noon.Add(time.Duration(i-n) * time.Second)}},
		}, store.NoLimit, store.Change{}))
	}
}

// strict are rules that end every key without an expiry at once.
var strict = []string{"keys", "on", "direct", "on", "limit", "none", "key_limit", "none", "workspace_limit", "none", "unit", "days", "require_expiry", "yes", "effect", "all", "enforced_at", "2026-07-01", "do", "preview"}

func TestPreviewIsBounded(t *testing.T) {
	const checked = 20_000
	r := newRig(t)
	r.storeKeys(checked)
	preview := func() string {
		t.Helper()
		got := r.post("ada", "/settings", r.form("ada", "/settings", strict...))
		require.Equal(t, http.StatusOK, got.StatusCode, got.Body)
		return got.Body
	}
	all := preview()
	require.Contains(t, all, "<b>End at once: 20000 keys</b>")
	require.Contains(t, all, "Not shown here: 19900 keys.")
	require.Contains(t, all, "Save and end 20000 keys")
	require.NotContains(t, all, "Not every key was checked")
	require.NotContains(t, all, "t least")

	r.made("team-b", "one more", "project.list")
	part := preview()
	require.Contains(t, part, "<b>End at once: at least 20000 keys</b>")
	require.Contains(t, part, "Not shown here: at least 19900 keys.")
	require.Contains(t, part, "Save and end at least 20000 keys")
	require.Contains(t, part, "Not every key was checked")
	require.Contains(t, part, "Only the 20000 oldest ones")

	none := r.post("ada", "/settings", r.form("ada", "/settings", "keys", "on", "direct", "on", "limit", "none", "key_limit", "none", "workspace_limit", "none", "unit", "days", "effect", "new", "do", "preview")).Body
	require.NotContains(t, none, "No existing key", "not all keys were checked")
	require.Contains(t, none, "None of the checked keys")
	require.Contains(t, none, "Not every key was checked")
}

// A store that takes 300 ms for 1,000 keys is read four times in the first of a page's two
// seconds. The page then shows what was found.
func TestSlowStoresLeaveTimeForThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuietRig(t, func(st *store.Store, _ *apikey.Config, c *console.Config) {
			c.Timeout = 2 * time.Second
			*st = harness.Tapped(*st, func(ctx context.Context, call string) error {
				if call != "Keys.List" {
					return nil
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(300 * time.Millisecond):
					return nil
				}
			})
		})
		r.storeKeys(6000)
		got := r.serve("ada", http.MethodGet, "/settings", nil)
		require.Equal(t, http.StatusOK, got.StatusCode, got.Body)
		form := got.fields()
		for i := 0; i < len(strict); i += 2 {
			form.Set(strict[i], strict[i+1])
		}
		preview := r.serve("ada", http.MethodPost, "/settings", form)
		require.Equal(t, http.StatusOK, preview.StatusCode, preview.Body)
		require.Contains(t, preview.Body, "End at once: at least 4000 keys")
		require.Contains(t, preview.Body, "Only the 4000 oldest ones")

		violations := r.serve("ada", http.MethodGet, "/settings/violations", nil)
		require.Equal(t, http.StatusOK, violations.StatusCode, violations.Body)
		require.Contains(t, violations.Body, "None on this page")
		require.NotEmpty(t, violations.button("Next page"))
	})
}
