package console_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// betweenPresses is the time between two quick presses of a person. latency is the time that
// each call of a slow store takes.
const (
	betweenPresses = 120 * time.Millisecond
	latency        = 100 * time.Millisecond
)

// pressTwice is a script that presses the button of a form twice. The name of the window,
// which the next page has as well, gets one x for each time that the form is sent.
const pressTwice = `(() => { const button = document.querySelector("main form button.main");
	window.name = "";
	addEventListener("submit", (event) => { if (!event.defaultPrevented) window.name += "x"; });
	button.click();
	setTimeout(() => button.click(), 120); return true; })()`

// TestPressedTwice presses the button of a form that gives a secret twice. With JavaScript
// the second press does nothing, and the page with the secret is shown. Without JavaScript
// the browser drops the first answer. Then the second answer shows a secret, or has a button
// that replaces the lost one.
func TestPressedTwice(t *testing.T) {
	h := newHost(t)
	key, used := h.made("olga", "shop", "rotated", "project.list", apikey.Expiry{})
	require.Equal(t, http.StatusOK, h.logIn(key.ID, used.Reveal()))
	w := newWindow(t, h, "olga")
	h.slow.Store(int64(latency))
	for _, form := range []string{"/workspaces/shop/keys/new", "/keys/" + key.ID + "/rotate"} {
		fill := func(name string) {
			w.open(h.page("%s", form))
			if strings.HasSuffix(form, "/new") {
				w.fill("#f-name", name)
				w.choose(`input[value="project.list"]`)
			}
		}
		// works checks that the secret on the page can log in.
		works := func() {
			t.Helper()
			require.Equal(t, http.StatusOK, h.logIn(w.textOf("#key-id"), w.textOf("#secret")))
		}
		t.Run("B37 with JavaScript: "+form, func(t *testing.T) {
			for range 3 {
				w.setScript(true)
				fill("pressed twice")
				eval[bool](w, "window.left = true")
				eval[bool](w, pressTwice)
				require.Eventually(t, func() bool { return w.holds(`document.getElementById("secret") !== null`) }, stepTimeout, stepTimeout/1000)
				require.Equal(t, "x", eval[string](w, "window.name"), "the second press sends nothing")
				works()
			}
		})
		t.Run("B37 without: "+form, func(t *testing.T) {
			for range 3 {
				w.setScript(false)
				fill("pressed twice")
				w.steps(chromedp.Click("main form button.main"))
				time.Sleep(betweenPresses)
				// The first answer may be here already.
				w.holds(`document.querySelector("main form button.main")?.click(), true`)
				require.Eventually(t, func() bool {
					return w.holds(`document.readyState === "complete" && (document.getElementById("secret") !== null || document.querySelector("input[name=replaces]") !== null)`)
				}, stepTimeout, stepTimeout/1000)
				if w.holds(`document.getElementById("secret") === null`) {
					require.Contains(t, w.text(), "This form was already sent and carried out.")
					w.click("main form button.main")
				}
				works()
			}
		})
	}
	h.slow.Store(0)
	w.setScript(true)
	page, err := h.srv.APIKeys().List(t.Context(), people["olga"].Actor, store.KeyQuery{Workspace: "shop", Text: "pressed twice"})
	require.NoError(t, err)
	require.Len(t, page.Keys, 6, "one for each form")
	now, err := h.srv.APIKeys().Get(t.Context(), people["olga"].Actor, key.ID)
	require.NoError(t, err)
	require.Len(t, now.Credentials, 7, "one for each form, and the first one")
}
