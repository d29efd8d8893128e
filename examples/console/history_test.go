package console_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// goHistory goes back (-1) or forward (1) in the history. A page from the browser's cache does
// not load again, so there may be no load to wait for.
func (w *window) goHistory(by int64) {
	w.t.Helper()
	history := func() (page.GetNavigationHistoryResult, error) {
		ctx, end := context.WithTimeout(w.ctx, stepTimeout)
		defer end()
		return chromedp.Run(ctx, chromedp.NavigationEntries())
	}
	before, err := history()
	require.NoError(w.t, err)
	want := before.CurrentIndex + by
	w.steps(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: before.Entries[want].ID})
		return chromedp.Void{}, err
	})
	require.Eventually(w.t, func() bool {
		now, err := history()
		if err != nil || now.CurrentIndex != want {
			return false
		}
		ctx, end := context.WithTimeout(w.ctx, stepTimeout)
		defer end()
		state, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.readyState"))
		return err == nil && state == "complete"
	}, stepTimeout, stepTimeout/600)
}

// setScript switches the page's own JavaScript on or off.
func (w *window) setScript(on bool) {
	w.t.Helper()
	w.steps(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
		return chromedp.Void{}, err
	})
}

// source returns the whole page, with its invisible parts.
func (w *window) source() string {
	w.t.Helper()
	return eval[string](w, "document.documentElement.outerHTML")
}

// TestBackAfterSignOut: after signing out, the back button leads to the sign-in page and not
// to an earlier page.
func TestBackAfterSignOut(t *testing.T) {
	h := newHost(t)
	key, _ := h.made("olga", "shop", "the shop's own", "project.list", apikey.Expiry{})
	w := newWindow(t, h, "olga")
	for _, script := range []bool{true, false} {
		w.setScript(script)
		w.open(h.page("/workspaces/shop/keys"))
		w.open(h.page("/keys/%s", key.ID))
		require.Contains(t, w.source(), "the shop's own", "a page with keys was seen")
		w.click(".who button")
		for range 2 {
			w.goHistory(-1)
			require.NotContains(t, w.source(), key.ID)
			require.Contains(t, w.textOf("h1"), "Sign in")
		}
		w.click(`button[value="olga"]`)
	}
}

func TestBackAndForward(t *testing.T) {
	s := &tamperingProxy{}
	inner := newHost(t)
	h := behindTampering(t, inner, s)
	key, _ := inner.made("olga", "shop", "ci", "project.list", apikey.Expiry{})
	w := newWindow(t, h, "olga")

	t.Run("this browser caches pages that are left", func(t *testing.T) {
		w.open(h.url + "/plain")
		eval[bool](w, "window.kept = true")
		w.open(h.page("/workspaces/shop/keys"))
		w.goHistory(-1)
		require.True(t, eval[bool](w, "window.kept === true"))
	})

	// made creates a secret and leaves its page.
	made := func(path string) (secret string) {
		w.open(h.page("%s", path))
		if strings.HasSuffix(path, "/new") {
			w.fill("#f-name", "release robot")
			w.choose(`input[value="project.save"]`)
		}
		w.click("main form button.main")
		secret = w.textOf("#secret")
		require.True(t, strings.HasPrefix(secret, "lk_"))
		eval[bool](w, "window.kept = true")
		w.click("main .actions .button")
		return secret
	}
	for _, test := range []struct {
		name, path, done string
		script           bool
	}{
		{"B23 created, with JavaScript", "/workspaces/shop/keys/new", "Already created", true},
		{"B23 created, without", "/workspaces/shop/keys/new", "Already created", false},
		{"B23 rotated, with JavaScript", "/keys/" + key.ID + "/rotate", "Already rotated", true},
		{"B23 rotated, without", "/keys/" + key.ID + "/rotate", "Already rotated", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.setScript(test.script)
			secret := made(test.path)
			w.goHistory(-1) // to the page of the secret
			require.False(t, eval[bool](w, "window.kept === true"), "the page of a secret is not kept")
			require.NotContains(t, w.source(), secret)
			w.goHistory(-1) // to the form
			require.Contains(t, w.text(), test.done)
			require.NotContains(t, w.source(), secret)
			w.goHistory(1)
			require.NotContains(t, w.source(), secret)
			// A person who reloads is asked whether to send the form again. Here it is sent.
			w.navigate(chromedp.Reload())
			require.EqualValues(t, http.StatusConflict, w.lastStatus())
			require.Contains(t, w.text(), test.done)
			require.NotContains(t, w.source(), secret)
			w.goHistory(1)
			require.NotContains(t, w.source(), secret)
		})
	}
	t.Run("without the header the browser shows the secret", func(t *testing.T) {
		w.setScript(true)
		s.set(tampering{without: []string{"Cache-Control"}})
		secret := made("/workspaces/shop/keys/new")
		w.goHistory(-1)
		require.Contains(t, w.source(), secret)
		s.set(tampering{})
	})
	page, err := h.srv.APIKeys().List(t.Context(), people["olga"].Actor, store.KeyQuery{Workspace: "shop"})
	require.NoError(t, err)
	require.Len(t, page.Keys, 4, "one for each time that the form was sent first")
	now, err := h.srv.APIKeys().Get(t.Context(), people["olga"].Actor, key.ID)
	require.NoError(t, err)
	require.Len(t, now.Credentials, 3)
}
