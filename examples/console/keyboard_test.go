package console_test

import (
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// focused is a script that returns the focused element: its id, or its name and value, or
// its text.
const focused = `(() => { const e = document.activeElement;
	return e.id || (e.name && e.type !== "submit" ? e.name + "=" + e.value : e.textContent.trim().replace(/\s+/g, " ")); })()`

// isVisible is a script that returns whether the focused element is visible.
const isVisible = `(() => { const e = document.activeElement;
	e.scrollIntoView({block: "center"});
	const r = e.getClientRects()[0];
	return e.contains(document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2)); })()`

// keys presses keys as a keyboard does: the page may prevent a key on keydown, and then it is
// not typed.
func keys(text string) chromedp.Action[chromedp.Void] {
	return chromedp.KeyEvent(text, func(p *input.DispatchKeyEventParams) {
		if p.Type == kb.KeyDown {
			p.Type = kb.KeyRawDown
		}
	})
}

func (w *window) press(text string) { w.t.Helper(); w.steps(keys(text)) }

// tabTo presses the tab key until an element has the focus. All elements before it must be
// visible and have a focus outline.
func (w *window) tabTo(wanted string) {
	w.t.Helper()
	var passed []string
	for range 60 {
		w.press(kb.Tab)
		at := eval[string](w, focused)
		require.True(w.t, eval[bool](w, isVisible), "%s has the focus, but is not visible", at)
		require.True(w.t, eval[bool](w, `getComputedStyle(document.activeElement).outlineStyle !== "none"`), "%s has the focus, but no focus outline", at)
		if at == wanted {
			return
		}
		passed = append(passed, at)
	}
	require.Fail(w.t, "the tab key does not lead to the element", "%s: %q", wanted, passed)
}

// enter follows the focused link or presses the focused button.
func (w *window) enter() { w.t.Helper(); w.navigate(keys(kb.Enter)) }

// TestKeyboardAlone creates, rotates and deletes a key without a mouse, on a desktop and on a
// phone.
func TestKeyboardAlone(t *testing.T) {
	for name, width := range map[string]int64{"desktop": 1280, "phone": 390} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			w := newWindow(t, h, "olga")
			w.setView("light", width)
			h.made("olga", "shop", "another", "project.list project.save tenant.list", apikey.Expiry{})
			w.open(h.page("/workspaces/shop/keys"))
			w.tabTo("another")
			w.tabTo("3 permissions")
			w.open(h.page("/workspaces/shop/keys"))
			w.tabTo("Skip to the content")
			w.press(kb.Enter)
			w.tabTo("Create API key")
			w.enter()
			w.tabTo("f-name")
			w.press("robot")
			w.tabTo("filter")
			w.tabTo("permissions=project.list")
			w.press(" ")
			w.tabTo("expires=90d")
			w.press(kb.ArrowUp)
			require.Equal(t, "expires=30d", eval[string](w, focused))
			w.tabTo("Create key")
			w.enter()
			require.EqualValues(t, http.StatusCreated, w.lastStatus())
			id, secret := w.textOf("#key-id"), w.textOf("#secret")
			require.Equal(t, http.StatusOK, h.logIn(id, secret))
			require.Eventually(t, func() bool { return eval[string](w, `document.getElementById("live").textContent`) != "" }, stepTimeout, stepTimeout/600)
			require.Contains(t, eval[string](w, `document.getElementById("live").textContent`), "Its secret is on this page", "it is said aloud")
			w.tabTo("secret")
			w.tabTo("Copy the secret")
			w.press(kb.Enter)
			require.Eventually(t, func() bool { return eval[string](w, clipboard) == secret }, stepTimeout, stepTimeout/600)
			require.Contains(t, eval[string](w, `document.activeElement.textContent`), "Copied")
			require.Equal(t, "Copied.", eval[string](w, `document.getElementById("live").textContent`))
			w.tabTo("I have stored the secret")
			w.enter()

			w.tabTo("Rotate")
			w.enter()
			w.tabTo("grace=24h")
			w.press(kb.ArrowUp)
			w.press(kb.ArrowUp)
			require.Equal(t, "grace=0", eval[string](w, focused))
			w.tabTo("Rotate key")
			w.enter()
			require.Equal(t, http.StatusUnauthorized, h.logIn(id, secret))
			require.Equal(t, http.StatusOK, h.logIn(id, w.textOf("#secret")))
			w.tabTo("I have stored the secret")
			w.enter()

			w.tabTo("Delete")
			w.enter()
			w.tabTo("f-name")
			w.press("robo")
			w.enter()
			require.Equal(t, "problems", eval[string](w, focused), "the problem is read first")
			w.tabTo("Name: Type the key's name exactly as it is shown.")
			w.press(kb.Enter)
			require.Equal(t, "f-name", eval[string](w, focused), "and leads to its field")
			w.press(kb.End + "t")
			w.tabTo("Delete this key")
			w.enter()
			require.Contains(t, w.textOf(".note.good"), "The key was deleted")
			require.Eventually(t, func() bool {
				return eval[string](w, `document.getElementById("live").textContent`) == "The key was deleted."
			}, stepTimeout, stepTimeout/600)
		})
	}
}
