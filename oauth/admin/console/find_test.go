package console_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

const findPage = "/find-secret"

// formField is the field with the id of a form, which no two answers share.
var formField = regexp.MustCompile(`name="form" value="[^"]*"`)

// TestFindSecret: a secret leads to the page of its key, and is in no answer, address or log
// line, which the rig searches.
func TestFindSecret(t *testing.T) {
	r := newRig(t)
	key, secret := r.made("team-a", "ci of the shop", "project.list")
	find := func(person, secret string) *page {
		t.Helper()
		got := r.post(person, findPage, r.form(person, findPage, "secret", secret))
		require.NotContains(t, got.Body+got.Header.Get("Location"), strings.TrimSpace(secret))
		require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
		return got
	}
	at := "/keys/" + key.ID + "?found=" + key.Credentials[0].ID
	for _, person := range []string{"olga", "max", "ada"} {
		require.Equal(t, at, find(person, secret).redirectTarget(), "B20 %s may see the key", person)
	}
	require.Equal(t, at, find("olga", " "+secret+"\r\n").redirectTarget())
	body := r.get("olga", at).Body
	for _, part := range []string{
		"<h1><bdi>ci of the shop</bdi></h1>", `on">active`, "the secret that you searched for, which ends in <code>" + secret[len(secret)-4:], "<bdi>team-a</bdi>", "Never", "the key's only credential",
		`keys/` + key.ID + `/rotate">Rotate the key`, `keys/` + key.ID + `/retire/` + key.Credentials[0].ID + `">retire this secret only`,
	} {
		require.Contains(t, body, part)
	}

	_, foreign := newRig(t).made("team-a", "elsewhere", "project.list")
	for _, person := range []string{"bert", "guest"} {
		theirs, nobodys := find(person, secret), find(person, foreign)
		require.Equal(t, http.StatusNotFound, theirs.StatusCode)
		require.Equal(t, nobodys.StatusCode, theirs.StatusCode)
		require.Equal(t, formField.ReplaceAllString(nobodys.Body, ""), formField.ReplaceAllString(theirs.Body, ""), "B20 the answers are the same")
		require.Contains(t, theirs.Body, "No key that you may see has this secret.")
	}
	for name, text := range map[string]string{"nothing": "", "spaces": "  ", "another text": "canary-of-olga", "half of it": secret[:20]} {
		t.Run(name, func(t *testing.T) {
			got := r.post("olga", findPage, r.form("olga", findPage, "secret", text))
			require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
			require.Contains(t, got.Body, "Secret: It does not have the form of a secret")
			require.NotContains(t, got.Body, "canary")
			require.NotContains(t, got.Body, secret[:20])
			require.NotContains(t, got.Body, `name="secret" value`)
		})
	}
	t.Run("B10 a secret in the address is not read", func(t *testing.T) {
		require.Equal(t, http.StatusOK, r.get("olga", findPage+"?secret="+secret).StatusCode)
		form := r.form("olga", findPage)
		require.Equal(t, http.StatusUnprocessableEntity, r.post("olga", findPage+"?secret="+secret, form).StatusCode)
	})
	t.Run("after a rotation", func(t *testing.T) {
		rotated, _, err := r.keys.Rotate(t.Context(), people["olga"].Actor, key.ID, apikey.Rotation{Grace: time.Minute})
		require.NoError(t, err)
		body := r.get("olga", at).Body
		require.Contains(t, body, "retire this secret only")
		require.NotContains(t, body, "the key's only credential")
		r.clock.Advance(time.Minute)
		require.Equal(t, at, find("olga", secret).redirectTarget())
		fresh := key.ID + "?found=" + rotated.Credentials[len(rotated.Credentials)-1].ID
		require.Contains(t, r.get("olga", "/keys/"+fresh).Body, "the key's only credential", "the other one has ended")
		body = r.get("olga", at).Body
		require.Contains(t, body, "It has ended: nobody can log in with it.")
		require.NotContains(t, body, "retire this secret only")
		_, err = r.keys.Retire(t.Context(), people["olga"].Actor, key.ID, key.Credentials[0].ID, 0)
		require.NoError(t, err)
		require.Equal(t, http.StatusNotFound, find("olga", secret).StatusCode)
		require.NotContains(t, r.get("olga", at).Body, "searched for")
	})
}

// TestASecretIsNotSentAgain: an error page has no form that holds the secret.
func TestASecretIsNotSentAgain(t *testing.T) {
	whole := newRig(t)
	_, secret := whole.made("team-a", "ci", "project.list")
	for name, person := range map[string]string{"the session has ended": "nobody", "sessions cannot be read": "outage"} {
		t.Run("B23 "+name, func(t *testing.T) {
			form := whole.form("olga", findPage, "secret", secret)
			got := whole.post(person, findPage, form)
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusServiceUnavailable}, got.StatusCode)
			require.NotContains(t, got.Body, secret)
			require.NotContains(t, got.Body, "Send the form again")
			require.NotEmpty(t, got.button("Open the page again"))
			form.Del("secret") // another form is offered again
			require.Contains(t, whole.post(person, findPage, form).Body, "Send the form again")
		})
	}
	t.Run("B23 the store cannot be read", func(t *testing.T) {
		r := newRig(t, func(s *store.Store, _ *apikey.Config, _ *console.Config) {
			*s = harness.Tapped(*s, func(context.Context, string) error { return store.ErrUnavailable }, "Secrets.LookupSecret")
		})
		got := r.post("olga", findPage, r.form("olga", findPage, "secret", secret))
		require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
		require.NotContains(t, got.Body, secret)
		require.NotEmpty(t, got.button("Open the page again"))
	})
}

// TestTheMenuLeadsToFind: persons who may see keys of some workspace find the page.
func TestTheMenuLeadsToFind(t *testing.T) {
	r := newRig(t)
	key, _ := r.made("team-a", "ci", "project.list")
	const link = `find-secret">Find a secret</a>`
	for person, paths := range map[string][]string{
		"olga": {"/workspaces/team-a/keys", "/keys/" + key.ID}, "max": {"/workspaces/team-a/events"}, "lena": {"/"},
		"ada": {"/", "/settings", "/settings/keys", "/workspaces/team-a/keys"},
	} {
		for _, path := range paths {
			require.Contains(t, r.get(person, path).Body, link, "%s at %s", person, path)
		}
	}
	require.Contains(t, r.get("olga", findPage).Body, `find-secret" aria-current="page">Find a secret</a>`)
	require.NotContains(t, r.get("guest", "/").Body, link, "who sees no keys")
	require.NotContains(t, r.get("nobody", "/").Body, link)
}
