package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
)

// TestShownOnce: a secret is in the body of the answer that created it. That answer is
// not cached, and no route of the table shows the secret again.
func TestShownOnce(t *testing.T) {
	r := newRig(t)
	create := r.do("olga", "POST", createA, newKey, "Idempotency-Key", "one").Wants(http.StatusCreated)
	var first, rotated made
	create.Into(&first)
	rotate := r.do("olga", "POST", "/keys/"+first.Key.ID+"/rotate", `{"grace":3600}`, "Idempotency-Key", "two").Wants(http.StatusOK)
	rotate.Into(&rotated)
	for name, got := range map[string]harness.Answer{"create": create, "rotate": rotate} {
		t.Run("B23 "+name, func(t *testing.T) {
			require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
			for _, header := range []string{"ETag", "Last-Modified", "Expires", "Age"} {
				require.Empty(t, got.Header.Values(header), header)
			}
			require.Equal(t, 1, strings.Count(got.Body, `"secret":"lk_`))
		})
	}
	shown := 0
	for _, entry := range admin.Table() {
		body := strings.NewReplacer("KEY", "unknown", nobodysSecret, rotated.Secret).Replace(bodies[entry.Method+" "+entry.Pattern])
		t.Run("B23 "+entry.Method+" "+entry.Pattern, func(t *testing.T) {
			path := fill(entry.Pattern, "team-a", first.Key.ID, first.Key.Secrets[0].ID)
			got := r.at(t).do("ada", entry.Method, path, body, "If-Match", "*", "Idempotency-Key", "one")
			for _, secret := range []string{first.Secret, rotated.Secret} {
				require.NotContains(t, got.Body, secret[3:40])
			}
			if !entry.Public {
				require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
			}
			shown++
		})
	}
	require.Equal(t, len(admin.Table()), shown)
	for _, path := range []string{createA, "/keys/" + first.Key.ID + "/rotate"} {
		body, id := newKey, "one"
		if path != createA {
			body, id = `{"grace":3600}`, "two"
		}
		r.do("olga", "POST", path, body, "Idempotency-Key", id)
	}
	// The rig searches every answer, header, event and log line for the
	// secrets of all tests when each ends: B11.
}

// TestOutages: during an outage the answer is 503 and does not contain the cause.
func TestOutages(t *testing.T) {
	whole := newRig(t)
	m := whole.create("olga", "team-a", "ci")
	r := newRig(t, func(s *setup) { s.store = failing(whole.store) })
	for _, entry := range admin.Table() {
		if entry.Public {
			continue
		}
		t.Run("B11 "+entry.Method+" "+entry.Pattern, func(t *testing.T) {
			r := r.at(t)
			body := strings.NewReplacer("KEY", m.Key.ID, nobodysSecret, m.Secret).Replace(bodies[entry.Method+" "+entry.Pattern])
			got := r.do("ada", entry.Method, fill(entry.Pattern, "team-a", m.Key.ID, m.Key.Secrets[0].ID), body, "If-Match", "*")
			switch entry.Pattern {
			case "/deletions":
				require.Contains(t, got.Body, `"status":503`)
			case "/workspaces/{workspace}/permissions", "/me", "/permissions", "/trusted_issuers": // which need no store for an admin
				got.Wants(http.StatusOK)
			default:
				got.problem(http.StatusServiceUnavailable, admin.CodeUnavailable)
				require.NotEmpty(t, got.Header.Get("Retry-After"))
			}
		})
	}
}
