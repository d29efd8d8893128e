package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/store"
)

// nobodysSecret has the form of a secret. No key has it.
var nobodysSecret = func() string {
	secret, err := secrets.New(strings.NewReader(strings.Repeat("x", 1024)), "lk_")
	if err != nil {
		panic(err)
	}
	return secret.Reveal()
}()

// bodies holds a valid body for each route that takes one, so that a request is refused
// only because of the actor.
var bodies = map[string]string{
	"POST /workspaces/{workspace}/keys":             `{"name":"taken","permissions":[]}`,
	"PATCH /keys/{key}":                             `{"name":"taken"}`,
	"POST /keys/{key}/rotate":                       `{"grace":0}`,
	"POST /keys/{key}/public_keys":                  `{"name":"taken","public_key":` + ecKey + `}`,
	"POST /keys/{key}/trusts":                       `{"name":"taken","issuer":"cluster","claims":{"uid":"1"}}`,
	"POST /keys/{key}/disable":                      `{}`,
	"POST /keys/{key}/enable":                       `{}`,
	"POST /deletions":                               `{"ids":["KEY"]}`,
	"POST /find_secret":                             `{"secret":"` + nobodysSecret + `"}`,
	"PUT /settings":                                 `{"keys_enabled":false,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":1,"require_expiry":true,"max_lifetime":60,"enforced_at":null}`,
	"POST /settings/preview":                        `{"keys_enabled":false,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":1,"require_expiry":true,"max_lifetime":60,"enforced_at":null}`,
	"POST /settings/revoke_tokens":                  `{}`,
	"PUT /workspaces/{workspace}/settings":          `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":1,"unlimited_keys":false,"require_expiry":true,"max_lifetime":60,"enforced_at":null}`,
	"POST /workspaces/{workspace}/settings/preview": `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":1,"unlimited_keys":false,"require_expiry":true,"max_lifetime":60,"enforced_at":null}`,
	"POST /workspaces/{workspace}/suspend":          `{}`,
	"POST /workspaces/{workspace}/resume":           `{}`,
}

// adminsOnly are the routes that answer 403 to everyone except administrators.
var adminsOnly = map[string]bool{
	"GET /keys": true, "GET /workspaces": true, "GET /violations": true, "GET /outdated": true, "GET /events": true,
	"GET /settings": true, "PUT /settings": true, "POST /settings/preview": true, "POST /settings/revoke_tokens": true,
}

// everybodys are the routes that answer every actor with its own rights or with the
// catalog.
var everybodys = map[string]bool{"GET /me": true, "GET /permissions": true, "GET /trusted_issuers": true}

// takesBody reports whether requests with the method have a body.
func takesBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

func bodyOf(t testing.TB, entry admin.Entry) string {
	t.Helper()
	body, ok := bodies[entry.Method+" "+entry.Pattern]
	require.Equal(t, takesBody(entry.Method), ok, "a new route: give it a body in the table of bodies")
	return body
}

// fill replaces the parameters of a pattern.
func fill(pattern, workspace, key, credential string) string {
	return strings.NewReplacer("{workspace}", workspace, "{key}", key, "{credential}", credential).Replace(pattern)
}

// snapshot returns everything that the store holds of a workspace and of the instance.
func (r *rig) snapshot(workspace string) string {
	ctx := r.t.Context()
	require.NoError(r.t, r.keys.Flush(ctx))
	keys, err := r.store.Keys.List(ctx, store.KeyQuery{Workspace: workspace})
	require.NoError(r.t, err)
	settings, err := r.store.Settings.Workspace(ctx, workspace)
	require.NoError(r.t, err)
	instance, err := r.store.Settings.Instance(ctx)
	require.NoError(r.t, err)
	events, err := r.store.Events.List(ctx, store.EventQuery{Limit: store.MaxPage})
	require.NoError(r.t, err)
	text, err := json.Marshal([]any{keys, settings, instance, events})
	require.NoError(r.t, err)
	return string(text)
}

// TestIsolation sends a request for every route of the table and every actor without
// access to team-b, with objects of team-b. The answer is 404 or, for what belongs to no
// workspace, 403. It is byte for byte the same as for objects that do not exist. Nothing
// changes.
func TestIsolation(t *testing.T) {
	r := newRig(t)
	foreign := r.create("bert", "team-b", "payroll")
	r.create("olga", "team-a", "ci")
	manages := r.createWith("ada", "team-a", `{"name":"manager","permissions":["keys.list","keys.save","keys.delete","project.list"]}`)
	secret := foreign.Key.Secrets[0].ID
	const unknown = "00000000-0000-4000-8000-000000000000"
	theirKey := strings.NewReplacer("KEY", foreign.Key.ID, nobodysSecret, foreign.Secret)

	actors := map[string][]string{
		"olga": {}, "max": {}, "lena": {}, "guest": {},
		"a key of team-a": {"X-Key", manages.Key.ID, "X-Scope", "keys.list keys.save keys.delete project.list"},
	}
	before := r.snapshot("team-b")
	known := map[string]bool{}
	for _, entry := range admin.Table() {
		known[entry.Method+" "+entry.Pattern] = true
		if entry.Method == "GET" {
			known["HEAD "+entry.Pattern] = true
		}
	}
	pairs := 0
	for _, entry := range admin.Table() {
		if entry.Public {
			continue
		}
		for actor, headers := range actors {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
				own := method == entry.Method || method == "HEAD" && entry.Method == "GET"
				if !own && known[method+" "+entry.Pattern] {
					continue // it has a separate entry
				}
				pairs++
				t.Run(fmt.Sprintf("B20 %s %s by %s", method, entry.Pattern, actor), func(t *testing.T) {
					r := r.at(t)
					body, headers := "", append([]string{"If-Match", "*"}, headers...)
					if own && takesBody(method) {
						body = bodyOf(t, entry)
					}
					theirs := r.do(actor, method, fill(entry.Pattern, "team-b", foreign.Key.ID, secret), theirKey.Replace(body), headers...)
					nobodys := r.do(actor, method, fill(entry.Pattern, "team-z", unknown, "AAAA"), strings.ReplaceAll(body, "KEY", unknown), headers...)
					require.Equal(t, nobodys.StatusCode, theirs.StatusCode)
					require.Equal(t, nobodys.Body, strings.ReplaceAll(theirs.Body, foreign.Key.ID, unknown))
					require.NotContains(t, theirs.Body, "payroll")
					switch {
					case !own:
						require.Contains(t, []int{404, 405}, theirs.StatusCode)
					case entry.Pattern == "/deletions":
						require.Contains(t, theirs.Body, `"status":404`)
					case everybodys[entry.Method+" "+entry.Pattern]:
						theirs.Wants(http.StatusOK)
					case adminsOnly[entry.Method+" "+entry.Pattern]:
						theirs.Wants(http.StatusForbidden)
					default:
						theirs.Wants(http.StatusNotFound)
					}
				})
			}
		}
	}
	require.Greater(t, pairs, 400)
	require.Equal(t, before, r.snapshot("team-b"), "B20 nothing changed")
}

// TestIsolationOfLists: no filter reaches another workspace.
func TestIsolationOfLists(t *testing.T) {
	r := newRig(t)
	foreign := r.create("bert", "team-b", "payroll")
	for _, name := range []string{"a1", "a2", "a3"} {
		r.create("olga", "team-a", name)
	}
	for _, query := range []string{
		"text=payroll", "text=" + foreign.Key.ID, "created_by=bert", "created_by=bert&created_by_kind=owner", "text=pay&permission=project.list",
	} {
		t.Run("B20 filter "+query, func(t *testing.T) {
			require.Empty(t, r.at(t).list("olga", "/workspaces/team-a/keys?"+query).Keys)
		})
	}
	for _, query := range []string{"key=" + foreign.Key.ID, "actor=bert"} {
		t.Run("B20 events "+query, func(t *testing.T) {
			var page struct {
				Events []any   `json:"events"`
				Next   *string `json:"next"`
			}
			r.at(t).do("olga", "GET", "/workspaces/team-a/events?"+query, "").Wants(http.StatusOK).Into(&page)
			require.Empty(t, page.Events)
		})
	}
	t.Run("B20 deleting many", func(t *testing.T) {
		r := r.at(t)
		own := r.create("olga", "team-a", "own")
		var got struct {
			Results []struct {
				ID      string         `json:"id"`
				Status  int            `json:"status"`
				Problem *admin.Problem `json:"problem"`
			} `json:"results"`
		}
		r.do("olga", "POST", "/deletions", `{"ids":["`+foreign.Key.ID+`","`+own.Key.ID+`","`+own.Key.ID+`","unknown"]}`).Wants(http.StatusOK).Into(&got)
		require.Len(t, got.Results, 3, "an id named twice counts once")
		require.Equal(t, []int{404, 204, 404}, []int{got.Results[0].Status, got.Results[1].Status, got.Results[2].Status})
		require.Equal(t, got.Results[0].Problem, got.Results[2].Problem)
		require.NoError(t, r.login(foreign.Key.ID, foreign.Secret))
		require.Error(t, r.login(own.Key.ID, own.Secret))
	})
}

// TestOtherSpellings: an object has one path. Other spellings of the path, which routers
// may clean, are not accepted.
func TestOtherSpellings(t *testing.T) {
	r := newRig(t)
	foreign := r.create("bert", "team-b", "payroll")
	own := r.create("olga", "team-a", "ci")
	for _, path := range []string{
		"", "/", "//keys", "/keys/", "/keys//" + foreign.Key.ID, "/keys/" + foreign.Key.ID + "/", "/./keys", "/Keys",
		"/workspaces/team-a/../team-b/keys", "/workspaces/team-a/keys/" + foreign.Key.ID, "/workspaces/team-a/%2e%2e/team-b/keys",
		"/workspaces/team-a%2f..%2fteam-b/keys", "/workspaces/team-b%00/keys", "/workspaces/team-B/keys", "/workspaces/team-b%20/keys",
		"/workspaces/team-b/keys;x=1", "/workspaces//keys",
		"/keys/" + strings.ToUpper(foreign.Key.ID), "/keys/" + foreign.Key.ID + "%00", "/keys/%2e%2e%2fkeys%2f" + foreign.Key.ID,
	} {
		t.Run("B20 "+path, func(t *testing.T) {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example.com"+prefix+path, nil)
			req.Header.Set("X-Actor", "olga")
			w := httptest.NewRecorder()
			http.StripPrefix(prefix, r.api).ServeHTTP(w, req)
			require.Equal(t, http.StatusNotFound, w.Code, "%s", w.Body)
			require.Empty(t, w.Header().Get("Location"))
		})
	}
	t.Run("an escaped character in a segment is equal to the plain one", func(t *testing.T) {
		r.at(t).read("olga", strings.ReplaceAll(own.Key.ID, "-", "%2D"))
	})
	t.Run("a workspace whose id has a slash", func(t *testing.T) {
		r := r.at(t)
		r.create("ada", "team%2Fc", "ci")
		require.Equal(t, "team/c", r.list("ada", "/workspaces/team%2Fc/keys").Keys[0].Workspace)
	})
	t.Run("B20 ids are never recycled", func(t *testing.T) {
		r := r.at(t)
		r.do("bert", "DELETE", "/keys/"+foreign.Key.ID, "").Wants(http.StatusNoContent)
		for _, actor := range []string{"bert", "ada", "olga"} {
			r.do(actor, "GET", "/keys/"+foreign.Key.ID, "").problem(http.StatusNotFound, admin.CodeNotFound)
		}
	})
}
