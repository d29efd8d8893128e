package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
)

// large has a catalog of 128 permissions, each with a title and a description.
func large(cfg *oauth.Config, _ *console.Config) {
	var groups []scope.Group
	for i := range 16 {
		group := scope.Group{Title: fmt.Sprintf("Area %d of the product", i)}
		for j := range 8 {
			group.Permissions = append(group.Permissions, scope.Permission{
				Name: fmt.Sprintf("area%d.thing%d.save", i, j), Title: fmt.Sprintf("Create and change things of kind %d", j),
				Description: "Make new things, rename them, and move them to another place.",
			})
		}
		groups = append(groups, group)
	}
	cfg.Permissions = scope.MustCatalog(groups...)
}

// TestManyPermissions: a phone shows the form of a new key with 128 permissions, and the
// pages of a key that has them, on less than 4,000 pixels, with and without JavaScript.
func TestManyPermissions(t *testing.T) {
	h := newHost(t, large)
	w := newWindow(t, h, "olga")
	for _, script := range []bool{true, false} {
		t.Run(fmt.Sprintf("with JavaScript: %v", script), func(t *testing.T) {
			w.setScript(script)
			w.setView("light", 390)
			w.open(h.page("/workspaces/shop/keys/new"))
			require.Equal(t, 128, eval[int](w, `document.querySelectorAll("[name=permissions]").length`))
			require.Less(t, eval[int](w, "document.documentElement.scrollHeight"), 4000)
			require.Contains(t, w.textOf(".group summary"), "8")
			if script {
				w.steps(chromedp.SendKeys("#filter", "area 9 kind 3"))
				w.choose(`input[value="area9.thing3.save"]`)
				require.Contains(t, w.textOf(".group:not([hidden]) summary"), "1 of 8")
			} else {
				w.choose(".group:nth-child(10) summary")
				w.choose(`input[value="area9.thing3.save"]`)
			}
			w.fill("#f-name", fmt.Sprint("script: ", script))
			w.click("main form button.main")
			require.EqualValues(t, http.StatusCreated, w.lastStatus())
			require.Equal(t, "area9.thing3.save", h.named(fmt.Sprint("script: ", script)).Permissions.String())

			key, _ := h.made("olga", "shop", fmt.Sprint("another of ", script), "area3.thing1.save", apikey.Expiry{})
			w.open(h.page("/keys/%s/change", key.ID))
			require.Equal(t, 1, eval[int](w, `document.querySelectorAll(".group[open]").length`), "the group with a chosen one is open")
			every, _ := h.made("olga", "shop", fmt.Sprint("all of ", script), strings.Join(h.srv.APIKeys().Catalog().All().Names(), " "), apikey.Expiry{})
			for _, path := range []string{"/keys/" + every.ID, "/keys/" + every.ID + "/change", "/keys/" + every.ID + "/rotate"} {
				w.open(h.page("%s", path))
				require.Less(t, eval[int](w, "document.documentElement.scrollHeight"), 4500, path)
			}
			w.open(h.page("/keys/%s", every.ID))
			w.choose(".held details:nth-child(10) summary")
			require.Contains(t, w.textOf(".held details[open]"), "area9.thing3.save")
			w.setView("light", 1280)
			w.open(h.page("/workspaces/shop/keys/new"))
			require.Equal(t, script, eval[int](w, `document.querySelectorAll(".group[open]").length`) == 16, "a wide window has a box that scrolls")
		})
	}
}

// TestChosenPermissions lists the chosen permissions, and removes them one by one.
func TestChosenPermissions(t *testing.T) {
	h := newHost(t)
	w := newWindow(t, h, "olga")
	w.open(h.page("/workspaces/shop/keys/new?name=ci&permissions=%s&expires_at=2026-12-31", url.QueryEscape("project.list tenant.list invoice.list")))
	require.Equal(t, "ci", eval[string](w, `document.getElementById("f-name").value`))
	require.Equal(t, "2026-12-31", eval[string](w, `document.getElementById("f-expires_on").value`))
	const chips = `[...document.querySelectorAll(".chip")].map((c) => c.textContent).join()`
	require.Equal(t, "Remove project.list,Remove tenant.list,Remove invoice.list", eval[string](w, chips))
	w.choose(`.chip:nth-child(2)`)
	require.Equal(t, "Remove project.list,Remove invoice.list", eval[string](w, chips))
	require.Equal(t, "Remove invoice.list", eval[string](w, focused), "the next one has the focus")
	w.press(" ")
	require.Equal(t, "Remove project.list", eval[string](w, focused))
	w.choose(`input[value="project.save"]`)
	require.Equal(t, "Remove project.list,Remove project.save", eval[string](w, chips))
	require.Contains(t, w.textOf("[data-chosen]"), "2 chosen")
	w.click("main form button.main")
	require.EqualValues(t, http.StatusCreated, w.lastStatus())
	require.Equal(t, "project.list project.save", h.named("ci").Permissions.String())
}

// TestBackKeepsInput: the back button leads to what was typed, for the same person.
func TestBackKeepsInput(t *testing.T) {
	h := newHost(t)
	key, _ := h.made("olga", "shop", "ci", "project.list", apikey.Expiry{})
	w := newWindow(t, h, "olga")
	for _, path := range []string{"/workspaces/shop/keys/new", "/keys/" + key.ID + "/change"} {
		w.open(h.page("%s", path))
		eval[string](w, `document.getElementById("f-name").value = ""`)
		w.steps(chromedp.SendKeys("#f-name", "half done"))
		w.choose(`input[value="project.save"]`)
		w.choose(`input[value="7d"]`)
		w.click(".crumbs a")
		w.goHistory(-1)
		require.Equal(t, "half done", eval[string](w, `document.getElementById("f-name").value`))
		require.True(t, eval[bool](w, `document.querySelector("[value='project.save']").checked`))
		require.True(t, eval[bool](w, `document.querySelector("[value='7d']").checked`))
		eval[bool](w, `document.getElementById("f-name").focus(), true`)
		require.Contains(t, eval[string](w, `document.querySelector("[data-picked]").textContent`), "project.save")
	}
	w.navigate(keys(kb.Enter)) // chromedp does not find elements of a page from the browser's cache
	require.Equal(t, "half done", h.named("half done").Name)
	require.Equal(t, key.ID, h.named("half done").ID)

	w.open(h.page("/workspaces/shop/keys/new"))
	w.steps(chromedp.SendKeys("#f-name", "of olga"))
	w.press(kb.Tab)
	require.Equal(t, "of olga", eval[string](w, "history.state.kept[0][1]"))
	w.click(".who button")
	w.click(`button[value="max"]`)
	w.goHistory(-2)
	require.Empty(t, eval[string](w, `document.getElementById("f-name").value`), "another person signed in")
}

// TestSessionEnds: after the session has ended, a link leads through the sign-in to its
// page, and a form can be sent from the answer.
func TestSessionEnds(t *testing.T) {
	h := newHost(t)
	key, _ := h.made("olga", "shop", "ci", "project.list", apikey.Expiry{})
	w := newWindow(t, h, "olga")
	w.open(h.page("/workspaces/shop/keys/new"))
	w.steps(chromedp.SendKeys("#f-name", "typed before"))
	w.choose(`input[value="project.save"]`)
	other := newWindowIn(t, w)
	other.open(h.page("/"))
	other.click(".who button")
	w.click("main form button.main")
	require.EqualValues(t, http.StatusUnauthorized, w.lastStatus())
	require.Contains(t, w.text(), "Sign in in another tab")
	other.open(eval[string](w, `document.querySelector(".button.main").href`))
	other.click(`button[value="olga"]`)
	require.Contains(t, other.textOf("h1"), "Create an API key")
	w.click("main form button")
	require.EqualValues(t, http.StatusCreated, w.lastStatus())
	require.Equal(t, "project.save", h.named("typed before").Permissions.String())

	other.click(".who button")
	w.open(h.page("/keys/%s/change", key.ID))
	require.Contains(t, w.textOf("h1"), "Sign in")
	w.click(`button[value="olga"]`)
	require.Contains(t, w.textOf("h1"), "Change ci")
}

// TestSignOutElsewhere: the sign-out may lead to another origin if it is named.
func TestSignOutElsewhere(t *testing.T) {
	other := newOtherOrigin(t)
	for _, named := range []bool{true, false} {
		t.Run(fmt.Sprintf("B16 named: %v", named), func(t *testing.T) {
			s := &tamperingProxy{out: other.url}
			h := behindTampering(t, newHost(t, func(_ *oauth.Config, c *console.Config) {
				if named {
					c.SignOutOrigins = []string{other.url}
				}
			}), s)
			w := newWindow(t, h, "olga")
			other.clear()
			w.steps(chromedp.Click(".who button"))
			if named {
				require.Eventually(t, func() bool { return w.holds(`location.pathname === "/form"`) }, stepTimeout, stepTimeout/1000)
			} else {
				require.Eventually(t, func() bool { return len(w.recorded()) > 0 }, stepTimeout, stepTimeout/1000)
				require.False(t, other.wasAsked("/form"))
			}
			w.clear()
		})
	}
}

// TestSignInElsewhere: after the session has ended, a form that asks for a page, such as a
// filter, may lead to a sign-in of another origin if it is named.
func TestSignInElsewhere(t *testing.T) {
	other := newOtherOrigin(t)
	for _, named := range []bool{true, false} {
		t.Run(fmt.Sprintf("B16 named: %v", named), func(t *testing.T) {
			s := &tamperingProxy{}
			behind := newHost(t, func(_ *oauth.Config, c *console.Config) {
				if named {
					c.SignOutOrigins = []string{other.url}
				}
			})
			behind.made("olga", "shop", "ci", "project.list", apikey.Expiry{})
			h := behindTampering(t, behind, s)
			w := newWindow(t, h, "olga")
			w.open(h.page("/workspaces/shop/keys"))
			tab := newWindowIn(t, w)
			tab.open(h.page("/"))
			tab.click(".who button")
			s.redirectSignIn(other.url)
			other.clear()
			w.steps(chromedp.Click(".filters button"))
			if named {
				require.Eventually(t, func() bool { return w.holds(`location.pathname === "/form"`) }, stepTimeout, stepTimeout/1000)
			} else {
				require.Eventually(t, func() bool { return len(w.recorded()) > 0 }, stepTimeout, stepTimeout/1000)
				require.False(t, other.wasAsked("/form"))
			}
			w.clear()
		})
	}
}
