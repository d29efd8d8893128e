package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

func TestNew(t *testing.T) {
	_, err := console.New(nil, console.Config{Key: []byte("short"), Timeout: time.Millisecond, LoginURL: "login", SignIn: "javascript:x", SignOut: "https://elsewhere.example"})
	for _, field := range []string{"keys is nil", "Authorize", "Config.Key", "LoginURL", "SignIn", "SignOut", "Config.Timeout is 1ms"} {
		require.ErrorContains(t, err, field)
	}
	for _, address := range []string{"javascript:x", "ftp://elsewhere.example/", "//elsewhere.example/"} {
		_, err := console.New(nil, console.Config{LoginURL: address, SignOut: address})
		require.ErrorContains(t, err, "Config.LoginURL", address)
		require.ErrorContains(t, err, "Config.SignOut", address)
	}
	for _, address := range []string{"ftp://elsewhere.example/", "//elsewhere.example/", "https:/sign-in"} {
		_, err = console.New(nil, console.Config{SignIn: address})
		require.ErrorContains(t, err, "Config.SignIn")
	}
}

func TestChange(t *testing.T) {
	r := newRig(t)
	key, secret := r.made("team-a", "ci", "project.list project.save")
	path := "/keys/" + key.ID + "/change"
	form := r.form("olga", path)
	form["permissions"], form["name"], form["expires"] = []string{"project.list"}, []string{"robot"}, []string{"30d"}
	require.Equal(t, "/keys/"+key.ID+"?done=change", r.post("olga", path, form).redirectTarget())
	now, err := r.keys.Get(t.Context(), people["olga"].Actor, key.ID)
	require.NoError(t, err)
	require.Equal(t, "robot", now.Name)
	require.Equal(t, "project.list", now.Permissions.String())
	require.Equal(t, noon.AddDate(0, 0, 30), now.NotAfter)
	require.True(t, r.logsIn(key.ID, secret))

	t.Run("a form of an earlier version changes nothing", func(t *testing.T) {
		form["name"] = []string{"too late"}
		got := r.post("olga", path, form)
		require.Equal(t, http.StatusConflict, got.StatusCode)
		require.Contains(t, got.Body, `id="problems"`)
	})
	for _, version := range []string{"", "0", "-1", "x"} {
		t.Run("a form without a version changes nothing: "+version, func(t *testing.T) {
			form := r.form("olga", path)
			form.Set("version", version)
			form["permissions"], form["name"], form["expires"] = []string{"project.list"}, []string{"blind"}, []string{"keep"}
			require.Equal(t, http.StatusConflict, r.post("olga", path, form).StatusCode)
		})
	}
	t.Run("as it is", func(t *testing.T) {
		form := r.form("olga", path)
		form["permissions"], form["name"], form["expires"] = []string{"project.list"}, []string{"robot"}, []string{"keep"}
		require.Equal(t, "/keys/"+key.ID+"?done=same", r.post("olga", path, form).redirectTarget())
	})
	t.Run("no permission at all", func(t *testing.T) {
		form := r.form("olga", path)
		form["permissions"], form["name"], form["expires"] = nil, []string{"robot"}, []string{"keep"}
		require.Equal(t, http.StatusUnprocessableEntity, r.post("olga", path, form).StatusCode)
	})
	t.Run("more than the person may grant", func(t *testing.T) {
		form := r.form("olga", path)
		form["permissions"], form["name"], form["expires"] = []string{"project.list", "admin.project.list"}, []string{"robot"}, []string{"keep"}
		got := r.post("olga", path, form)
		require.Equal(t, http.StatusForbidden, got.StatusCode)
		require.Contains(t, got.Body, "admin.project.list")
	})
}

func TestRotate(t *testing.T) {
	r := newRig(t)
	key, old := r.made("team-a", "ci", "project.list")
	path := "/keys/" + key.ID + "/rotate"
	form := r.form("olga", path, "grace", "1h", "expires", "keep")
	got := r.post("olga", path, form)
	require.Equal(t, http.StatusOK, got.StatusCode, got.Body)
	fresh := got.secret()
	require.NotEmpty(t, fresh)
	require.True(t, r.logsIn(key.ID, fresh))
	require.True(t, r.logsIn(key.ID, old))
	require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
	t.Run("B23 sent again it creates no other secret", func(t *testing.T) {
		again := r.post("olga", path, form)
		require.Equal(t, http.StatusConflict, again.StatusCode)
		require.Contains(t, again.Body, "Already rotated")
		require.NotContains(t, again.Body, fresh)
		now, err := r.keys.Get(t.Context(), people["olga"].Actor, key.ID)
		require.NoError(t, err)
		require.Len(t, now.Credentials, 2)
	})
	r.clock.Advance(time.Hour)
	require.False(t, r.logsIn(key.ID, old))
	require.True(t, r.logsIn(key.ID, fresh))
	t.Run("no grace chosen", func(t *testing.T) {
		got := r.post("olga", path, r.form("olga", path, "expires", "keep"))
		require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
		require.Contains(t, got.Body, "#f-grace")
	})
	t.Run("without grace the other secrets are retired at once", func(t *testing.T) {
		got := r.post("olga", path, r.form("olga", path, "grace", "0", "expires", "keep"))
		require.Equal(t, http.StatusOK, got.StatusCode)
		require.False(t, r.logsIn(key.ID, fresh))
		require.True(t, r.logsIn(key.ID, got.secret()))
	})
}

func TestEnding(t *testing.T) {
	r := newRig(t)
	key, secret := r.made("team-a", "ci", "project.list")
	at := "/keys/" + key.ID
	require.Equal(t, at+"?done=disable", r.post("olga", at+"/disable", r.form("olga", at+"/disable")).redirectTarget())
	require.False(t, r.logsIn(key.ID, secret))
	require.Contains(t, r.get("olga", at).Body, "disabled")
	require.Equal(t, at+"?done=enable", r.post("olga", at+"/enable", r.form("olga", at)).redirectTarget())
	require.True(t, r.logsIn(key.ID, secret))

	retire := at + "/retire/" + key.Credentials[0].ID
	require.Contains(t, r.get("olga", retire).Body, "only credential")
	require.Equal(t, at+"?done=retire", r.post("olga", retire, r.form("olga", retire)).redirectTarget())
	require.False(t, r.logsIn(key.ID, secret))
	require.Equal(t, http.StatusNotFound, r.get("olga", retire).StatusCode)

	t.Run("with a wrong name nothing is deleted", func(t *testing.T) {
		for _, name := range []string{"", "CI", "ci "} {
			got := r.post("olga", at+"/delete", r.form("olga", at+"/delete", "name", name))
			require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
		}
		require.Equal(t, 1, r.count("team-a"))
	})
	form := r.form("olga", at+"/delete", "name", "ci")
	to := r.post("olga", at+"/delete", form).redirectTarget()
	require.Equal(t, "/workspaces/team-a/keys?done=delete", to)
	require.Contains(t, r.get("olga", to).Body, `data-say="The key was deleted."`)
	require.Equal(t, 0, r.count("team-a"))
	require.Equal(t, http.StatusNotFound, r.get("olga", at).StatusCode)
	require.Contains(t, r.get("olga", "/workspaces/team-a/events?key="+key.ID).Body, "Deleted the key")
}

func TestSettings(t *testing.T) {
	r := newRig(t)
	key, secret := r.made("team-a", "ci", "project.list")
	form := r.form("ada", "/settings", "keys", "on", "direct", "on", "limit", "own", "key_limit", "none", "workspace_limit", "none", "max_keys", "3", "max_lifetime", "90", "unit", "days",
		"require_expiry", "yes", "effect", "all", "enforced_at", "2026-07-01", "do", "preview")
	form.Set("enforced_at", "2026-06-30")
	preview := r.post("ada", "/settings", form)
	require.Equal(t, http.StatusOK, preview.StatusCode, preview.Body)
	require.Contains(t, preview.Body, "Would end")
	require.Contains(t, preview.Body, key.ID)
	settings, err := r.keys.Settings(t.Context(), people["ada"].Actor)
	require.NoError(t, err)
	require.Zero(t, settings.Rules, "a preview saves nothing")

	save := preview.fields()
	save.Set("do", "save")
	require.Equal(t, "/settings?done=settings", r.post("ada", "/settings", save).redirectTarget())
	settings, err = r.keys.Settings(t.Context(), people["ada"].Actor)
	require.NoError(t, err)
	require.Equal(t, store.Rules{MaxKeys: 3, RequireExpiry: true, MaxLifetime: 90 * 24 * time.Hour, EnforcedFrom: time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC)}, settings.Rules)
	require.True(t, r.logsIn(key.ID, secret))
	require.Contains(t, r.get("ada", "/settings/violations").Body, key.ID)
	require.Contains(t, r.get("ada", "/settings/keys").Body, key.ID)
	require.Contains(t, r.get("ada", "/settings/events").Body, "Changed the settings")
	require.Contains(t, r.get("olga", "/workspaces/team-a/keys").Body, "1 of 3 keys")
	require.Equal(t, http.StatusConflict, r.post("ada", "/settings", save).StatusCode, "it has changed since")

	t.Run("off", func(t *testing.T) {
		off := r.form("ada", "/settings", "keys", "off", "direct", "on", "limit", "none", "key_limit", "none", "workspace_limit", "none", "unit", "days", "effect", "new", "do", "preview")
		preview := r.post("ada", "/settings", off)
		require.Contains(t, preview.Body, "End at once: 1 key")
		save := preview.fields()
		save.Set("do", "save")
		r.post("ada", "/settings", save).redirectTarget()
		_, err := r.keys.Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: secret})
		require.Error(t, err)
	})
	for name, values := range map[string]url.Values{
		"limit":        {"keys": {"on"}, "direct": {"on"}, "limit": {"inherit"}, "key_limit": {"none"}, "workspace_limit": {"none"}, "effect": {"new"}},
		"max_keys":     {"keys": {"on"}, "direct": {"on"}, "limit": {"own"}, "key_limit": {"none"}, "workspace_limit": {"none"}, "max_keys": {"0"}, "effect": {"new"}},
		"max_lifetime": {"keys": {"on"}, "direct": {"on"}, "limit": {"none"}, "key_limit": {"none"}, "workspace_limit": {"none"}, "max_lifetime": {"soon"}, "effect": {"new"}},
		"keys":         {"limit": {"none"}, "key_limit": {"none"}, "workspace_limit": {"none"}, "effect": {"new"}},
		"effect":       {"keys": {"on"}, "direct": {"on"}, "limit": {"none"}, "key_limit": {"none"}, "workspace_limit": {"none"}},
		"enforced_at":  {"keys": {"on"}, "direct": {"on"}, "limit": {"none"}, "key_limit": {"none"}, "workspace_limit": {"none"}, "effect": {"all"}, "enforced_at": {"0001-01-01"}},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			form := r.form("ada", "/settings", "do", "save")
			for field, list := range values {
				form[field] = list
			}
			got := r.post("ada", "/settings", form)
			require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode, got.Body)
			require.Contains(t, got.Body, `href="#f-`+name+`"`)
			require.Contains(t, got.Body, `id="f-`+name+`"`)
		})
	}
}

func TestWorkspaceRules(t *testing.T) {
	r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) {
		keys.DefaultRules = store.Rules{MaxKeys: 2}
	})
	key, secret := r.made("team-a", "ci", "project.list")
	at := "/settings/workspaces/team-a"
	preview := r.post("ada", at, r.form("ada", at, "limit", "own", "key_limit", "none", "workspace_limit", "none", "max_keys", "1", "unit", "days", "effect", "new", "do", "preview"))
	require.Contains(t, preview.Body, "No existing key ends")
	save := preview.fields()
	save.Set("do", "save")
	require.Equal(t, at+"?done=settings", r.post("ada", at, save).redirectTarget())
	list := r.get("olga", "/workspaces/team-a/keys").Body
	require.Contains(t, list, "1 of 1 key")
	require.NotContains(t, list, "keys/new", "the quota is reached")

	r.post("ada", at+"/suspend", r.form("ada", at+"/suspend")).redirectTarget()
	_, err := r.keys.Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: secret})
	require.Error(t, err)
	require.Contains(t, r.get("olga", "/workspaces/team-a/keys").Body, "is suspended")
	r.post("ada", at+"/resume", r.form("ada", at)).redirectTarget()
	require.True(t, r.logsIn(key.ID, secret))
}

func TestLists(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"beta", "alpha", "gamma"} {
		r.made("team-a", name, "project.list")
		r.clock.Advance(time.Minute)
	}
	order := func(query string) []string {
		t.Helper()
		body := r.get("olga", "/workspaces/team-a/keys?"+query).Body
		var names []string
		for _, part := range strings.Split(body, `class="name"`)[1:] {
			_, rest, _ := strings.Cut(part, "<bdi>")
			name, _, _ := strings.Cut(rest, "</bdi>")
			names = append(names, name)
		}
		return names
	}
	require.Equal(t, []string{"gamma", "alpha", "beta"}, order(""))
	require.Equal(t, []string{"alpha", "beta", "gamma"}, order("sort=name"))
	require.Equal(t, []string{"gamma", "beta", "alpha"}, order("sort=-name"))
	require.Equal(t, []string{"beta"}, order("text=BET"))
	require.Empty(t, order("permission=project.save"))
	require.Empty(t, order("state=disabled"))
	require.Len(t, order("state=enabled&permission=project.list"), 3)
	require.Contains(t, r.get("olga", "/workspaces/team-a/keys?text=zzz").Body, "No key matches")
}

func TestUsageIsShown(t *testing.T) {
	r := newRig(t)
	key, secret := r.made("team-a", "ci", "project.list")
	require.Contains(t, r.get("olga", "/keys/"+key.ID).Body, "This key was not used during this time")
	for range 3 {
		login, err := r.keys.Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: secret})
		require.NoError(t, err)
		_, err = r.keys.Issue(t.Context(), login, apikey.Request{})
		require.NoError(t, err)
	}
	require.NoError(t, r.keys.Flush(t.Context()))
	for _, when := range []string{"written"} {
		body := r.get("olga", "/keys/"+key.ID).Body
		require.Contains(t, body, "3 logins and direct uses, 0 refusals", when)
		require.Contains(t, body, `<th scope="row">1 Jul 2026</th><td>3</td><td>0</td>`, when)
		require.NotContains(t, body, "This key was not used", when)
		require.NoError(t, r.keys.Flush(t.Context()))
	}
	r.clock.Advance(30 * 24 * time.Hour)
	require.Contains(t, r.get("olga", "/keys/"+key.ID).Body, "This key was not used during this time")
}
