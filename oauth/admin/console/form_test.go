package console_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// others may do what Ada may: only whose form it is keeps theirs apart.
var others = map[string]console.Person{
	"another administrator":     {Actor: apikey.OrganizationAdmin("alan")},
	"an owner of the same name": {Actor: apikey.Member("ada", apikey.Owner, "team-a")},
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
		t.Run("what the form of "+other+" did is told to nobody else", func(t *testing.T) {
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
	// With a form of her own, the same is done.
	got := r.post("ada", newPage, filled(r.form("ada", newPage)))
	require.Equal(t, http.StatusCreated, got.StatusCode, got.Body)
}

// filled is a form with what every form of the console needs.
func filled(form url.Values) url.Values {
	for name, value := range map[string]string{
		"name": "sly", "permissions": "project.list", "expires": "never", "grace": "0", "version": "1",
		"keys": "off", "limit": "none", "unit": "days", "effect": "new", "do": "save",
	} {
		form.Set(name, value)
	}
	return form
}
