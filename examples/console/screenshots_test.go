package console_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

var screenshots = flag.String("screenshots", "", "folder for the screenshots of every page")

// pageState is a page in a state to look at.
type pageState struct {
	name, person, path string
	// act runs actions on the page before the screenshot.
	act func(*window)
}

// pageStates adds data to a host, and returns all of its pages.
func pageStates(h *host) []pageState {
	ci := h.addData()
	first, _ := h.made("bert", "blog", hostile[0], "project.list", shortExpiry)
	for _, name := range hostile[1:] {
		h.made("bert", "blog", name, "project.list project.save project.delete", shortExpiry)
	}
	robot, _, err := h.srv.APIKeys().Create(h.t.Context(), people["olga"].Actor, apikey.Spec{Workspace: "shop", Name: "deploy robot", Permissions: scope.MustParse("project.list"), Expiry: shortExpiry, NoSecret: true})
	require.NoError(h.t, err)
	bare := "/keys/" + robot.ID
	own := h.added(ci.ID, "build host", apikey.CredentialSpec{PublicKey: &store.PublicKey{JWK: publicJWK, EndpointAudience: true, LongAssertions: true}})
	github := h.added(ci.ID, "release workflow", trusting("github", "repository_id", "123456789", "environment", "production"))
	gitlab := h.added(ci.ID, "pipeline", trusting("gitlab", "project_id", "42", "ref_path", "refs/tags/*"))
	cluster := h.added(ci.ID, "shop pods", trusting("cluster", "sub", "system:serviceaccount:shop:"+strings.Repeat("robot", 12)))
	key := "/keys/" + ci.ID
	fill := func(w *window) {
		w.fill("#f-name", "release robot")
		w.choose(`input[value="project.list"]`)
		w.choose(`input[value="project.save"]`)
	}
	send := func(w *window) { w.click("main form button.main") }
	return []pageState{
		{"sign-in", "ada", "/sign-in", nil},
		{"home", "ada", "/", nil},
		{"empty", "ada", "/workspaces/nothing-yet/keys", nil},
		{"keys", "olga", "/workspaces/shop/keys", nil},
		{"found-nothing", "olga", "/workspaces/shop/keys?text=zzz", nil},
		{"create", "olga", "/workspaces/shop/keys/new", fill},
		{"create-admin", "ada", "/workspaces/shop/keys/new", nil},
		{"create-problems", "olga", "/workspaces/shop/keys/new", send},
		{"created", "olga", "/workspaces/shop/keys/new", func(w *window) { fill(w); send(w) }},
		{"created-again", "olga", "/workspaces/shop/keys/new", func(w *window) { fill(w); send(w); w.navigate(chromedp.Reload()) }},
		{"create-by-link", "olga", "/workspaces/shop/keys/new?name=ci&permissions=project.list+project.fly&expires_at=2026-06-01", nil},
		{"key", "olga", key, nil},
		{"key-disabled", "olga", "/keys/" + h.named("old importer").ID, nil},
		{"key-expiring", "ada", "/keys/" + h.named("directory sync").ID, nil},
		{"keys-hostile", "bert", "/workspaces/blog/keys", nil},
		{"key-hostile", "bert", "/keys/" + first.ID, nil},
		{"key-without-credential", "olga", bare, nil},
		{"public-key", "olga", bare + "/public-keys/new", func(w *window) { w.choose("main details summary") }},
		{"public-key-problems", "olga", bare + "/public-keys/new", send},
		{"issuers", "olga", bare, func(w *window) { w.choose("section[aria-labelledby=h-trusts] summary") }},
		{"trust", "olga", bare + "/trusts/new/github", nil},
		{"trust-problems", "olga", bare + "/trusts/new/github", func(w *window) { w.fill("#f-name", "x"); w.fill("#f-claim_repository", "acme/shop"); send(w) }},
		{"log-in-public-key", "olga", key + "/credentials/" + own, nil},
		{"log-in-github", "olga", key + "/credentials/" + github, nil},
		{"log-in-gitlab", "olga", key + "/credentials/" + gitlab, nil},
		{"log-in-kubernetes", "olga", key + "/credentials/" + cluster, nil},
		{"retire-public-key", "olga", key + "/retire/" + own, nil},
		{"retire-trust", "olga", key + "/retire/" + github, nil},
		{"change", "olga", key + "/change", nil},
		{"rotate", "olga", key + "/rotate", nil},
		{"rotated", "olga", key + "/rotate", send},
		{"retire", "olga", key + "/retire/" + ci.Credentials[0].ID, nil},
		{"disable", "olga", key + "/disable", nil},
		{"delete", "olga", key + "/delete", func(w *window) { w.click("main form button.risky") }},
		{"find", "olga", "/find-secret", nil},
		{"find-problem", "bert", "/find-secret", send},
		{"found", "olga", key + "?found=" + ci.Credentials[0].ID, nil},
		{"found-admin", "ada", key + "?found=" + ci.Credentials[0].ID, nil},
		{"events", "olga", "/workspaces/shop/events", nil},
		{"settings", "ada", "/settings", nil},
		{"settings-preview", "ada", "/settings", func(w *window) {
			w.fill("#f-max_lifetime", "30")
			w.choose(`input[value="all"]`)
			w.fill("#f-enforced_at", "2026-07-01")
			send(w)
		}},
		{"settings-off", "ada", "/settings", func(w *window) { w.choose(`input[name="keys"][value="off"]`); send(w) }},
		{"workspaces", "ada", "/settings/workspaces", nil},
		{"workspace", "ada", "/settings/workspaces/shop", nil},
		{"suspend", "ada", "/settings/workspaces/shop/suspend", nil},
		{"all-keys", "ada", "/settings/keys", nil},
		{"violations", "ada", "/settings/violations", nil},
		{"event-log", "ada", "/settings/events", nil},
		{"not-found", "bert", "/workspaces/shop/keys", nil},
	}
}

// screens are the color schemes and widths of the screenshots.
var screens = []struct {
	name, scheme string
	width        int64
}{{"desktop-light", "light", 1280}, {"desktop-dark", "dark", 1280}, {"phone-light", "light", 390}, {"phone-dark", "dark", 390}}

// TestScreenshots writes a screenshot of every page, on a desktop and on a phone, light and
// dark.
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("-screenshots names no folder: use examples/console/run -screenshots DIR")
	}
	require.NoError(t, os.MkdirAll(*screenshots, 0o750))
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
		for _, screen := range screens {
			w.setView(screen.scheme, screen.width)
			picture := ask(w, chromedp.FullScreenshot(100))
			require.NoError(t, os.WriteFile(filepath.Join(*screenshots, s.name+"-"+screen.name+".png"), picture, 0o600))
		}
	}
}
