package console_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// cells returns the cells of the page's table as text, with the target of each link.
func (p *page) cells() []string {
	var rows []string
	for _, row := range regexp.MustCompile(`(?s)<tr><th scope="row".*?</tr>`).FindAllString(p.Body, -1) {
		row = regexp.MustCompile(`<a[^>]* href="([^"]*)"[^>]*>`).ReplaceAllString(row, "$1 ")
		row = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(row, " ")
		rows = append(rows, strings.Join(strings.Fields(html.UnescapeString(row)), " "))
	}
	return rows
}

func TestTableOfWorkspaces(t *testing.T) {
	r := newRig(t)
	ada := people["ada"].Actor
	require.Contains(t, r.get("ada", "/").Body, "No workspace has keys or settings yet.")
	r.made("team-a", "one", "project.list")
	r.made("team-a", "two", "project.list")
	r.made("a/b <i>", "three", "project.list")
	require.NoError(t, r.keys.SetSuspended(t.Context(), ada, "team-a", true))
	_, err := r.keys.SaveWorkspace(t.Context(), ada, store.Workspace{ID: "team-c", Rules: store.Rules{MaxKeys: 3}})
	require.NoError(t, err)
	require.NoError(t, r.keys.DeleteWorkspace(t.Context(), ada, "team-d"))
	for path, root := range map[string]string{"/": "./", "/settings/workspaces": "./../"} {
		t.Run(path, func(t *testing.T) {
			page := r.get("ada", path)
			require.Equal(t, []string{
				root + "workspaces/a%2Fb%20%3Ci%3E/keys a/b <i> 1 active " + root + "settings/workspaces/a%2Fb%20%3Ci%3E Default rules of a/b <i>",
				root + "workspaces/team-a/keys team-a 2 suspended " + root + "settings/workspaces/team-a Default rules of team-a",
				root + "workspaces/team-c/keys team-c 0 active " + root + "settings/workspaces/team-c Own rules of team-c",
				root + "workspaces/team-d/keys team-d 0 deleted " + root + "settings/workspaces/team-d Default rules of team-d",
			}, page.cells())
			require.NotContains(t, page.Body, "API keys are switched off")
		})
	}
	settings, err := r.keys.Settings(t.Context(), ada)
	require.NoError(t, err)
	settings.KeysOff = true
	_, err = r.keys.SaveSettings(t.Context(), ada, settings)
	require.NoError(t, err)
	require.Contains(t, r.get("ada", "/").Body, "API keys are switched off in this service")
	for _, person := range []string{"lena", "guest"} {
		require.Empty(t, r.get(person, "/").cells(), "%s sees no table", person)
	}
	require.Equal(t, http.StatusForbidden, r.get("olga", "/settings/workspaces").StatusCode)
}

func TestPagesOfWorkspaces(t *testing.T) {
	r := newRig(t)
	for i := range 120 {
		k := store.Key{ID: fmt.Sprint("key-", i), Workspace: fmt.Sprintf("team-%03d", i), Name: "ci", Created: noon, Updated: noon}
		require.NoError(t, r.store.Keys.Create(t.Context(), k, store.NoLimit, store.Change{Now: noon}))
	}
	page := r.get("ada", "/")
	seen := len(page.cells())
	for _, want := range []int{100, 120} {
		next := regexp.MustCompile(`href="(\?[^"]*)" rel="next"`).FindStringSubmatch(page.Body)
		require.NotNil(t, next)
		page = r.get("ada", "/"+html.UnescapeString(next[1]))
		seen += len(page.cells())
		require.Equal(t, want, seen)
		require.Contains(t, page.Body, "First page")
	}
	require.NotContains(t, page.Body, `rel="next"`)
}

// TestMistypedWorkspace: with Config.Workspaces each page of a workspace that does not
// exist says so. Without it, the pages of one without keys and settings say that.
func TestMistypedWorkspace(t *testing.T) {
	const missing, empty = "There is no such workspace, or you may not see it.", "This service has no keys or settings of this workspace yet."
	pages := []string{"/workspaces/nope/keys", "/workspaces/nope/keys/new", "/workspaces/nope/events", "/settings/workspaces/nope", "/settings/workspaces/nope/suspend"}
	t.Run("the host knows its workspaces", func(t *testing.T) {
		r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) {
			keys.Workspaces = func(_ context.Context, workspace string) (bool, error) { return workspace == "team-a", nil }
		})
		for _, path := range pages {
			got := r.get("ada", path)
			if got.StatusCode == http.StatusSeeOther { // to the same page with the id of its form
				got = r.get("ada", got.redirectTarget())
			}
			require.Equal(t, http.StatusNotFound, got.StatusCode, path)
			require.Contains(t, got.Body, missing, path)
		}
		for _, change := range []string{"suspend", "resume", ""} {
			path := strings.TrimSuffix("/settings/workspaces/nope/"+change, "/")
			require.Equal(t, http.StatusNotFound, r.post("ada", path, r.form("ada", "/settings/workspaces/team-a", "do", "save", "max_keys", "3")).StatusCode, path)
		}
		saved, err := r.store.Settings.Workspace(t.Context(), "nope")
		require.NoError(t, err)
		require.Equal(t, store.Workspace{ID: "nope"}, saved, "nothing was written")
		require.Contains(t, r.get("ada", r.get("ada", "/?workspace=nope").redirectTarget()).Body, missing)
		require.Equal(t, http.StatusOK, r.get("ada", "/workspaces/team-a/keys").StatusCode)
	})
	t.Run("the host tells nothing", func(t *testing.T) {
		r := newRig(t)
		for _, path := range []string{"/workspaces/team-a/keys", "/settings/workspaces/team-a"} {
			require.Contains(t, r.get("ada", path).Body, empty, path)
		}
		require.NotContains(t, r.get("olga", "/workspaces/team-a/keys").Body, empty, "only an administrator can have typed the id")
		r.made("team-a", "ci", "project.list")
		for _, path := range []string{"/workspaces/team-a/keys", "/settings/workspaces/team-a"} {
			require.NotContains(t, r.get("ada", path).Body, empty, path)
		}
		require.NoError(t, r.keys.SetSuspended(t.Context(), people["ada"].Actor, "team-b", true))
		require.NotContains(t, r.get("ada", "/workspaces/team-b/keys").Body, empty)
	})
}

func TestFilterByCreator(t *testing.T) {
	r := newRig(t)
	for _, person := range []string{"olga", "max"} {
		_, secret, err := r.keys.Create(t.Context(), people[person].Actor, apikey.Spec{Workspace: "team-a", Name: "of " + person, Permissions: scope.MustParse("project.list")})
		require.NoError(t, err)
		r.log.Keep(secret.Reveal())
	}
	k := store.Key{ID: "made", Workspace: "team-a", Name: "of a key", Created: noon, Updated: noon, CreatedBy: store.ActorRef{Kind: "key", ID: "creator"}}
	require.NoError(t, r.store.Keys.Create(t.Context(), k, store.NoLimit, store.Change{Now: noon}))
	for typed, want := range map[string]string{
		"olga": "of olga", " max ": "of max", "creator": "of a key", "key creator": "of a key", "nobody": "", "<b>": "",
	} {
		for _, list := range []string{"/workspaces/team-a/keys", "/settings/keys"} {
			got := r.get("ada", list+"?creator="+url.QueryEscape(typed))
			rows := got.cells()
			if want == "" {
				require.Empty(t, rows)
				require.Contains(t, got.Body, "No key matches.")
			} else {
				require.Len(t, rows, 1, typed)
				require.Contains(t, rows[0], want)
			}
			require.Contains(t, got.Body, `name="creator" value="`+html.EscapeString(typed)+`"`)
			require.Contains(t, got.Body, "Show all")
		}
	}
}
