package admin_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
)

// TestLifeOfAKey makes every kind of change to one key.
func TestLifeOfAKey(t *testing.T) {
	r := newRig(t)
	answer := r.do("olga", "POST", "/workspaces/team-a/keys", `{"name":"ci","permissions":["project.*"],"expires_at":"2027-01-31","resources":[]}`).Wants(http.StatusCreated)
	var m made
	answer.Into(&m)
	require.Nil(t, r.read("olga", m.Key.ID).LastUsedAt)
	require.NoError(t, r.login(m.Key.ID, m.Secret), "the secret of the answer logs in")
	require.Equal(t, noon, *r.read("olga", m.Key.ID).LastUsedAt, "last use moves on login")
	require.Equal(t, noon, *r.read("olga", m.Key.ID).Secrets[0].LastUsedAt)
	require.Equal(t, []string{"project.delete", "project.list", "project.save"}, m.Key.Permissions)
	require.Equal(t, []string{"project.*"}, m.Key.Requested)
	require.Equal(t, "2027-01-31", *m.Key.ExpiresOn)
	require.Equal(t, time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC), *m.Key.ExpiresAt)
	require.Equal(t, "olga", m.Key.CreatedBy.ID)

	there, err := url.Parse(r.web.URL + prefix + "/workspaces/team-a/keys")
	require.NoError(t, err)
	location, err := there.Parse(answer.Header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, prefix+"/keys/"+m.Key.ID, location.Path)

	r.clock.Advance(time.Minute)
	got := r.do("olga", "GET", "/keys/"+m.Key.ID, "").Wants(http.StatusOK)
	require.Equal(t, `"1"`, got.Header.Get("ETag"))
	require.Equal(t, "active", r.read("olga", m.Key.ID).State)

	changed := r.do("max", "PATCH", "/keys/"+m.Key.ID, `{"name":"nightly","permissions":["project.list"],"expires_at":null}`, "If-Match", `"1"`).Wants(http.StatusOK)
	require.Equal(t, `"2"`, changed.Header.Get("ETag"))
	k := r.read("olga", m.Key.ID)
	require.Equal(t, "nightly", k.Name)
	require.Equal(t, []string{"project.list"}, k.Permissions)
	require.Nil(t, k.ExpiresAt)

	var rotated made
	r.do("olga", "POST", "/keys/"+m.Key.ID+"/rotate", `{"grace":3600,"expires_at":"2027-06-30T12:00:00Z"}`).Wants(http.StatusOK).Into(&rotated)
	require.NoError(t, r.login(m.Key.ID, rotated.Secret), "the secret a rotation returns is the one that logs in")
	require.NoError(t, r.login(m.Key.ID, m.Secret), "so does the old one, within the grace")
	require.Len(t, rotated.Key.Secrets, 2)
	require.Equal(t, time.Date(2027, 6, 30, 12, 0, 0, 0, time.UTC), *rotated.Key.ExpiresAt)

	r.do("olga", "DELETE", "/keys/"+m.Key.ID+"/credentials/"+rotated.Key.Secrets[0].ID, "").Wants(http.StatusOK)
	require.Error(t, r.login(m.Key.ID, m.Secret))
	require.NoError(t, r.login(m.Key.ID, rotated.Secret))

	require.Equal(t, "active", r.read("olga", m.Key.ID).State)
	r.do("olga", "POST", "/keys/"+m.Key.ID+"/disable", "").Wants(http.StatusOK)
	require.Error(t, r.login(m.Key.ID, rotated.Secret))
	require.Equal(t, "disabled", r.read("olga", m.Key.ID).State)
	r.do("olga", "POST", "/keys/"+m.Key.ID+"/enable", "{}").Wants(http.StatusOK)
	require.NoError(t, r.login(m.Key.ID, rotated.Secret))

	r.do("olga", "DELETE", "/keys/"+m.Key.ID, "").Wants(http.StatusNoContent)
	r.do("olga", "GET", "/keys/"+m.Key.ID, "").problem(http.StatusNotFound, admin.CodeNotFound)
	require.Error(t, r.login(m.Key.ID, rotated.Secret))
}
