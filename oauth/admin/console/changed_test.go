package console_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// TestChangedMeanwhile: a form of an earlier version says who changed what, keeps what
// was typed, and is carried out when it is sent again.
func TestChangedMeanwhile(t *testing.T) {
	const renamed = "max changed the key (name) on 1 Jul 2026, 12:01 UTC, after this page was opened. Nothing was done."
	rename := func(r *rig, key apikey.Key, actor apikey.Actor) {
		name := "robot"
		_, err := r.keys.Update(r.t.Context(), actor, key.ID, apikey.Changes{Name: &name})
		require.NoError(r.t, err)
	}
	for _, tc := range []struct {
		deed   string // the end of the path
		typed  url.Values
		keeps  []string
		status int // of the form that is sent again
	}{
		{"change", url.Values{"name": {"mine"}, "permissions": {"project.save"}, "expires": {"30d"}}, []string{`value="mine"`, `value="project.save" checked`, `value="30d" checked`}, http.StatusSeeOther},
		{"rotate", url.Values{"grace": {"1h"}, "expires": {"30d"}}, []string{`value="1h" checked`, `value="30d" checked`}, http.StatusOK},
		{"disable", nil, nil, http.StatusSeeOther},
		{"delete", url.Values{"name": {"robot"}}, []string{`value="robot"`}, http.StatusSeeOther},
		{"retire", nil, nil, http.StatusSeeOther},
	} {
		t.Run(tc.deed, func(t *testing.T) {
			r := newRig(t)
			key, _ := r.made("team-a", "ci", "project.list")
			path := "/keys/" + key.ID + "/" + tc.deed
			if tc.deed == "retire" {
				path += "/" + key.Credentials[0].ID
			}
			form := r.form("olga", path)
			for name, values := range tc.typed {
				form[name] = values
			}
			r.clock.Advance(time.Minute)
			rename(r, key, people["max"].Actor)
			r.clock.Advance(time.Minute)
			_, other := r.made("team-b", "another", "project.list")
			_, err := r.keys.Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: other})
			require.Error(t, err, "a refused login is not a change of the key")
			require.NoError(t, r.keys.Flush(t.Context()))

			got := r.post("olga", path, form)
			require.Equal(t, http.StatusConflict, got.StatusCode)
			require.Contains(t, got.Body, renamed)
			for _, text := range tc.keeps {
				require.Contains(t, got.Body, text)
			}
			again := got.fields()
			for name, values := range tc.typed {
				again[name] = values
			}
			require.Equal(t, tc.status, r.post("olga", path, again).StatusCode)
		})
	}
	t.Run("enable, whose button is on another page", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.made("team-a", "ci", "project.list")
		_, err := r.keys.Disable(t.Context(), people["olga"].Actor, key.ID, 0)
		require.NoError(t, err)
		form := r.form("olga", "/keys/"+key.ID)
		r.clock.Advance(time.Minute)
		rename(r, key, people["max"].Actor)
		got := r.post("olga", "/keys/"+key.ID+"/enable", form)
		require.Equal(t, http.StatusConflict, got.StatusCode)
		require.Contains(t, got.Body, "max changed the key (name) on")
	})
	t.Run("a form without a version", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.made("team-a", "ci", "project.list")
		form := r.form("olga", "/keys/"+key.ID+"/disable")
		form.Del("version")
		got := r.post("olga", "/keys/"+key.ID+"/disable", form)
		require.Equal(t, http.StatusConflict, got.StatusCode)
		require.Contains(t, got.Body, "This was changed by another request", "nobody is named")
	})
	t.Run("by the person", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.made("team-a", "ci", "project.list")
		path := "/keys/" + key.ID + "/disable"
		form := r.form("olga", path)
		r.clock.Advance(time.Minute)
		rename(r, key, people["olga"].Actor)
		require.Contains(t, r.post("olga", path, form).Body, "You changed the key (name) on")
	})
}

// TestSettingsChangedMeanwhile is TestChangedMeanwhile for rules and settings.
func TestSettingsChangedMeanwhile(t *testing.T) {
	others := apikey.OrganizationAdmin("alan")
	for path, change := range map[string]func(*rig){
		"/settings": func(r *rig) {
			s, err := r.keys.Settings(r.t.Context(), others)
			require.NoError(r.t, err)
			s.Rules.MaxKeys = 7
			_, err = r.keys.SaveSettings(r.t.Context(), others, s)
			require.NoError(r.t, err)
		},
		"/settings/workspaces/team-a": func(r *rig) {
			w, _, err := r.keys.Workspace(r.t.Context(), others, "team-a")
			require.NoError(r.t, err)
			w.Rules.MaxKeys = 7
			_, err = r.keys.SaveWorkspace(r.t.Context(), others, w)
			require.NoError(r.t, err)
		},
	} {
		t.Run(path, func(t *testing.T) {
			r := newRig(t)
			typed := []string{"keys", "on", "direct", "on", "limit", "own", "key_limit", "none", "workspace_limit", "none", "max_keys", "3", "effect", "new", "do", "save"}
			form := r.form("ada", path, typed...)
			r.clock.Advance(time.Minute)
			change(r)
			r.clock.Advance(time.Minute)
			r.made("team-a", "ci", "project.list") // which changes no rules
			require.NoError(t, r.keys.SetSuspended(t.Context(), others, "team-b", true))
			got := r.post("ada", path, form)
			require.Equal(t, http.StatusConflict, got.StatusCode)
			require.Contains(t, got.Body, "alan changed the ")
			require.Contains(t, got.Body, "(limit of keys) on 1 Jul 2026, 12:01 UTC, after this page was opened.")
			require.Contains(t, got.Body, `name="max_keys" inputmode="numeric" value="3"`)
			again := got.fields()
			for i := 0; i < len(typed); i += 2 {
				again.Set(typed[i], typed[i+1])
			}
			r.post("ada", path, again).redirectTarget()
		})
	}
}

// TestPreviewLeadsBack: the button "Change" of a preview shows the form as it was typed.
func TestPreviewLeadsBack(t *testing.T) {
	r := newRig(t)
	preview := r.post("ada", "/settings", r.form("ada", "/settings", "keys", "on", "direct", "on", "limit", "own", "key_limit", "none", "workspace_limit", "none", "max_keys", "3", "effect", "new", "do", "preview")).fields()
	preview.Set("do", "edit")
	got := r.post("ada", "/settings", preview)
	require.Equal(t, http.StatusOK, got.StatusCode)
	require.Contains(t, got.Body, `name="max_keys" inputmode="numeric" value="3"`)
	require.Zero(t, r.settings().Rules.MaxKeys)
}

// TestFormSentAgain: a form that was not carried out because of an outage can be sent
// again from the answer, with what was typed.
func TestFormSentAgain(t *testing.T) {
	down := false
	r := newRig(t, func(st *store.Store, _ *apikey.Config, _ *console.Config) {
		*st = tappedWhile(*st, &down)
	})
	form := r.form("olga", newPage, "name", `"ci"`, "permissions", "project.list", "permissions", "project.save", "expires", "30d")
	down = true
	got := r.post("olga", newPage, form)
	require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	require.Contains(t, got.Body, "Send the form again")
	down = false
	again := got.fields()
	again["permissions"] = form["permissions"] // fields returns one of each name
	require.Equal(t, form, again)
	require.Equal(t, http.StatusCreated, r.post("olga", newPage, again).StatusCode)
	require.Equal(t, "project.list project.save", r.only().Permissions.String())
}
