package admin_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

type workspacePage struct {
	KeysEnabled bool `json:"keys_enabled"`
	Workspaces  []struct {
		Workspace string     `json:"workspace"`
		State     string     `json:"state"`
		Keys      int        `json:"keys"`
		OwnRules  bool       `json:"own_rules"`
		UpdatedAt *time.Time `json:"updated_at"`
		Version   int64      `json:"version"`
	} `json:"workspaces"`
	Next *string `json:"next"`
}

func TestListWorkspaces(t *testing.T) {
	r := newRig(t)
	read := func(path string) (p workspacePage) {
		t.Helper()
		r.do("ada", "GET", path, "").Wants(http.StatusOK).Into(&p)
		return p
	}
	require.Equal(t, `{"keys_enabled":true,"next":null,"workspaces":[]}`, strings.TrimSpace(r.do("ada", "GET", "/workspaces", "").Wants(http.StatusOK).Body))
	first := r.create("olga", "team-a", "one")
	r.create("olga", "team-a", "two")
	r.create("bert", "team-b", "three")
	r.do("max", "POST", "/keys/"+first.Key.ID+"/disable", "").Wants(http.StatusOK)
	r.do("ada", "POST", "/workspaces/team-b/suspend", "").Wants(http.StatusOK)
	r.do("ada", "PUT", "/workspaces/team-c/settings", `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":3,"require_expiry":false,"max_lifetime":null,"enforced_at":null,"unlimited_keys":false}`, "If-Match", "*").Wants(http.StatusOK)
	require.NoError(t, r.keys.DeleteWorkspace(t.Context(), apikey.OrganizationAdmin("ada"), "team-d"))

	page := read("/workspaces")
	require.Nil(t, page.Next)
	var rows [][]any
	for _, w := range page.Workspaces {
		rows = append(rows, []any{w.Workspace, w.State, w.Keys, w.OwnRules, w.Version, w.UpdatedAt != nil})
	}
	require.Equal(t, [][]any{
		{"team-a", "active", 2, false, int64(0), false},
		{"team-b", "suspended", 1, false, int64(1), true},
		{"team-c", "active", 0, true, int64(1), true},
		{"team-d", "deleted", 0, false, int64(1), true},
	}, rows)

	var ids []string
	for path, pages := "/workspaces?limit=1", 0; path != ""; pages++ {
		require.Less(t, pages, 5)
		p := read(path)
		path = ""
		for _, w := range p.Workspaces {
			ids = append(ids, w.Workspace)
		}
		if p.Next != nil {
			path = "/workspaces?limit=1&cursor=" + *p.Next
		}
	}
	require.Equal(t, []string{"team-a", "team-b", "team-c", "team-d"}, ids)

	settings, err := r.keys.Settings(t.Context(), people["ada"])
	require.NoError(t, err)
	settings.KeysOff = true
	_, err = r.keys.SaveSettings(t.Context(), people["ada"], settings)
	require.NoError(t, err)
	require.False(t, read("/workspaces").KeysEnabled)
	for _, actor := range []string{"olga", "bert", "guest"} {
		r.do(actor, "GET", "/workspaces", "").problem(http.StatusForbidden, admin.CodeForbidden)
	}
}

// TestUnknownWorkspaces: with Config.Workspaces a workspace that neither the host nor the
// store knows is 404 on every route that names one, for an administrator as well. A
// workspace that the host has suspended, and one without keys, are shown.
func TestUnknownWorkspaces(t *testing.T) {
	down := false
	r := newRig(t, func(s *setup) {
		s.keys.Workspaces = func(_ context.Context, workspace string) (bool, error) {
			if down {
				return false, errors.New("canary")
			}
			return workspace == "team-a" || workspace == "team-b", nil
		}
	})
	k := store.Key{ID: "left", Workspace: "suspended", Name: "left", Created: noon, Updated: noon}
	require.NoError(t, r.store.Keys.Create(t.Context(), k, store.NoLimit, store.Change{Now: noon}))
	routes := 0
	for _, entry := range admin.Table() {
		if !strings.Contains(entry.Pattern, "{workspace}") {
			continue
		}
		routes++
		body, headers := "", []string(nil)
		if takesBody(entry.Method) {
			body = bodyOf(t, entry)
		}
		if entry.Method == http.MethodPut {
			headers = []string{"If-Match", "*"}
		}
		t.Run(entry.Method+" "+entry.Pattern, func(t *testing.T) {
			r := r.at(t)
			do := func(actor, workspace string) *reply {
				return r.do(actor, entry.Method, fill(entry.Pattern, workspace, "", ""), body, headers...)
			}
			p := do("ada", "nope").problem(http.StatusNotFound, admin.CodeNotFound)
			require.Equal(t, p, do("olga", "team-b").problem(http.StatusNotFound, admin.CodeNotFound))
			require.Less(t, do("ada", "team-b").StatusCode, 300)
			if got := do("ada", "suspended"); strings.HasSuffix(entry.Method+entry.Pattern, "POST/workspaces/{workspace}/keys") {
				got.problem(http.StatusForbidden, admin.CodeForbidden)
			} else {
				require.Less(t, got.StatusCode, 300, got.Body)
			}
			down = true
			defer func() { down = false }()
			do("ada", "nope").problem(http.StatusServiceUnavailable, admin.CodeUnavailable)
		})
	}
	require.Greater(t, routes, 8)
	w, err := r.store.Settings.Workspace(t.Context(), "nope")
	require.NoError(t, err)
	require.Equal(t, store.Workspace{ID: "nope"}, w, "nothing was written")
}

// TestAnyWorkspaceWithoutTheHost: without Config.Workspaces every workspace exists.
func TestAnyWorkspaceWithoutTheHost(t *testing.T) {
	r := newRig(t)
	require.Empty(t, r.list("ada", "/workspaces/nope/keys").Keys)
	r.create("ada", "nope", "ci")
}

func TestFiltersOfLastUse(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"first", "second", "third"} {
		m := r.createWith("olga", "team-a", `{"name":"`+name+`","permissions":[]}`)
		require.NoError(t, r.login(m.Key.ID, m.Secret))
		r.clock.Advance(24 * time.Hour)
	}
	r.create("olga", "team-a", "never")
	for query, want := range map[string][]string{
		"last_used_from=2026-07-02T12:00:00Z":              {"second", "third"},
		"last_used_to=2026-07-02T12:00:00Z":                {"first"},
		"last_used_from=2026-07-02&last_used_to=2026-07-3": nil,
		"last_used_from=2026-07-02&last_used_to=2026-07-03": {
			"second",
		},
		"last_used_from=1990-01-01": {"first", "second", "third"},
		"last_used_to=2030-01-01":   {"first", "second", "third"},
	} {
		t.Run(query, func(t *testing.T) {
			r := r.at(t)
			if want == nil {
				r.do("ada", "GET", "/keys?"+query, "").problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
				return
			}
			for _, path := range []string{"/keys?", "/workspaces/team-a/keys?"} {
				require.Equal(t, want, r.list("ada", path+query).names())
			}
		})
	}
}
