package admin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/store"
)

// FuzzRequest sends arbitrary requests as an owner of team-a. The handler never fails,
// and never changes or shows anything of team-b. Each answer is 204, JSON or a problem
// document.
func FuzzRequest(f *testing.F) {
	r := newRig(f)
	theirs := r.create("bert", "team-b", "payroll")
	own := r.create("olga", "team-a", "ci")
	for _, entry := range admin.Table() {
		body := strings.ReplaceAll(bodies[entry.Method+" "+entry.Pattern], "KEY", theirs.Key.ID)
		f.Add(entry.Method, fill(entry.Pattern, "team-b", theirs.Key.ID, theirs.Key.Secrets[0].ID), "", "*", "one", body)
		f.Add(entry.Method, fill(entry.Pattern, "team-a", "unknown", own.Key.Secrets[0].ID), strings.Join(entry.Query, "=1&"), `"1"`, "", body)
	}
	before := r.theirs("team-b")
	handler := http.StripPrefix(prefix, r.api)
	f.Fuzz(func(t *testing.T, method, path, query, ifMatch, once, body string) {
		target := "http://api.example.com" + prefix + path
		if query != "" {
			target += "?" + query
		}
		req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		if err != nil || !strings.HasPrefix(req.URL.Path, prefix) {
			return // a server would never get it
		}
		req.Header.Set("X-Actor", "olga")
		req.Header.Set("Content-Type", "application/json")
		req.Header["If-Match"], req.Header["Idempotency-Key"] = []string{ifMatch}, []string{once}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		require.Less(t, w.Code, 500, "%s", w.Body)
		switch kind := w.Header().Get("Content-Type"); {
		case w.Code == http.StatusNoContent:
		case w.Code < 300:
			require.Equal(t, "application/json", kind)
		default:
			require.Equal(t, "application/problem+json", kind)
		}
		require.NotContains(t, w.Body.String(), "payroll")
		require.Equal(t, before, r.at(t).theirs("team-b"), "B20")
	})
}

// theirs returns the stored keys of a workspace.
func (r *rig) theirs(workspace string) store.KeyPage {
	page, err := r.store.Keys.List(r.t.Context(), store.KeyQuery{Workspace: workspace})
	require.NoError(r.t, err)
	return page
}

// FuzzCursor: only a cursor of this list is accepted.
func FuzzCursor(f *testing.F) {
	r := newRig(f, func(s *setup) { s.config.CursorKey = nil }) // each process of the fuzzer has another key
	for _, name := range []string{"a", "b", "c"} {
		r.create("olga", "team-a", name)
	}
	good := *r.list("olga", "/workspaces/team-a/keys?limit=1").Next
	f.Add(good)
	f.Add(good[1:])
	f.Add(*r.list("max", "/workspaces/team-a/keys?limit=1").Next)
	f.Fuzz(func(t *testing.T, cursor string) {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example.com/workspaces/team-a/keys", nil)
		query := req.URL.Query()
		query.Set("cursor", cursor)
		req.URL.RawQuery = query.Encode()
		req.Header.Set("X-Actor", "olga")
		w := httptest.NewRecorder()
		r.api.ServeHTTP(w, req)
		want := http.StatusUnprocessableEntity
		if cursor == good || cursor == "" {
			want = http.StatusOK
		}
		require.Equal(t, want, w.Code, "%s", w.Body)
	})
}
