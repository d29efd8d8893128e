package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// history returns what the browser keeps of the pages that were visited: their addresses, and
// the page's own entry.
func (w *window) history() string {
	w.t.Helper()
	entries := ask(w, chromedp.NavigationEntries())
	var kept strings.Builder
	for _, entry := range entries.Entries {
		kept.WriteString(entry.URL + " " + entry.UserTypedURL + " " + entry.Title + "\n")
	}
	return kept.String() + eval[string](w, "JSON.stringify(history.state) + location.href")
}

func TestWhoseSecret(t *testing.T) {
	t.Run("with JavaScript", func(t *testing.T) { whoseSecret(t, true) })
	t.Run("without", func(t *testing.T) { whoseSecret(t, false) })
}

func whoseSecret(t *testing.T, script bool) {
	t.Helper()
	h := newHost(t)
	key, secret := h.made("olga", "shop", "ci of the shop", "project.list", apikey.Expiry{})
	text := secret.Reveal()
	require.Equal(t, http.StatusOK, h.logIn(key.ID, text))
	require.NoError(t, h.srv.APIKeys().Flush(t.Context()))
	w := newWindow(t, h, "olga")
	w.setScript(script)
	w.click(`.tabs a[href$="find-secret"]`)
	require.Equal(t, "Whose secret is this?", w.textOf("h1"))

	w.fill("#f-secret", text[:20])
	w.click("main form button.main")
	require.EqualValues(t, http.StatusUnprocessableEntity, w.lastStatus())
	require.Contains(t, w.textOf("#problems"), "does not have the form of a secret")
	require.NotContains(t, w.source(), text[:20], "B23 it is not shown again")

	w.fill("#f-secret", text)
	if script {
		require.Empty(t, eval[string](w, `dispatchEvent(new PageTransitionEvent("pagehide", {persisted: true})), document.querySelector("#f-secret").value`), "B23 in the back/forward cache")
		w.fill("#f-secret", text)
	}
	w.click("main form button.main")
	require.Equal(t, "ci of the shop", w.textOf("h1"))
	require.Contains(t, w.textOf("#found"), "This key has the secret that you searched for")
	shown := w.textOf("body")
	for _, part := range []string{key.ID, "shop", "active", "1 Jul 2026, 12:00 UTC", "Rotate", "Retire"} {
		require.Contains(t, shown, part)
	}
	require.NotContains(t, w.source(), text)
	require.NotContains(t, w.history(), text, "B10")
	w.navigate(chromedp.Reload())
	require.Contains(t, w.textOf("#found"), "This key has the secret", "reload sends no form again")

	t.Run("B23 back leads to an empty form", func(t *testing.T) {
		for range 2 {
			w.goHistory(-1)
			require.NotContains(t, w.source(), text)
			require.Empty(t, eval[string](w, `document.querySelector("#f-secret")?.value ?? ""`))
			require.NotContains(t, w.history(), text)
		}
	})
	w.open(h.page("/keys/%s?found=%s", key.ID, key.Credentials[0].ID))
	w.click(`#found a[href$="/retire/` + key.Credentials[0].ID + `"]`)
	w.click("main form button")
	require.Equal(t, http.StatusUnauthorized, h.logIn(key.ID, text))

	other := newWindow(t, h, "bert")
	_, foreign := h.made("olga", "shop", "backup", "project.list", apikey.Expiry{})
	other.open(h.page("/find-secret"))
	other.fill("#f-secret", foreign.Reveal())
	other.click("main form button.main")
	require.EqualValues(t, http.StatusNotFound, other.lastStatus(), "B20")
	require.Contains(t, other.textOf("#problems"), "No key that you may see has this secret.")
}

// TestDirectUse: a person allows direct use, and an administrator forbids it.
func TestDirectUse(t *testing.T) {
	h := newHost(t)
	owner, admin := newWindow(t, h, "olga"), newWindow(t, h, "ada")
	owner.open(h.page("/workspaces/shop/keys/new"))
	owner.fill("#f-name", "webhook")
	owner.choose(`input[value="project.list"]`)
	require.Contains(t, owner.textOf("#f-direct"), "travels with every request")
	owner.choose(`input[name="direct"]`)
	owner.click("main form button.main")
	require.EqualValues(t, http.StatusCreated, owner.lastStatus())
	owner.click("main .actions .button")
	require.Contains(t, owner.textOf(".facts"), "Allowed")

	admin.open(h.page("/settings"))
	admin.choose(`input[name="direct"][value="off"]`)
	admin.fill("#f-key_requests", "60")
	admin.choose(`input[name="key_limit"][value="own"]`)
	admin.click("main form button.main")
	require.Contains(t, admin.text(), "Direct use stops at once.")
	require.Contains(t, admin.text(), "at most 60 requests a minute by one key")
	admin.click("main form button.risky")
	require.Contains(t, admin.textOf(".note.good"), "saved")

	owner.navigate(chromedp.Reload())
	require.Contains(t, owner.textOf(".facts"), "has switched direct use off")
	owner.open(h.page("/workspaces/shop/keys/new"))
	require.Contains(t, owner.textOf("#f-direct"), "An administrator has switched off")
	require.False(t, eval[bool](owner, `document.querySelector("input[name=direct]") !== null`))
	key := h.named("webhook")
	require.True(t, key.Direct)
}
