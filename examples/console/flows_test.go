package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

var shortExpiry = apikey.Expiry{At: noon.AddDate(0, 1, 0)}

const clipboard = `navigator.clipboard.readText()`

func TestCreateCopyAndLogIn(t *testing.T) {
	h := newHost(t)
	w := newWindow(t, h, "olga")
	require.Contains(t, w.text(), "There are no API keys yet")
	w.click(".empty .button.main")
	w.fill("#f-name", "release robot")
	// The filter shows what matches, and keeps the selection.
	w.choose(`input[value="project.save"]`)
	w.steps(chromedp.SendKeys("#filter", "list tenants"))
	require.Equal(t, "List tenants", eval[string](w, `[...document.querySelectorAll(".group .check")].filter((c) => !c.hidden).map((c) => c.querySelector(".label").textContent.trim()).join()`))
	w.choose(`input[value="tenant.list"]`)
	require.Contains(t, w.textOf("[data-chosen]"), "2 chosen, 1 shown")
	w.click("main form button.main")
	require.EqualValues(t, http.StatusCreated, w.lastStatus())

	id, secret, curl := w.textOf("#key-id"), w.textOf("#secret"), w.textOf("#curl")
	require.Equal(t, http.StatusOK, h.logIn(id, secret))
	require.Contains(t, curl, secret)
	for selector, text := range map[string]string{"key-id": id, "secret": secret, "curl": curl} {
		w.choose(`[data-copy="` + selector + `"]`)
		require.Equal(t, text, eval[string](w, clipboard))
	}
	key, err := h.srv.APIKeys().Get(t.Context(), people["olga"].Actor, id)
	require.NoError(t, err)
	require.Equal(t, "project.save tenant.list", key.Permissions.String())

	t.Run("B23 reload creates no second key", func(t *testing.T) {
		w.navigate(chromedp.Reload())
		require.EqualValues(t, http.StatusConflict, w.lastStatus())
		require.Contains(t, w.text(), "Already created")
		require.Contains(t, w.text(), id)
		require.NotContains(t, w.text(), secret)
	})
	t.Run("B23 a page in the back/forward cache shows no secret", func(t *testing.T) {
		w.open(h.page("/workspaces/shop/keys/new"))
		w.fill("#f-name", "kept")
		w.choose(`input[value="project.save"]`)
		w.click("main form button.main")
		require.True(t, strings.HasPrefix(w.textOf("#secret"), "lk_"))
		require.Equal(t, "shown once", eval[string](w, `dispatchEvent(new PageTransitionEvent("pagehide", {persisted: true})), document.getElementById("secret").textContent`))
	})
	page, err := h.srv.APIKeys().List(t.Context(), people["olga"].Actor, store.KeyQuery{Workspace: "shop"})
	require.NoError(t, err)
	require.Len(t, page.Keys, 2)
}

func TestLifeOfAKey(t *testing.T) {
	t.Run("with JavaScript", func(t *testing.T) { lifeOfAKey(t, true) })
	t.Run("without", func(t *testing.T) { lifeOfAKey(t, false) })
}

func lifeOfAKey(t *testing.T, script bool) {
	t.Helper()
	h := newHost(t)
	key, old := h.made("olga", "shop", "ci", "project.list", apikey.Expiry{})
	w := newWindow(t, h, "olga")
	w.setScript(script)
	w.click("tbody .name")
	w.click(`a[href$="/rotate"]`)
	w.choose(`input[name="grace"][value="0"]`)
	w.click("main form button.main")
	fresh := w.textOf("#secret")
	require.Equal(t, http.StatusUnauthorized, h.logIn(key.ID, old.Reveal()))
	require.Equal(t, http.StatusOK, h.logIn(key.ID, fresh))

	w.click("main .actions .button")
	w.click(`a[href$="/disable"]`)
	w.click("main form button")
	require.Contains(t, w.textOf(".note.good"), "disabled")
	require.Equal(t, http.StatusUnauthorized, h.logIn(key.ID, fresh))
	w.click(`form[action$="/enable"] button`)
	require.Equal(t, http.StatusOK, h.logIn(key.ID, fresh))

	// Rotation without grace retired the earlier secret; this one is the last.
	w.click(`tbody tr:last-child a[href*="/retire/"]`)
	w.click("main form button")
	require.Equal(t, http.StatusUnauthorized, h.logIn(key.ID, fresh))

	w.click(`a[href$="/delete"]`)
	w.fill("#f-name", "CI")
	w.click("main form button")
	require.Contains(t, w.textOf("#problems"), "exactly")
	if script {
		require.Equal(t, "problems", eval[string](w, "document.activeElement.id"), "the list of problems is read first")
	}
	w.fill("#f-name", "ci")
	w.click("main form button")
	require.Contains(t, w.text(), "There are no API keys yet")
}

func TestSettingsAndQuota(t *testing.T) {
	h := newHost(t)
	key, secret := h.made("olga", "shop", "ci", "project.list", apikey.Expiry{})
	admin, owner := newWindow(t, h, "ada"), newWindow(t, h, "olga")
	admin.open(h.page("/settings"))
	admin.fill("#f-max_keys", "1")
	admin.choose(`input[name="limit"][value="own"]`)
	admin.choose(`input[name="require_expiry"]`)
	admin.steps(chromedp.SetValue("#f-enforced_at", "2026-07-01"))
	admin.choose(`input[name="effect"][value="all"]`)
	admin.click("main form button.main")
	require.Contains(t, admin.text(), "End at once: 1 key")
	require.Contains(t, admin.text(), key.ID)
	require.Equal(t, http.StatusOK, h.logIn(key.ID, secret.Reveal()), "a preview changes nothing")
	admin.click("main form button.risky")
	require.Contains(t, admin.textOf(".note.good"), "saved")
	require.Equal(t, http.StatusUnauthorized, h.logIn(key.ID, secret.Reveal()))
	admin.open(h.page("/settings/violations"))
	require.Contains(t, admin.text(), key.ID)

	owner.open(h.page("/workspaces/shop/keys"))
	require.Contains(t, owner.text(), "1 of 1 key")
	require.Contains(t, owner.text(), "has reached its limit of keys")
	owner.open(h.page("/workspaces/shop/keys/new"))
	owner.fill("#f-name", "one too many")
	owner.choose(`input[value="project.list"]`)
	owner.click("main form button.main")
	require.EqualValues(t, http.StatusForbidden, owner.lastStatus())
	require.Contains(t, owner.textOf("#problems"), "at most 1 key")
}

func TestWithoutTheRight(t *testing.T) {
	h := newHost(t)
	key, _ := h.made("olga", "shop", "ci", "project.list", apikey.Expiry{})
	other := newWindow(t, h, "bert")
	for _, path := range []string{"/workspaces/shop/keys", "/keys/" + key.ID, "/keys/" + key.ID + "/rotate"} {
		other.open(h.page("%s", path))
		require.EqualValues(t, http.StatusNotFound, other.lastStatus(), path)
	}
	manager := newWindow(t, h, "max")
	manager.open(h.page("/settings"))
	require.EqualValues(t, http.StatusForbidden, manager.lastStatus())
	manager.open(h.page("/workspaces/shop/keys/new"))
	require.False(t, eval[bool](manager, `document.body.textContent.includes("admin.project.list")`))
	// The manager changes the form so that it sends the permission anyway.
	manager.fill("#f-name", "sly")
	eval[bool](manager, `document.querySelector("input[value='project.list']").value = "admin.project.list", true`)
	manager.choose(`input[value="admin.project.list"]`)
	manager.click("main form button.main")
	require.EqualValues(t, http.StatusForbidden, manager.lastStatus())
	require.Contains(t, manager.textOf("#problems"), "admin.project.list")
}

func TestSignOut(t *testing.T) {
	w := newWindow(t, newHost(t), "olga")
	require.Contains(t, w.textOf(".person"), "Olga Owner")
	w.click(".who button")
	require.Contains(t, w.textOf("h1"), "Sign in")
	w.open(w.host.page("/workspaces/shop/keys"))
	require.Contains(t, w.textOf("h1"), "Sign in", "B16 the session has ended")
	w.click(`button[value="bert"]`)
	require.Contains(t, w.textOf(".person"), "Bert")
	require.EqualValues(t, http.StatusNotFound, w.lastStatus(), "the sign-in leads back to a page that Bert may not see")
	w.click(".empty .button")
	require.EqualValues(t, http.StatusOK, w.lastStatus())
}

func TestNamesStayText(t *testing.T) {
	h := newHost(t)
	w := newWindow(t, h, "olga")
	for _, name := range hostile {
		key, _ := h.made("olga", "shop", name, "project.list", apikey.Expiry{})
		for _, path := range []string{"/workspaces/shop/keys", "/keys/" + key.ID, "/keys/" + key.ID + "/change", "/keys/" + key.ID + "/delete"} {
			w.open(h.page("%s", path))
			require.NotEqual(t, "owned", ask(w, chromedp.Title()))
			require.True(t, eval[bool](w, `[...document.querySelectorAll("bdi")].some((b) => b.textContent === `+quoted(name)+`)`), "%s on %s", name, path)
			require.LessOrEqual(t, eval[int](w, "document.documentElement.scrollWidth"), 1280, "%s makes %s too wide", name, path)
		}
	}
}

// quoted returns a JavaScript string literal.
func quoted(text string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`", "$", "\\$").Replace(text) + "`"
}
