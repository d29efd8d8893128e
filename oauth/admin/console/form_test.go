package console_test

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

// others have the same rights as Ada. Their requests differ only in the owner of the form.
var others = map[string]console.Person{
	"another administrator":     {Actor: apikey.OrganizationAdmin("alan")},
	"an owner of the same name": {Actor: apikey.Owner("ada", "team-a")},
}

func TestFormsAreOfOnePerson(t *testing.T) {
	r := newRig(t, func(_ *store.Store, _ *apikey.Config, c *console.Config) {
		c.Authorize = func(r *http.Request) (console.Person, error) {
			if person, known := others[r.Header.Get("X-Person")]; known {
				return person, nil
			}
			return authorize(r)
		}
	})
	key, secret := r.made("team-a", "ci", "project.list")
	_, post := places(key)
	for _, other := range slices.Sorted(maps.Keys(others)) {
		for _, path := range post {
			t.Run("B16 the form of "+other+": "+path, func(t *testing.T) {
				form := filled(r.form(other, newPage))
				got := r.post("ada", path, form)
				require.Equal(t, http.StatusForbidden, got.StatusCode, got.Body)
				require.Contains(t, got.Body, "This form is too old")
				require.Equal(t, 1, r.count("team-a"))
				now, err := r.keys.Get(t.Context(), people["ada"].Actor, key.ID)
				require.NoError(t, err)
				require.Equal(t, key.Version, now.Version)
				require.True(t, r.logsIn(key.ID, secret))
			})
		}
		t.Run("the result of the form of "+other+" is shown to no other person", func(t *testing.T) {
			form := filled(r.form(other, newPage))
			made := r.post(other, newPage, form)
			require.Equal(t, http.StatusCreated, made.StatusCode, made.Body)
			got := r.get("ada", newPage+"?form="+form.Get("form"))
			require.Equal(t, http.StatusSeeOther, got.StatusCode, got.Body)
			require.NotContains(t, got.Header.Get("Location"), form.Get("form"))
			page, err := r.keys.List(t.Context(), people["ada"].Actor, store.KeyQuery{Workspace: "team-a", Text: "sly"})
			require.NoError(t, err)
			require.Len(t, page.Keys, 1)
			require.NoError(t, r.keys.Delete(t.Context(), people["ada"].Actor, page.Keys[0].ID, 0))
		})
	}
	// With Ada's own form, the same request is carried out.
	got := r.post("ada", newPage, filled(r.form("ada", newPage)))
	require.Equal(t, http.StatusCreated, got.StatusCode, got.Body)
}

// TestFormOfAFasterClock: replicas' clocks may differ by less than an hour.
func TestFormOfAFasterClock(t *testing.T) {
	for ahead, want := range map[time.Duration]int{59 * time.Minute: http.StatusCreated, time.Hour: http.StatusForbidden} {
		r := newRig(t)
		r.clock.Advance(ahead)
		form := filled(r.form("ada", newPage))
		r.clock.Advance(-ahead)
		require.Equal(t, want, r.post("ada", newPage, form).StatusCode, ahead)
	}
}

// filled returns a form with the fields of all forms of the console.
func filled(form url.Values) url.Values {
	for name, value := range map[string]string{
		"name": "sly", "permissions": "project.list", "expires": "never", "grace": "0", "version": "1",
		"keys": "off", "limit": "none", "unit": "days", "effect": "new", "do": "save",
	} {
		form.Set(name, value)
	}
	return form
}

// TestFormsAreForOneVersion: a form of an earlier version of a record changes nothing.
func TestFormsAreForOneVersion(t *testing.T) {
	for _, deed := range []string{"change", "rotate", "retire", "disable", "enable", "delete"} {
		t.Run(deed, func(t *testing.T) {
			r := newRig(t)
			key, secret := r.made("team-a", "ci", "project.list")
			page := "/keys/" + key.ID + "/" + deed
			path := page
			switch deed {
			case "retire":
				page += "/" + key.Credentials[0].ID
				path = page
			case "enable": // its button is on the key's page
				page = "/keys/" + key.ID
				_, err := r.keys.Disable(t.Context(), people["olga"].Actor, key.ID, 0)
				require.NoError(t, err)
			}
			form := r.form("olga", page, "grace", "1h", "expires", "30d")
			form["name"], form["permissions"] = []string{"robot"}, []string{"project.list"}
			name := "robot"
			before, err := r.keys.Update(t.Context(), people["olga"].Actor, key.ID, apikey.Changes{Name: &name})
			require.NoError(t, err)
			got := r.post("olga", path, form)
			require.Equal(t, http.StatusConflict, got.StatusCode, got.Body)
			now, err := r.keys.Get(t.Context(), people["olga"].Actor, key.ID)
			require.NoError(t, err)
			require.Equal(t, before.Version, now.Version)
			require.Equal(t, deed != "enable", r.logsIn(key.ID, secret))
		})
	}
}

func TestRulesAreForOneVersion(t *testing.T) {
	r := newRig(t)
	const path = "/settings/workspaces/team-a"
	form := r.form("ada", path, "limit", "own", "key_limit", "none", "workspace_limit", "none", "max_keys", "5", "effect", "new", "do", "save")
	require.Equal(t, path+"?done=settings", r.post("ada", path, form).redirectTarget())
	for _, life := range []string{"36601", "878401h", "0", "999ms", "soon"} {
		form.Set("max_lifetime", life)
		require.Equal(t, http.StatusUnprocessableEntity, r.post("ada", path, form).StatusCode, life)
	}
	form.Del("max_lifetime")
	form.Set("max_keys", "6")
	require.Equal(t, http.StatusConflict, r.post("ada", path, form).StatusCode)
	_, rules, err := r.keys.Workspace(t.Context(), people["ada"].Actor, "team-a")
	require.NoError(t, err)
	require.Equal(t, 5, rules.MaxKeys)
}

// TestFormReadBefore tests a middleware of the host's in front of the console. A form
// that it has parsed is used. A body that was read before is the server's fault, and logged once.
func TestFormReadBefore(t *testing.T) {
	r := newRig(t)
	key, _ := r.made("team-a", "ci", "project.list")
	at := "/keys/" + key.ID + "/disable"
	through := func(take func(*http.Request)) *page {
		form := r.form("olga", at)
		req := harness.Incoming(http.MethodPost, prefix+at, form.Encode(), "X-Person", "olga", "Sec-Fetch-Site", "same-origin", "Content-Type", "application/x-www-form-urlencoded")
		take(req)
		return r.page(harness.Serve(r.mux, req))
	}
	for range 2 {
		got := through(func(req *http.Request) { _, _ = io.ReadAll(req.Body) })
		require.Equal(t, http.StatusInternalServerError, got.StatusCode)
		require.Contains(t, got.Body, "The body of this request was read before it came here.")
	}
	require.Equal(t, 1, strings.Count(r.log.String(), "the host's code read its body first"))
	require.Equal(t, http.StatusSeeOther, through(func(req *http.Request) { _ = req.ParseForm() }).StatusCode)
}
