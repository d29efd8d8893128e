package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
)

// keyChanges are requests that change a key.
var keyChanges = map[string]struct{ method, path, body string }{
	"change":  {"PATCH", "/keys/{key}", `{"name":"renamed"}`},
	"rotate":  {"POST", "/keys/{key}/rotate", `{"grace":60}`},
	"disable": {"POST", "/keys/{key}/disable", `{}`},
	"add":     {"POST", "/keys/{key}/public_keys", `{"name":"deploy","public_key":` + ecKey + `}`},
	"trust":   {"POST", "/keys/{key}/trusts", `{"name":"deploy","issuer":"cluster","claims":{"uid":"1"}}`},
	"retire":  {"DELETE", "/keys/{key}/credentials/{credential}", ``},
	"enable":  {"POST", "/keys/{key}/enable", `{}`},
	"delete":  {"DELETE", "/keys/{key}", ``},
}

// TestIfMatch: each change of a key is made only if its condition is met.
func TestIfMatch(t *testing.T) {
	for name, c := range keyChanges {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			m := r.create("olga", "team-a", "ci")
			path := fill(c.path, "", m.Key.ID, m.Key.Secrets[0].ID)
			r.do("olga", "PATCH", "/keys/"+m.Key.ID, `{"name":"of another hand"}`).Wants(http.StatusOK)
			if name == "enable" {
				r.do("olga", "POST", "/keys/"+m.Key.ID+"/disable", "").Wants(http.StatusOK)
			}
			now := r.do("olga", "GET", "/keys/"+m.Key.ID, "").Wants(http.StatusOK).Header.Get("ETag")
			before := r.snapshot("team-a")
			for _, stale := range []string{`"1"`, `"0"`, `"99"`, `W/"1"`, now[1 : len(now)-1], `"02"`, `"+2"`, `""`, `garbage`, now + ` "1"`, `"9223372036854775808"`} {
				r.do("max", c.method, path, c.body, "If-Match", stale).problem(http.StatusPreconditionFailed, admin.CodeChanged)
			}
			r.do("max", c.method, path, c.body, "If-Match", `"1"`, "If-Match", `"1"`).problem(http.StatusPreconditionFailed, admin.CodeChanged)
			require.Equal(t, before, r.snapshot("team-a"))
			got := r.do("max", c.method, path, c.body, "If-Match", now)
			require.Less(t, got.StatusCode, 300, got.Body)
		})
		t.Run(name+" without a condition", func(t *testing.T) {
			for _, headers := range [][]string{nil, {"If-Match", "*"}} {
				r := newRig(t)
				m := r.create("olga", "team-a", "ci")
				got := r.do("max", c.method, fill(c.path, "", m.Key.ID, m.Key.Secrets[0].ID), c.body, headers...)
				require.Less(t, got.StatusCode, 300, got.Body)
			}
		})
	}
}

// TestIfMatchOnNothing: a route without an ETag refuses every condition and does nothing.
func TestIfMatchOnNothing(t *testing.T) {
	r := newRig(t)
	m, found := r.create("olga", "team-a", "ci"), r.create("olga", "team-a", "found")
	without := 0
	for _, entry := range admin.Table() {
		if entry.Method == http.MethodGet || entry.Method == http.MethodPut || strings.HasPrefix(entry.Pattern, "/keys/{key}") {
			continue
		}
		without++
		path, body := fill(entry.Pattern, "team-a", "", ""), strings.NewReplacer("KEY", m.Key.ID, nobodysSecret, found.Secret).Replace(bodyOf(t, entry))
		t.Run(entry.Method+" "+entry.Pattern, func(t *testing.T) {
			r := r.at(t)
			before := r.snapshot("team-a")
			for _, named := range []string{`"0"`, `"1"`, `W/"1"`, `garbage`} {
				r.do("ada", entry.Method, path, body, "If-Match", named).problem(http.StatusPreconditionFailed, admin.CodeChanged)
			}
			require.Equal(t, before, r.snapshot("team-a"))
			require.Less(t, r.do("ada", entry.Method, path, body, "If-Match", "*").StatusCode, 300)
		})
	}
	require.Equal(t, 8, without)
}

// TestTwoAdministrators: two administrators change one key at once, both with the same
// version. One gets 412, and the other's change is kept.
func TestTwoAdministrators(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	for round := range 20 {
		etag := r.do("olga", "GET", "/keys/"+m.Key.ID, "").Wants(http.StatusOK).Header.Get("ETag")
		name, expiry := fmt.Sprint("name ", round), fmt.Sprintf("2027-01-%02d", round+1)
		answers := together(2, func(i int) *reply {
			body := `{"name":"` + name + `"}`
			if i == 1 {
				body = `{"expires_at":"` + expiry + `"}`
			}
			return r.do("olga", "PATCH", "/keys/"+m.Key.ID, body, "If-Match", etag)
		})
		require.ElementsMatch(t, []int{200, 412}, []int{answers[0].StatusCode, answers[1].StatusCode})
		k := r.read("olga", m.Key.ID)
		require.Equal(t, answers[0].StatusCode == 200, k.Name == name)
		require.Equal(t, answers[1].StatusCode == 200, k.ExpiresOn != nil && *k.ExpiresOn == expiry)
	}
}

// together calls f n times concurrently.
func together[T any](n int, f func(i int) T) []T {
	results := make([]T, n)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-begin
			results[i] = f(i)
		})
	}
	close(begin)
	all.Wait()
	return results
}

func TestSettingsNeedIfMatch(t *testing.T) {
	r := newRig(t)
	r.create("olga", "team-a", "ci")
	const instance = `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":7,"require_expiry":false,"max_lifetime":null,"enforced_at":null}`
	const own = `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":7,"unlimited_keys":false,"require_expiry":false,"max_lifetime":null,"enforced_at":null}`
	for path, body := range map[string]string{"/settings": instance, "/workspaces/team-a/settings": own} {
		t.Run(path, func(t *testing.T) {
			r := r.at(t)
			require.Equal(t, `"0"`, r.do("ada", "GET", path, "").Wants(http.StatusOK).Header.Get("ETag"), "never saved")
			r.do("ada", "PUT", path, body).problem(http.StatusPreconditionRequired, admin.CodePreconditionRequired)
			r.do("ada", "PUT", path, body, "If-Match", `"1"`).problem(http.StatusPreconditionFailed, admin.CodeChanged)
			require.Equal(t, `"1"`, r.do("ada", "PUT", path, body, "If-Match", `"0"`).Wants(http.StatusOK).Header.Get("ETag"))
			r.do("ada", "PUT", path, body, "If-Match", `"0"`).problem(http.StatusPreconditionFailed, admin.CodeChanged)
			r.do("ada", "PUT", path, body, "If-Match", `*`).Wants(http.StatusOK)
			answers := together(2, func(i int) *reply {
				return r.do("ada", "PUT", path, strings.Replace(body, "7", fmt.Sprint(100+i), 1), "If-Match", `"1"`)
			})
			require.ElementsMatch(t, []int{200, 412}, []int{answers[0].StatusCode, answers[1].StatusCode})
		})
	}
}
