package signin_test

import (
	"bytes"
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

	"github.com/latchkey-go/latchkey/examples/signin"
	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

const cookieName = "__Host-latchkey-console"

var people = []console.Person{
	{Actor: apikey.OrganizationAdmin("ada"), Name: "Ada"},
	{Actor: apikey.Owner("max", "team-a")},
	{Actor: apikey.Owner("guest")},
}

// rig is a host whose people sign in with these pages.
type rig struct {
	t     *testing.T
	clock *oauthtest.Clock
	pages http.Handler
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, clock: &oauthtest.Clock{}}
	r.clock.Set(time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
	log := slog.New(slog.DiscardHandler)
	keys, err := apikey.New(memstore.New(), apikey.Config{
		Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}}), Now: r.clock.Now, Logger: log,
		Options: apikey.Options{Peppers: []apikey.Pepper{{Version: 1, Key: bytes.Repeat([]byte("p"), 32)}}},
	})
	require.NoError(t, err)
	r.pages, err = signin.Console("/console", keys, people, console.Config{Key: bytes.Repeat([]byte("k"), 32), Logger: log})
	require.NoError(t, err)
	return r
}

// request holds the parts of a request that a test can set.
type request struct {
	method, path, token, body string
	local, remote, host       string
	headers                   []string
}

const serverAddr, clientAddr = "127.0.0.1:8080", "127.0.0.1:40000"

func (r *rig) send(s request) *http.Response {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), s.method, "/console"+s.path, strings.NewReader(s.body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if len(s.headers) == 0 {
		s.headers = []string{"Sec-Fetch-Site", "same-origin"}
	}
	for i := 0; i < len(s.headers); i += 2 {
		req.Header.Set(s.headers[i], s.headers[i+1])
	}
	if s.token != "" {
		req.AddCookie(&http.Cookie{Name: cookieName, Value: s.token})
	}
	req.RemoteAddr, req.Host = s.remote, s.host
	if s.local != "" {
		to, err := net.ResolveTCPAddr("tcp", s.local)
		require.NoError(r.t, err)
		req = req.WithContext(context.WithValue(req.Context(), http.LocalAddrContextKey, to))
	}
	answer := httptest.NewRecorder()
	r.pages.ServeHTTP(answer, req)
	return answer.Result()
}

// as sends a request with a session's cookie, as a page of the console.
func (r *rig) as(token, method, path string, values url.Values) *http.Response {
	r.t.Helper()
	return r.send(request{method: method, path: path, token: token, body: values.Encode(), local: serverAddr, remote: clientAddr, host: serverAddr})
}

func (r *rig) text(answer *http.Response) string {
	r.t.Helper()
	var text bytes.Buffer
	_, err := text.ReadFrom(answer.Body)
	require.NoError(r.t, err)
	return text.String()
}

// signedIn chooses a person, and returns the cookie of the session.
func (r *rig) signedIn(token, person string) *http.Cookie {
	r.t.Helper()
	got := r.as(token, http.MethodPost, "/sign-in", url.Values{"person": {person}})
	require.Equal(r.t, http.StatusSeeOther, got.StatusCode)
	require.Equal(r.t, "/console/", got.Header.Get("Location"))
	require.Len(r.t, got.Cookies(), 1)
	return got.Cookies()[0]
}

func TestSignIn(t *testing.T) {
	r := newRig(t)
	open := func(token, path string) int {
		t.Helper()
		return r.as(token, http.MethodGet, path, nil).StatusCode
	}
	require.Equal(t, "/console/sign-in?return=%2Fconsole%2Fsettings%2Fkeys", r.as("", http.MethodGet, "/settings/keys", nil).Header.Get("Location"))
	ask := r.as("", http.MethodGet, "/sign-in", nil)
	require.Equal(t, http.StatusOK, ask.StatusCode)
	text := r.text(ask)
	for _, part := range []string{`value="ada"><bdi>Ada<`, `value="max"><bdi>max<`, `value="guest"`, "everyone can sign in without a password"} {
		require.Contains(t, text, part)
	}

	ada := r.signedIn("", "ada")
	settings := r.as(ada.Value, http.MethodGet, "/settings", nil)
	require.Equal(t, http.StatusOK, settings.StatusCode)
	require.Contains(t, r.text(settings), `action="/console/sign-out"`)
	require.Equal(t, http.StatusNotFound, open(ada.Value, "/no/such/page"))

	t.Run("B16 the cookie is for this host and not readable by scripts", func(t *testing.T) {
		require.Equal(t, cookieName, ada.Name)
		require.True(t, ada.Secure)
		require.True(t, ada.HttpOnly)
		require.Equal(t, http.SameSiteLaxMode, ada.SameSite)
		require.Equal(t, "/", ada.Path)
		require.Empty(t, ada.Domain)
		require.GreaterOrEqual(t, len(ada.Value), 26, "128 random bits")
	})
	t.Run("B16 each sign-in starts a new session", func(t *testing.T) {
		const chosen = "a-session-that-someone-else-chose"
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
	t.Run("B16 a page of another origin cannot sign a person in or out", func(t *testing.T) {
		for _, path := range []string{"/sign-in", "/sign-out"} {
			for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
				got := r.send(request{method: http.MethodPost, path: path, token: ada.Value, body: "person=ada", local: serverAddr, remote: clientAddr, host: serverAddr, headers: headers})
				require.Equal(t, http.StatusForbidden, got.StatusCode)
				require.Empty(t, got.Cookies())
			}
		}
		require.Equal(t, http.StatusOK, open(ada.Value, "/settings"))
	})
	t.Run("B16 signing out ends the session", func(t *testing.T) {
		got := r.as(ada.Value, http.MethodPost, "/sign-out", nil)
		require.Equal(t, "/console/sign-in", got.Header.Get("Location"))
		require.Len(t, got.Cookies(), 1)
		require.Negative(t, got.Cookies()[0].MaxAge)
		require.Equal(t, http.StatusSeeOther, open(ada.Value, "/settings"))
	})
	t.Run("B16 the sign-in leads back to a page of the console only", func(t *testing.T) {
		for to, want := range map[string]string{
			"": "/console/",
			"/console/workspaces/a%2Fb/keys?text=x&state=": "/console/workspaces/a%2Fb/keys?text=x&state=",
			"/console":                      "/console/",
			"/elsewhere":                    "/console/",
			"//evil.example/console/":       "/console/",
			"///evil.example/console/":      "/console/",
			`/\evil.example/console/`:       "/console/",
			"https://evil.example/console/": "/console/",
			"javascript:alert(1)":           "/console/",
			"/console/../elsewhere":         "/console/",
			"/console/%2e%2e/elsewhere":     "/console/",
			"/console/.%2E/elsewhere":       "/console/",
			"/console/workspaces/~../keys":  "/console/workspaces/~../keys",
			"/console/\r\nSet-Cookie: x=y":  "/console/",
			"/console@evil.example/":        "/console/",
			"http:/console/":                "/console/",
		} {
			got := r.as("", http.MethodPost, "/sign-in?"+url.Values{"return": {to}}.Encode(), url.Values{"person": {"ada"}})
			require.Equal(t, http.StatusSeeOther, got.StatusCode)
			require.Equal(t, want, got.Header.Get("Location"), to)
		}
	})
	t.Run("a link cannot sign a person in", func(t *testing.T) {
		for _, got := range []*http.Response{
			r.as("", http.MethodGet, "/sign-in?person=ada", nil),
			r.as("", http.MethodPost, "/sign-in?person=ada", nil),
			r.as("", http.MethodPost, "/sign-in", url.Values{"person": {"olga"}}),
			r.as("", http.MethodPost, "/sign-in", url.Values{"x": {strings.Repeat("x", 4<<10)}, "person": {"ada"}}),
			r.as("", http.MethodGet, "/sign-out", nil),
		} {
			require.Empty(t, got.Cookies())
		}
	})
}

func TestSessionsEnd(t *testing.T) {
	r := newRig(t)
	signedIn := func(cookie *http.Cookie) bool {
		t.Helper()
		return r.as(cookie.Value, http.MethodGet, "/settings", nil).StatusCode == http.StatusOK
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

// TestForLoopback: a request is refused unless it was sent from this machine, to a loopback
// address and with a loopback name.
func TestForLoopback(t *testing.T) {
	r := newRig(t)
	token := r.signedIn("", "ada").Value
	for _, tc := range []struct {
		name, local, remote, host string
		answered                  bool
	}{
		{"an address", serverAddr, clientAddr, serverAddr, true},
		{"without a port", serverAddr, clientAddr, "127.0.0.1", true},
		{"another address of loopback", "127.8.7.6:80", "127.0.0.1:4000", "127.8.7.6", true},
		{"IPv6", "[::1]:8080", "[::1]:4000", "[::1]:8080", true},
		{"IPv6 without a port", "[::1]:80", "[::1]:4000", "[::1]", true},
		{"localhost", serverAddr, clientAddr, "LocalHost:8080", true},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:90", "localhost", true},
		{"to an address that others reach", "192.0.2.1:8080", clientAddr, serverAddr, false},
		{"to an unknown address", "", clientAddr, serverAddr, false},
		{"from another machine", serverAddr, "192.0.2.1:40000", serverAddr, false},
		{"from an unknown address", serverAddr, "@", serverAddr, false},
		{"from an address that a middleware took from a header", serverAddr, "127.0.0.1", serverAddr, false},
		{"a public name, as of a proxy or a rebinding", serverAddr, clientAddr, "evil.example:8080", false},
		{"one that looks like ours", serverAddr, clientAddr, "localhost.evil.example", false},
		{"one that begins like ours", serverAddr, clientAddr, "127.0.0.1.evil.example", false},
		{"no name", serverAddr, clientAddr, "", false},
		{"an unspecified one", serverAddr, clientAddr, "0.0.0.0:8080", false},
	} {
		t.Run("B16 "+tc.name, func(t *testing.T) {
			for _, path := range []string{"GET /sign-in", "POST /sign-in", "POST /sign-out", "GET /settings", "GET /console.css", "GET /no/such/page"} {
				method, path, _ := strings.Cut(path, " ")
				if tc.answered && path == "/sign-out" {
					continue
				}
				answer := r.send(request{method: method, path: path, token: token, body: "person=ada", local: tc.local, remote: tc.remote, host: tc.host})
				require.Equal(t, tc.answered, answer.StatusCode != http.StatusForbidden, "%s: %d", path, answer.StatusCode)
				if !tc.answered {
					require.Empty(t, answer.Cookies())
				}
				if method == http.MethodPost && tc.answered {
					token = answer.Cookies()[0].Value // the earlier session has ended
				}
			}
		})
	}
}

func TestPeopleAreChecked(t *testing.T) {
	for name, list := range map[string][]console.Person{
		"a person without an id": {people[0], {}},
		"a person twice":         {people[0], people[0]},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := signin.Console("/console", nil, list, console.Config{})
			require.ErrorContains(t, err, "person 1 ")
		})
	}
}
