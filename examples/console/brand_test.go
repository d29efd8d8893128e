package console_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/admin/console"
)

// TestBrand looks at the pages of a product: its colours in both schemes, its logo and
// the titles of its workspaces. A script in the logo does not run.
func TestBrand(t *testing.T) {
	const ran = "document.documentElement.setAttribute('data-ran', '1')"
	h := newHost(t, func(_ *oauth.Config, c *console.Config) {
		c.Brand = console.Brand{
			Name: "Acme Cloud", Home: "/app", Accent: "#7a1fa2", AccentDark: "#d7a3ea",
			Logo: []byte(`<svg xmlns="http://www.w3.org/2000/svg" width="96" height="24" onload="` + ran + `"><script>` + ran + `</script><rect width="96" height="24" style="fill:#7a1fa2"/></svg>`),
		}
		c.Titles = func(context.Context, []string) (map[string]string, error) {
			return map[string]string{"shop": "The shop"}, nil
		}
	})
	w := newWindow(t, h, "olga")
	w.setView("light", 1280)
	w.open(h.page("/workspaces/shop/keys"))
	require.Contains(t, w.textOf(".top"), "The shop")
	require.Contains(t, w.textOf(".top"), "Back to Acme Cloud")
	require.True(t, w.holds(`document.querySelector(".home").href.endsWith("/app")`))
	require.True(t, w.holds(`document.querySelector(".brand img").naturalWidth === 96 && document.querySelector(".brand img").offsetHeight === 24`), "the logo is shown, in its own proportions")
	const colour = `getComputedStyle(document.querySelector(".button.main")).backgroundColor`
	require.Equal(t, "rgb(122, 31, 162)", eval[string](w, colour))
	w.setView("dark", 390)
	require.Equal(t, "rgb(215, 163, 234)", eval[string](w, colour))
	require.LessOrEqual(t, eval[int64](w, "document.documentElement.scrollWidth"), int64(390), "it fits a phone")
	eval[bool](w, `document.querySelector(".brand").lastChild.data = " " + "W".repeat(64), document.querySelector(".home").textContent = "Back to " + "W".repeat(64), true`)
	require.LessOrEqual(t, eval[int64](w, "document.documentElement.scrollWidth"), int64(390), "and so does the longest name")

	w.open(h.page("/icon"))
	require.True(t, w.holds(`document.documentElement.tagName === "svg"`), "the logo as a page")
	require.False(t, w.holds(`document.documentElement.hasAttribute("data-ran")`), "B16 no script in it runs")
	w.clear()
}
