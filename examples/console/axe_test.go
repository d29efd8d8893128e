package console_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// axeRun is a script that checks the page and returns its serious problems as text.
const axeRun = `axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations
	.filter((v) => v.impact === "serious" || v.impact === "critical")
	.map((v) => v.id + ": " + v.nodes.map((n) => n.target.join(" ")).join(", ")))`

// TestAccessibility checks every page with axe-core, on a desktop and on a phone, light and
// dark. LATCHKEY_AXE is the path of axe.min.js.
func TestAccessibility(t *testing.T) {
	file := os.Getenv("LATCHKEY_AXE")
	if file == "" {
		t.Skip("LATCHKEY_AXE is not set to the path of axe.min.js; examples/console/run sets it")
	}
	axe, err := os.ReadFile(file) //nolint:gosec // the person who runs the tests names it
	require.NoError(t, err)
	h := newHost(t)
	all := pageStates(h)
	windows := map[string]*window{}
	for _, s := range all {
		w := windows[s.person]
		if w == nil {
			w = newWindow(t, h, s.person)
			windows[s.person] = w
		}
		w.setView("light", 1280)
		w.open(h.page("%s", s.path))
		if s.act != nil {
			s.act(w)
		}
		ask(w, chromedp.Evaluate[chromedp.Void](string(axe)))
		for _, screen := range screens {
			w.setView(screen.scheme, screen.width)
			found, err := json.MarshalIndent(eval[[]string](w, axeRun), "", "  ")
			require.NoError(t, err)
			require.JSONEq(t, "[]", string(found), "%s, %s", s.name, screen.name)
			require.LessOrEqual(t, eval[int64](w, "document.documentElement.scrollWidth"), screen.width, "%s, %s is wider than its window", s.name, screen.name)
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
