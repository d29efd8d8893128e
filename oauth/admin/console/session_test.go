package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

func tappedWhile(st store.Store, down *bool) store.Store {
	return harness.Tapped(st, harness.While(down, store.ErrUnavailable))
}

func signingIn(_ *store.Store, _ *apikey.Config, c *console.Config) {
	c.SignIn = "/sign-in?next={return}&x=1"
}

// TestReturnAddress: the sign-in gets the address of the page, with the prefix under which
// this server has it.
func TestReturnAddress(t *testing.T) {
	r := newRig(t, signingIn)
	for page, want := range map[string]string{
		"/workspaces/team-a/keys?text=a%26b&state=": prefix + "/workspaces/team-a/keys?text=a%26b&state=",
		"/":                          prefix + "/",
		"/workspaces/a%2Fb%20c/keys": prefix + "/workspaces/a%2Fb%20c/keys",
	} {
		got := r.get("nobody", page)
		require.Equal(t, http.StatusSeeOther, got.StatusCode)
		to, err := url.Parse(got.Header.Get("Location"))
		require.NoError(t, err)
		require.Equal(t, "/sign-in", to.Path)
		require.Equal(t, url.Values{"next": {want}, "x": {"1"}}, to.Query())
	}
}

// TestReturnAddressIsAPath: whatever a link to the console looks like, the return address
// is a path of this host.
func TestReturnAddressIsAPath(t *testing.T) {
	var pages *console.Console
	newQuietRig(t, signingIn, func(st *store.Store, keys *apikey.Config, cfg *console.Config) {
		service, err := apikey.New(*st, *keys)
		require.NoError(t, err)
		pages, err = console.New(service, *cfg)
		require.NoError(t, err)
	})
	for _, target := range []string{
		"//evil.example/keys", "///evil.example", "/\\evil.example", "/%5Cevil.example", "/%2Fevil.example", "http://evil.example/settings",
		"https://evil.example", "//evil.example/%2e%2e", "/.//evil.example", "/settings?x=//evil.example", "/settings?next=https://evil.example#f", "*",
	} {
		t.Run("B16 "+target, func(t *testing.T) {
			req := httptest.NewRequest(http.MethodGet, "/settings", nil)
			req.RequestURI = target
			if at, err := url.ParseRequestURI(target); err == nil {
				req.URL = at
			}
			got := httptest.NewRecorder()
			pages.Refuse(got, req, &answer.Refusal{Kind: answer.Unauthorized})
			require.Equal(t, http.StatusSeeOther, got.Code)
			to, err := url.Parse(got.Header().Get("Location"))
			require.NoError(t, err)
			require.Equal(t, "/sign-in", to.Path)
			require.Empty(t, to.Host)
			back := to.Query().Get("next")
			host, err := url.Parse("https://console.example/sign-in")
			require.NoError(t, err)
			landed, err := host.Parse(strings.ReplaceAll(back, `\`, "/")) // as browsers read it
			require.NoError(t, err)
			require.Equal(t, "console.example", landed.Host, back)
			require.True(t, strings.HasPrefix(back, "/"))
		})
	}
}

// TestSessionLostOnSubmit: the form can be sent again after the sign-in, with what was
// typed, by the same person only.
func TestSessionLostOnSubmit(t *testing.T) {
	r := newRig(t, signingIn)
	form := r.form("olga", newPage, "name", `"><script>`, "permissions", "project.list", "expires", "30d")
	got := r.post("nobody", newPage+"?form="+form.Get("form"), form)
	require.Equal(t, http.StatusUnauthorized, got.StatusCode)
	require.Contains(t, got.Body, "Sign in in another tab, then send the form again here.")
	require.Contains(t, got.Body, `<a class="button main" href="/sign-in?next=`+url.QueryEscape(prefix+newPage+"?form="+form.Get("form"))+`&amp;x=1" target="_blank" rel="noopener">`)
	require.NotContains(t, got.Body, "<script>")
	require.Equal(t, form, got.fields())
	require.Zero(t, r.count("team-a"))

	require.Equal(t, http.StatusForbidden, r.post("max", newPage, got.fields()).StatusCode, "B16 another person signed in")
	require.Equal(t, http.StatusCreated, r.post("olga", newPage, got.fields()).StatusCode)
	require.Equal(t, `"><script>`, r.only().Name)

	t.Run("a button of the key's page", func(t *testing.T) {
		key := r.only()
		got := r.post("nobody", "/keys/"+key.ID+"/enable", url.Values{"form": {"x"}, "version": {"1"}})
		require.Contains(t, got.Body, url.QueryEscape(prefix+"/keys/"+key.ID)+`&amp;x=1"`, "the page, and not the address of its form")
	})
	t.Run("a form of another origin is not shown", func(t *testing.T) {
		got := r.send("nobody", http.MethodPost, newPage, form.Encode(), "Sec-Fetch-Site", "cross-site")
		require.Equal(t, http.StatusForbidden, got.StatusCode)
		require.Empty(t, got.fields())
	})
	t.Run("a form that is too large for a person who is not known is not shown", func(t *testing.T) {
		form.Set("name", strings.Repeat("n", 64<<10))
		got := r.post("nobody", newPage, form)
		require.Equal(t, http.StatusUnauthorized, got.StatusCode)
		require.Empty(t, got.fields())
	})
	t.Run("a form that arrives broken is not shown", func(t *testing.T) {
		got := r.send("nobody", http.MethodPost, newPage, "name=x&y=%zz", "Sec-Fetch-Site", "same-origin")
		require.Equal(t, http.StatusUnauthorized, got.StatusCode)
		require.Empty(t, got.fields())
	})
	t.Run("an outage of the sessions", func(t *testing.T) {
		form.Set("name", "ci")
		got := r.post("outage", newPage, form)
		require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
		require.Equal(t, form, got.fields())
	})
}

// TestSignOutOrigins: the policy names the origins that the sign-out and the sign-in lead to.
func TestSignOutOrigins(t *testing.T) {
	r := newRig(t, func(_ *store.Store, _ *apikey.Config, c *console.Config) {
		c.SignOutOrigins = []string{"https://login.example.com", "https://sso.example:8443"}
	})
	require.Contains(t, r.get("olga", "/workspaces/team-a/keys").Header.Get("Content-Security-Policy"),
		"; form-action 'self' https://login.example.com https://sso.example:8443; frame-ancestors 'none';")
	led := newRig(t, func(_ *store.Store, _ *apikey.Config, c *console.Config) {
		c.SignIn, c.SignOutOrigins = "https://sso.example:8443/in?next={return}", []string{"https://login.example.com"}
	})
	require.Contains(t, led.get("olga", "/workspaces/team-a/keys").Header.Get("Content-Security-Policy"),
		"; form-action 'self' https://login.example.com https://sso.example:8443; frame-ancestors 'none';",
		"a search leads to the sign-in when the session has ended")
	for _, address := range []string{"//sso.example/in", "https://a;script-src/in"} {
		_, err := console.New(r.keys, console.Config{Authorize: authorize, Key: formKey, SignIn: address})
		require.ErrorContains(t, err, "Config.Sign", address)
	}
	for _, origin := range []string{
		"", "login.example.com", "//login.example.com", "https://login.example.com/", "https://login.example.com/out", "https://*.example.com", "https://*",
		"https:", "javascript:x", "data:x", "https://a;script-src *", "https://a,b", "https://a b", "https://ann@login.example.com", "https://login.example.com?x", "https://login.example.com#x", "'unsafe-inline'",
	} {
		_, err := console.New(r.keys, console.Config{Authorize: authorize, Key: formKey, SignOutOrigins: []string{origin}})
		require.ErrorContains(t, err, "Config.SignOutOrigins", origin)
	}
}
