package admin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
)

type me struct {
	Kind       string   `json:"kind"`
	ID         string   `json:"id"`
	Name       *string  `json:"name"`
	Rights     []string `json:"rights"`
	Workspaces []struct {
		Workspace string   `json:"workspace"`
		Rights    []string `json:"rights"`
	} `json:"workspaces"`
	Grants []string `json:"grants"`
}

// in returns the rights in a workspace, joined by spaces.
func (m me) in(workspace string) string {
	for _, w := range m.Workspaces {
		if w.Workspace == workspace {
			return strings.Join(w.Rights, " ")
		}
	}
	return "-"
}

func TestMe(t *testing.T) {
	r := newRig(t)
	everyone := catalog.All().String()
	owners := catalog.All().Minus(catalog.Admin()).String()
	keys := map[string]string{
		"manager":    "keys.list keys.save keys.delete project.list",
		"compliance": "admin.settings.save admin.workspaces.suspend admin.keys.list",
		"rotates":    "keys.rotate project.list",
		"holds none": "project.list",
	}
	ids := map[string]string{}
	for name, permissions := range keys {
		ids[name] = r.createWith("ada", "team-a", `{"name":"`+name+`","permissions":["`+strings.ReplaceAll(permissions, " ", `","`)+`"]}`).Key.ID
	}
	for _, tc := range []struct {
		actor, scope                    string // scope: of the token of a key
		kind                            string
		everywhere, own, foreign, grant string
	}{
		{"ada", "", "admin", "list_keys save_keys delete_keys read_settings save_settings suspend_workspaces administer", "-", "-", everyone},
		{"olga", "", "owner", "", "list_keys save_keys delete_keys", "-", owners},
		{"both", "", "owner", "", "list_keys save_keys delete_keys", "list_keys save_keys delete_keys", owners},
		{"lena", "", "owner", "", "list_keys save_keys delete_keys", "-", "project.list"},
		{"guest", "", "owner", "", "-", "-", ""},
		{"manager", everyone, "key", "", "list_keys save_keys delete_keys rotate_own", "-", "keys.delete keys.list keys.save project.list"},
		{"manager", "keys.list project.list", "key", "", "list_keys", "-", ""},
		{"compliance", everyone, "key", "list_keys read_settings save_settings suspend_workspaces", "list_keys", "-", ""},
		{"compliance", "admin.settings.read", "key", "", "", "-", ""},
		{"rotates", everyone, "key", "", "rotate_own", "-", ""},
		{"holds none", everyone, "key", "", "", "-", ""},
	} {
		t.Run("B21 "+tc.actor+" "+tc.scope, func(t *testing.T) {
			var headers []string
			if ids[tc.actor] != "" {
				headers = []string{"X-Key", ids[tc.actor], "X-Scope", tc.scope}
			}
			var got me
			r.at(t).do(tc.actor, "GET", "/me", "", headers...).Wants(http.StatusOK).Into(&got)
			require.Equal(t, tc.kind, got.Kind)
			require.Equal(t, tc.everywhere, strings.Join(got.Rights, " "))
			require.Equal(t, tc.own, got.in("team-a"))
			require.Equal(t, tc.foreign, got.in("team-b"))
			require.Equal(t, tc.grant, strings.Join(got.Grants, " "))
			if tc.kind == "key" {
				require.Equal(t, []string{ids[tc.actor], tc.actor}, []string{got.ID, *got.Name})
			} else {
				require.Equal(t, tc.actor, got.ID)
				require.Nil(t, got.Name)
			}
		})
	}
	t.Run("B21 a disabled key", func(t *testing.T) {
		r := r.at(t)
		r.do("ada", "POST", "/keys/"+ids["manager"]+"/disable", "").Wants(http.StatusOK)
		r.do("", "GET", "/me", "", "X-Key", ids["manager"], "X-Scope", everyone).problem(http.StatusForbidden, admin.CodeForbidden)
	})
}

// TestCatalog: the whole catalog has every permission with its level, and each wildcard
// stands for what an organization admin gets who asks for it.
func TestCatalog(t *testing.T) {
	r := newRig(t)
	var got struct {
		Groups []struct {
			Title       string `json:"title"`
			Permissions []struct {
				Name, Title, Level string
				Description        *string
			} `json:"permissions"`
		} `json:"groups"`
		Wildcards []struct {
			Pattern     string   `json:"pattern"`
			Permissions []string `json:"permissions"`
		} `json:"wildcards"`
	}
	r.do("guest", "GET", "/permissions", "").Wants(http.StatusOK).Into(&got)
	listed := scope.Set{}
	for _, group := range got.Groups {
		for _, p := range group.Permissions {
			known, ok := catalog.Lookup(p.Name)
			require.True(t, ok)
			require.Equal(t, []string{known.Title, known.Level.String()}, []string{p.Title, p.Level})
			require.Equal(t, known.Description == "", p.Description == nil)
			listed = listed.Union(scope.MustParse(p.Name))
		}
	}
	require.Equal(t, catalog.All().String(), listed.String())
	require.Len(t, got.Wildcards, 6)
	for _, wildcard := range got.Wildcards {
		m := r.createWith("ada", "team-a", `{"name":"`+wildcard.Pattern+`","permissions":["`+wildcard.Pattern+`"]}`)
		require.Equal(t, wildcard.Permissions, m.Key.Permissions, wildcard.Pattern)
	}
	t.Run("names with one segment, and admin permissions that no wildcard matches", func(t *testing.T) {
		r := newRig(t, func(s *setup) {
			s.keys.Permissions = scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "read"}, {Name: "billing.close", Level: scope.Admin}}})
			s.keys.Management = apikey.Management{}
		})
		body := r.do("ada", "GET", "/permissions", "").Wants(http.StatusOK).Body
		require.Contains(t, body, `"wildcards":[{"pattern":"*","permissions":["read"]}]`)
		require.Contains(t, body, `"title":null`)
	})
}

// TestKeysOverSettings sends every request about settings as a key, with and without the
// permission that it needs.
func TestKeysOverSettings(t *testing.T) {
	permissions := map[string]string{
		"GET /settings": "admin.settings.read", "GET /workspaces/{workspace}/settings": "admin.settings.read",
		"PUT /settings": "admin.settings.save", "PUT /workspaces/{workspace}/settings": "admin.settings.save",
		"POST /settings/preview": "admin.settings.save", "POST /workspaces/{workspace}/settings/preview": "admin.settings.save",
		"POST /workspaces/{workspace}/suspend": "admin.workspaces.suspend", "POST /workspaces/{workspace}/resume": "admin.workspaces.suspend",
	}
	all := catalog.All().String()
	tried := 0
	for _, entry := range admin.Table() {
		permission, ok := permissions[entry.Method+" "+entry.Pattern]
		if !ok {
			continue
		}
		tried++
		t.Run("B21 "+entry.Method+" "+entry.Pattern, func(t *testing.T) {
			r := newRig(t)
			other := r.create("bert", "team-b", "ci")
			lists := ""
			if strings.HasSuffix(entry.Pattern, "preview") {
				lists = `,"admin.keys.list"`
			}
			with := r.createWith("ada", "team-a", `{"name":"compliance","permissions":["project.list","`+permission+`"`+lists+`]}`)
			without := r.createWith("ada", "team-a", `{"name":"others","permissions":["project.list"]}`)
			path := fill(entry.Pattern, "team-b", other.Key.ID, "")
			do := func(id, granted string) *reply {
				return r.do("", entry.Method, path, bodies[entry.Method+" "+entry.Pattern], "X-Key", id, "X-Scope", granted, "If-Match", "*")
			}
			before := r.snapshot("team-b")
			for name, refused := range map[string]*reply{
				"without the permission":     do(without.Key.ID, all),
				"a token without the scope":  do(with.Key.ID, "project.list"),
				"a token with another scope": do(with.Key.ID, catalog.All().Minus(scope.MustParse(permission)).String()),
			} {
				require.Contains(t, []int{http.StatusForbidden, http.StatusNotFound}, refused.StatusCode, name)
			}
			require.Equal(t, before, r.snapshot("team-b"))
			do(with.Key.ID, all).Wants(http.StatusOK)
			r.do("", "POST", "/settings/revoke_tokens", "", "X-Key", with.Key.ID, "X-Scope", all).problem(http.StatusForbidden, admin.CodeForbidden)
			r.do("ada", "POST", "/keys/"+with.Key.ID+"/disable", "").Wants(http.StatusOK)
			do(with.Key.ID, all).problem(http.StatusForbidden, admin.CodeForbidden)
		})
	}
	require.Equal(t, len(permissions), tried)
}

// TestAKeyThatEndsItself: a key whose change of settings ends itself is answered with
// what it saved.
func TestAKeyThatEndsItself(t *testing.T) {
	r := newRig(t)
	m := r.createWith("ada", "team-a", `{"name":"compliance","permissions":["admin.settings.save"]}`)
	as := []string{"X-Key", m.Key.ID, "X-Scope", "admin.settings.save", "If-Match", "*"}
	var own workspace
	r.do("", "PUT", "/workspaces/team-a/settings", `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":null,"unlimited_keys":false,"require_expiry":true,"max_lifetime":null,"enforced_at":"2026-06-01"}`, as...).Wants(http.StatusOK).Into(&own)
	require.True(t, own.InForce.RequireExpiry)
	r.do("", "GET", "/settings", "", as[:4]...).problem(http.StatusForbidden, admin.CodeForbidden)
}
