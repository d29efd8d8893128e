package console_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

const cookieName = "__Host-latchkey-console"

// tryOut is a rig on which everybody may sign in as anybody.
func tryOut(_ *store.Store, _ *apikey.Config, c *console.Config) {
	c.Authorize, c.SignOut = nil, ""
	c.InsecureSignIn = []console.Person{people["ada"], people["max"], people["guest"]}
}

// with sends a request with a session's cookie, as a page of the console.
func (r *rig) with(token, method, path string, values url.Values) *page {
	r.t.Helper()
	headers := []string{"Sec-Fetch-Site", "same-origin"}
	if token != "" {
		headers = append(headers, "Cookie", cookieName+"="+token)
	}
	return r.send("", method, path, values.Encode(), headers...)
}

// signedIn chooses a person, and returns the cookie of the session.
func (r *rig) signedIn(token, person string) *http.Cookie {
	r.t.Helper()
	got := r.with(token, http.MethodPost, "/sign-in", url.Values{"person": {person}})
	require.Equal(r.t, "/", got.leads())
	require.Len(r.t, got.Cookies(), 1)
	return got.Cookies()[0]
}

func TestInsecureSignIn(t *testing.T) {
	r := newRig(t, tryOut)
	open := func(token, path string) int {
		t.Helper()
		return r.with(token, http.MethodGet, path, nil).StatusCode
	}
	require.Equal(t, "/sign-in", r.get("", "/settings/keys").leads())
	ask := r.get("", "/sign-in")
	require.Equal(t, http.StatusOK, ask.StatusCode)
	for _, text := range []string{`value="ada"><bdi>Ada<`, `value="max"><bdi>max<`, `value="guest"`, "whoever asks is let in"} {
		require.Contains(t, ask.Body, text)
	}
	require.NotContains(t, ask.Body, "olga")
	require.Contains(t, r.log.String(), "InsecureSignIn is set")

	ada := r.signedIn("", "ada")
	settings := r.with(ada.Value, http.MethodGet, "/settings", nil)
	require.Equal(t, http.StatusOK, settings.StatusCode)
	require.Contains(t, settings.Body, `action="./sign-out"`)
	require.Equal(t, http.StatusNotFound, open(ada.Value, "/no/such/page"))

	t.Run("B16 the cookie is for this host and no script", func(t *testing.T) {
		require.Equal(t, cookieName, ada.Name)
		require.True(t, ada.Secure)
		require.True(t, ada.HttpOnly)
		require.Equal(t, http.SameSiteLaxMode, ada.SameSite)
		require.Equal(t, "/", ada.Path)
		require.Empty(t, ada.Domain)
		require.GreaterOrEqual(t, len(ada.Value), 26, "128 random bits")
	})
	t.Run("B16 who signs in gets a session of his own", func(t *testing.T) {
		const chosen = "a-session-that-somebody-else-chose"
		manager := r.signedIn(chosen, "max")
		require.NotEqual(t, chosen, manager.Value)
		require.Equal(t, http.StatusSeeOther, open(chosen, "/settings"))
		require.Equal(t, http.StatusForbidden, open(manager.Value, "/settings"))
		require.Equal(t, http.StatusOK, open(manager.Value, "/workspaces/team-a/keys"))
		require.Equal(t, http.StatusNotFound, open(manager.Value, "/workspaces/team-b/keys"))
		again := r.signedIn(manager.Value, "ada")
		require.Equal(t, http.StatusSeeOther, open(manager.Value, "/workspaces/team-a/keys"), "the session before has ended")
		require.Equal(t, http.StatusOK, open(again.Value, "/settings"))
	})
	t.Run("B16 a page of another origin signs nobody in or out", func(t *testing.T) {
		for _, path := range []string{"/sign-in", "/sign-out"} {
			for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
				got := r.send("", http.MethodPost, path, url.Values{"person": {"ada"}}.Encode(), append(headers, "Cookie", cookieName+"="+ada.Value)...)
				require.Equal(t, http.StatusForbidden, got.StatusCode)
				require.Contains(t, got.Body, "A page of another origin sent this")
				require.Empty(t, got.Cookies())
			}
		}
		require.Equal(t, http.StatusOK, open(ada.Value, "/settings"))
	})
	t.Run("B16 signing out ends the session", func(t *testing.T) {
		got := r.with(ada.Value, http.MethodPost, "/sign-out", url.Values{})
		require.Equal(t, "/sign-in", got.leads())
		require.Len(t, got.Cookies(), 1)
		require.Negative(t, got.Cookies()[0].MaxAge)
		require.Equal(t, http.StatusSeeOther, open(ada.Value, "/settings"))
	})
	t.Run("nobody signs in by a link", func(t *testing.T) {
		for _, got := range []*page{
			r.with("", http.MethodGet, "/sign-in?person=ada", nil),
			r.with("", http.MethodPost, "/sign-in?person=ada", url.Values{}),
			r.with("", http.MethodPost, "/sign-in", url.Values{"person": {"olga"}}),
			r.with("", http.MethodPost, "/sign-in", url.Values{"x": {strings.Repeat("x", 4<<10)}, "person": {"ada"}}),
			r.with("", http.MethodGet, "/sign-out", nil),
		} {
			require.Empty(t, got.Cookies())
		}
	})
}

func TestSessionsEnd(t *testing.T) {
	r := newRig(t, tryOut)
	signedIn := func(cookie *http.Cookie) bool {
		t.Helper()
		return r.with(cookie.Value, http.MethodGet, "/settings", nil).StatusCode == http.StatusOK
	}
	first := r.signedIn("", "ada")
	r.clock.Advance(12*time.Hour - time.Second)
	require.True(t, signedIn(first))
	r.clock.Advance(time.Second)
	require.False(t, signedIn(first), "B16 a session ends after 12 hours")

	first = r.signedIn("", "ada")
	second := r.signedIn("", "ada")
	for range 99 {
		r.signedIn("", "ada")
	}
	require.False(t, signedIn(first), "B16 a hundred sessions are kept, and no more")
	require.True(t, signedIn(second))
}

// TestInsecureSignInIsForLoopback: what was not sent on this machine, to this
// machine and under its name gets nothing, whatever it asks for.
func TestInsecureSignInIsForLoopback(t *testing.T) {
	keys := newRig(t).keys
	pages, err := console.New(keys, console.Config{
		InsecureSignIn: []console.Person{people["ada"]}, Key: formKey, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	send := func(method, path, local, remote, host, token string) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader("person=ada"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(&http.Cookie{Name: cookieName, Value: token})
		r.RemoteAddr, r.Host = remote, host
		if local != "" {
			to, err := net.ResolveTCPAddr("tcp", local)
			require.NoError(t, err)
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, to))
		}
		answer := httptest.NewRecorder()
		pages.ServeHTTP(answer, r)
		return answer.Result()
	}
	const here, there = "127.0.0.1:8080", "127.0.0.1:40000"
	in := send(http.MethodPost, "/sign-in", here, there, here, "")
	require.Len(t, in.Cookies(), 1)
	token := in.Cookies()[0].Value
	for _, tc := range []struct {
		name, local, remote, host string
		answered                  bool
	}{
		{"an address", here, there, here, true},
		{"without a port", here, there, "127.0.0.1", true},
		{"another address of loopback", "127.8.7.6:80", "127.0.0.1:4000", "127.8.7.6", true},
		{"IPv6", "[::1]:8080", "[::1]:4000", "[::1]:8080", true},
		{"IPv6 without a port", "[::1]:80", "[::1]:4000", "[::1]", true},
		{"localhost", here, there, "LocalHost:8080", true},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:90", "localhost", true},
		{"to an address that others reach", "192.0.2.1:8080", there, here, false},
		{"to one that cannot be told", "", there, here, false},
		{"from another machine", here, "192.0.2.1:40000", here, false},
		{"from who knows where", here, "@", here, false},
		{"from an address that a middleware took from a header", here, "127.0.0.1", here, false},
		{"a public name, as of a proxy or a rebinding", here, there, "evil.example:8080", false},
		{"one that looks like ours", here, there, "localhost.evil.example", false},
		{"one that begins like ours", here, there, "127.0.0.1.evil.example", false},
		{"no name", here, there, "", false},
		{"an unspecified one", here, there, "0.0.0.0:8080", false},
	} {
		t.Run("B16 "+tc.name, func(t *testing.T) {
			for _, path := range []string{"GET /sign-in", "POST /sign-in", "POST /sign-out", "GET /settings", "GET /console.css", "GET /no/such/page"} {
				method, path, _ := strings.Cut(path, " ")
				if tc.answered && path == "/sign-out" {
					continue
				}
				answer := send(method, path, tc.local, tc.remote, tc.host, token)
				require.Equal(t, tc.answered, answer.StatusCode != http.StatusForbidden, "%s: %d", path, answer.StatusCode)
				if !tc.answered {
					require.Empty(t, answer.Cookies())
				}
				if method == http.MethodPost && tc.answered {
					token = answer.Cookies()[0].Value // the one before has ended
				}
			}
		})
	}
	t.Run("a console with sessions of the host's own answers everybody", func(t *testing.T) {
		answer := httptest.NewRecorder()
		open, err := console.New(keys, console.Config{Authorize: authorize, Key: formKey, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		open.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sign-in", nil))
		require.Equal(t, http.StatusUnauthorized, answer.Code)
	})
}

func TestInsecureSignInIsChecked(t *testing.T) {
	keys := newRig(t).keys
	for name, tc := range map[string]struct {
		config console.Config
		want   string
	}{
		"beside Authorize":    {console.Config{InsecureSignIn: []console.Person{people["ada"]}, Authorize: authorize}, "takes the place"},
		"beside SignIn":       {console.Config{InsecureSignIn: []console.Person{people["ada"]}, SignIn: "/in"}, "takes the place"},
		"beside SignOut":      {console.Config{InsecureSignIn: []console.Person{people["ada"]}, SignOut: "/out"}, "takes the place"},
		"somebody without id": {console.Config{InsecureSignIn: []console.Person{people["ada"], people["empty"]}}, "InsecureSignIn[1]"},
		"somebody twice":      {console.Config{InsecureSignIn: []console.Person{people["ada"], people["max"], people["ada"]}}, "InsecureSignIn[2]"},
		"nobody at all":       {console.Config{InsecureSignIn: []console.Person{}}, "Authorize is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.config.Logger = slog.New(slog.DiscardHandler)
			_, err := console.New(keys, tc.config)
			require.ErrorContains(t, err, tc.want)
		})
	}
}
