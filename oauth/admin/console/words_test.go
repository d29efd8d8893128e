package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

func TestAKeySaysWhatIsWrongWithIt(t *testing.T) {
	r := newRig(t)
	key, _ := r.made("team-a", "ci", "project.list")
	limited, _ := r.made("team-a", "limited", "project.list")
	at := "/keys/" + key.ID
	says := func(person string) string {
		t.Helper()
		got := r.get(person, at)
		require.Equal(t, http.StatusOK, got.StatusCode)
		var notes []string
		for _, part := range strings.Split(got.Body, `<p class="note `)[1:] {
			note, _, _ := strings.Cut(part, "</p>")
			notes = append(notes, note)
		}
		return strings.Join(notes, "\n")
	}
	require.Empty(t, says("olga"))

	expiry := apikey.Expiry{At: noon.Add(20 * 24 * time.Hour)}
	_, err := r.keys.Update(t.Context(), people["olga"].Actor, key.ID, apikey.Changes{Expiry: &expiry})
	require.NoError(t, err)
	require.Empty(t, says("olga"))
	r.clock.Advance(8 * 24 * time.Hour)
	require.Contains(t, says("olga"), "This key expires in 12 days.")
	require.Contains(t, says("olga"), key.ID+`/rotate">Rotate it</a>`)
	r.clock.Advance(13 * 24 * time.Hour)
	require.Contains(t, says("olga"), "This key has expired")

	// A later expiry helps against the lack of one, but not against the maximum lifetime.
	for _, c := range []struct {
		rules store.Rules
		helps bool
	}{
		{store.Rules{RequireExpiry: true}, true},
		{store.Rules{MaxLifetime: 25 * 24 * time.Hour}, false},
	} {
		c.rules.EnforcedFrom = noon.Add(25 * 24 * time.Hour)
		settings, err := r.keys.Settings(t.Context(), people["ada"].Actor)
		require.NoError(t, err)
		settings.Rules = c.rules
		_, err = r.keys.SaveSettings(t.Context(), people["ada"].Actor, settings)
		require.NoError(t, err)
		text := r.get("olga", "/keys/"+limited.ID).Body
		require.Contains(t, text, "Under the rules of this service this key expires on")
		require.Contains(t, text, "rotate\">Rotate it</a>")
		require.Equal(t, c.helps, strings.Contains(text, "give it a later expiry"))
	}

	_, err = r.keys.Disable(t.Context(), people["olga"].Actor, key.ID, 0)
	require.NoError(t, err)
	require.Contains(t, says("olga"), "This key is disabled")
	require.NoError(t, r.keys.SetSuspended(t.Context(), people["ada"].Actor, "team-a", true))
	require.Contains(t, says("olga"), "This workspace is suspended")
}

func TestNotices(t *testing.T) {
	r := newRig(t)
	require.Contains(t, r.get("olga", "/workspaces/team-a/keys?done=delete").Body, "The key was deleted.")
	for _, path := range []string{"/workspaces/team-b/keys?done=delete", "/keys/unknown?done=delete", "/nothing?done=delete", "/settings?done=settings"} {
		require.NotContains(t, r.get("olga", path).Body, "note good", path)
	}
	require.NotContains(t, r.get("olga", "/workspaces/team-a/keys?done=<b>").Body, "note good")
}

func TestTitlesOfDaysAreInstants(t *testing.T) {
	r := newRig(t)
	key, secret := r.made("team-a", "ci", "project.list")
	login, err := r.keys.Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: secret})
	require.NoError(t, err)
	_, err = r.keys.Issue(t.Context(), login, apikey.Request{})
	require.NoError(t, err)
	require.NoError(t, r.keys.Flush(t.Context()))
	r.clock.Advance(3 * 24 * time.Hour)
	require.Contains(t, r.get("olga", "/workspaces/team-a/keys").Body, `title="1 Jul 2026, 12:00 UTC">3 days ago</time>`)
}

func TestEventsNameTheirKeys(t *testing.T) {
	r := newRig(t)
	kept, _ := r.made("team-a", "the one that stays", "project.list")
	deleted, _ := r.made("team-a", "the one that goes", "project.list")
	_, err := r.keys.Authenticate(t.Context(), apikey.Credentials{ID: kept.ID, Secret: "lk_wrong"})
	require.Error(t, err)
	_, other := r.made("team-b", "other", "project.list")
	_, err = r.keys.Authenticate(t.Context(), apikey.Credentials{ID: kept.ID, Secret: other})
	require.Error(t, err)
	require.NoError(t, r.keys.Flush(t.Context()))
	require.NoError(t, r.keys.Delete(t.Context(), people["olga"].Actor, deleted.ID, 0))
	require.NoError(t, r.keys.SetSuspended(t.Context(), people["ada"].Actor, "team-a", true))

	for person, list := range map[string]string{"olga": "/workspaces/team-a/events", "ada": "/settings/events"} {
		body := r.get(person, list).Body
		require.Contains(t, body, "keys/"+kept.ID+`"><bdi>the one that stays</bdi></a> <small class="id">`+kept.ID)
		require.Contains(t, body, `<span class="dim"><bdi>the one that goes</bdi> (deleted)</span> <small class="id">`+deleted.ID)
		require.NotContains(t, body, "keys/"+deleted.ID+`"`, "no link to what is not there")
		require.Contains(t, body, `<span class="dim">The workspace</span>`)
		require.Contains(t, body, "<bdi>an unknown client</bdi>")
		require.NotContains(t, body, "<bdi>key "+kept.ID, "it is not known that it was the key")
	}
	require.Contains(t, r.get("ada", "/settings/events").Body, "<small>in <bdi>team-a</bdi></small>")
}

func TestOrdersOfAList(t *testing.T) {
	r := newRig(t)
	r.made("team-a", "ci", "project.list")
	const list = "/workspaces/team-a/keys"
	require.Contains(t, r.get("olga", list).Body, `<option value="-created" selected>Newest first</option>`)
	body := r.get("olga", list+"?sort=name&text=c").Body
	require.Contains(t, body, `<option value="name" selected>`)
	require.Contains(t, body, `<option value="-expires">`)
	require.Contains(t, body, `<option value="last_used">`)
	require.Contains(t, r.get("ada", "/settings/keys?sort=expires").Body, `<option value="expires" selected>`)
	// Stores do not sort the keys of all workspaces by last use.
	body = r.get("ada", "/settings/keys?sort=last_used").Body
	require.NotContains(t, body, `value="last_used"`)
	require.Contains(t, body, `<option value="-created" selected>`)
}

func TestARefusedFormLeadsBackToItsPage(t *testing.T) {
	r := newRig(t)
	key, _ := r.made("team-a", "ci", "project.list")
	_, post := places(key)
	for _, path := range post {
		t.Run(path, func(t *testing.T) {
			got := r.post("ada", path, url.Values{"form": {"old"}})
			require.Equal(t, http.StatusForbidden, got.StatusCode)
			back := r.get("ada", got.button("Open the page again"))
			if back.StatusCode == http.StatusSeeOther {
				back = r.get("ada", back.redirectTarget())
			}
			require.Equal(t, http.StatusOK, back.StatusCode, back.Body)
		})
	}
	t.Run("after a concurrent change", func(t *testing.T) {
		at := "/keys/" + key.ID + "/disable"
		form := r.form("olga", at)
		name := "changed"
		_, err := r.keys.Update(t.Context(), people["ada"].Actor, key.ID, apikey.Changes{Name: &name})
		require.NoError(t, err)
		got := r.post("olga", at, form)
		require.Equal(t, http.StatusConflict, got.StatusCode)
		require.Contains(t, got.Body, `<button class="risky">Disable this key</button>`, "the question is asked again")
		now, err := r.keys.Get(t.Context(), people["olga"].Actor, key.ID)
		require.NoError(t, err)
		require.False(t, now.Disabled)
	})
}
