package console_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// axeRun checks the page and returns the serious problems as text.
const axeRun = `axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations
	.filter((v) => v.impact === "serious" || v.impact === "critical")
	.map((v) => v.id + ": " + v.nodes.map((n) => n.target.join(" ")).join(", ")))`

// TestAccessibility checks every page with axe-core, on a desktop and on a phone, light and
// dark. LATCHKEY_AXE is the path of axe.min.js.
func TestAccessibility(t *testing.T) {
	file := os.Getenv("LATCHKEY_AXE")
	if file == "" {
		t.Skip("LATCHKEY_AXE names no axe.min.js; the script run does")
	}
	axe, err := os.ReadFile(file) //nolint:gosec // named by who runs the tests
	require.NoError(t, err)
	h := newHost(t)
	all := sights(h)
	windows := map[string]*window{}
	for _, s := range all {
		w := windows[s.person]
		if w == nil {
			w = newWindow(t, h, s.person)
			windows[s.person] = w
		}
		w.look("light", 1280)
		w.open(h.page("%s", s.path))
		if s.act != nil {
			s.act(w)
		}
		ask(w, chromedp.Evaluate[chromedp.Void](string(axe)))
		for _, view := range views {
			w.look(view.scheme, view.width)
			found, err := json.MarshalIndent(eval[[]string](w, axeRun), "", "  ")
			require.NoError(t, err)
			require.JSONEq(t, "[]", string(found), "%s, %s", s.name, view.name)
			require.LessOrEqual(t, eval[int64](w, "document.documentElement.scrollWidth"), view.width, "%s, %s is wider than its window", s.name, view.name)
		}
	}
	t.Run("axe-core finds a problem", func(t *testing.T) {
		w := windows["olga"]
		w.open(h.page("/workspaces/shop/keys"))
		ask(w, chromedp.Evaluate[chromedp.Void](string(axe)))
		eval[bool](w, `document.querySelector("label[for=text]").remove(), document.querySelector("#text").placeholder = "", true`)
		require.Contains(t, eval[[]string](w, axeRun), "label: #text")
	})
}
