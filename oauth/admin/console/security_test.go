package console_test

import (
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// places returns the paths of all pages, for one workspace and key, and its newest
// credential.
func places(key apikey.Key) (get, post []string) {
	fill := strings.NewReplacer("{workspace}", key.Workspace, "{key}", key.ID, "{credential}", key.Credentials[len(key.Credentials)-1].ID, "{issuer}", "github", "{$}", "")
	for _, pattern := range console.Patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		if method == http.MethodPost {
			post = append(post, fill.Replace(path))
		} else {
			get = append(get, fill.Replace(path))
		}
	}
	return get, post
}

func TestEveryPageIsProtected(t *testing.T) {
	r := newRig(t)
	key, _ := r.made("team-a", "ci", "project.list")
	key = r.trusting(key, "github", "repository_id", "42", "ref", "refs/heads/main")
	get, post := places(key)
	require.Len(t, get, 23)
	require.Len(t, post, 14)

	protected := func(t *testing.T, got *page) {
		t.Helper()
		policy := got.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "require-trusted-types-for 'script'", "trusted-types 'none'"} {
			require.Contains(t, policy, part)
		}
		require.NotContains(t, policy, "unsafe")
		require.Equal(t, "DENY", got.Header.Get("X-Frame-Options"))
		require.Equal(t, "nosniff", got.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-referrer", got.Header.Get("Referrer-Policy"), "B10")
		require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
		for _, inline := range []string{"<style", " style=", "javascript:", " onclick=", "<script>"} {
			require.NotContains(t, got.Body, inline)
		}
	}
	for _, path := range get {
		t.Run("B16 B10 GET "+path, func(t *testing.T) {
			got := r.get("ada", path)
			require.Contains(t, []int{http.StatusOK, http.StatusSeeOther, http.StatusUnprocessableEntity}, got.StatusCode, got.Body)
			protected(t, got)
			protected(t, r.get("bert", path))
		})
	}
	for _, path := range post {
		t.Run("B16 a form of another origin: "+path, func(t *testing.T) {
			form := r.form("ada", newPage)
			for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
				got := r.send("ada", http.MethodPost, path, form.Encode(), headers...)
				require.Equal(t, http.StatusForbidden, got.StatusCode)
				require.Contains(t, got.Body, "The browser does not confirm that a page of this service sent this request")
				protected(t, got)
			}
		})
		t.Run("B16 a form without its id: "+path, func(t *testing.T) {
			for _, form := range []url.Values{{}, {"form": {"AAAA"}}, {"form": {strings.Repeat("A", 54)}}} {
				got := r.post("ada", path, form)
				require.Equal(t, http.StatusForbidden, got.StatusCode)
				require.Contains(t, got.Body, "too old")
			}
			// An id in the query is not accepted.
			got := r.post("ada", path+"?"+r.form("ada", newPage).Encode(), url.Values{})
			require.Equal(t, http.StatusForbidden, got.StatusCode)
		})
	}
	got, err := r.keys.Get(t.Context(), people["ada"].Actor, key.ID)
	require.NoError(t, err)
	require.Equal(t, key.Version, got.Version, "nothing was done")
}

func TestOtherWorkspacesAreHidden(t *testing.T) {
	r := newRig(t)
	key, secret := r.made("team-a", "canary-of-a", "project.list")
	get, post := places(key)
	for _, path := range append(get, post...) {
		if path == "/" {
			continue
		}
		t.Run(path, func(t *testing.T) {
			want := http.StatusNotFound
			if strings.HasPrefix(path, "/settings") {
				want = http.StatusForbidden
			}
			for _, person := range []string{"bert", "guest"} {
				form := r.form("ada", newPage)
				got := r.get(person, path)
				if got.StatusCode == http.StatusSeeOther && strings.Contains(got.Header.Get("Location"), "form=") {
					form = url.Values{"form": {strings.TrimPrefix(got.Header.Get("Location"), "?form=")}}
					got = r.get(person, got.redirectTarget())
				}
				if path != "/find-secret" { // an empty form, for everybody
					require.Equal(t, want, statusOf(got, path, post), got.Body)
				}
				if slices.Contains(post, path) {
					// The person's own form, from a page that the person may see.
					if own := r.get(person, newFor(person)); own.StatusCode == http.StatusSeeOther {
						form = url.Values{"form": {strings.TrimPrefix(own.Header.Get("Location"), "?form=")}}
					}
					form.Set("name", "canary-of-a")
					form.Set("version", "1")
					form.Set("secret", secret)
					sent := r.post(person, path, form)
					require.Equal(t, want, sent.StatusCode, sent.Body)
					require.NotContains(t, sent.Body, "canary")
				}
			}
		})
	}
	require.Equal(t, 1, r.count("team-a"))
}

// newFor returns the path of a page on which the person gets a form.
func newFor(person string) string {
	if person == "bert" {
		return "/workspaces/team-b/keys/new"
	}
	return newPage
}

// statusOf returns the status of a page. A path that only accepts forms has status 404.
func statusOf(got *page, path string, post []string) int {
	if got.StatusCode == http.StatusNotFound && slices.Contains(post, path) && strings.HasPrefix(path, "/settings") {
		return http.StatusForbidden
	}
	return got.StatusCode
}

func TestManagersAreNoAdministrators(t *testing.T) {
	r := newRig(t)
	form := r.form("max", newPage)
	for _, path := range []string{"/settings", "/settings/keys", "/settings/violations", "/settings/events", "/settings/workspaces", "/settings/workspaces/team-a", "/settings/workspaces/team-a/suspend"} {
		require.Equal(t, http.StatusForbidden, r.get("max", path).StatusCode, path)
	}
	for _, path := range []string{"/settings", "/settings/workspaces/team-a", "/settings/workspaces/team-a/suspend", "/settings/workspaces/team-a/resume"} {
		form.Set("keys", "off")
		form.Set("do", "save")
		require.Equal(t, http.StatusForbidden, r.post("max", path, form).StatusCode, path)
	}
	require.NotContains(t, r.get("max", "/workspaces/team-a/keys").Body, "Admin area")
}

func TestNobodyIsSignedIn(t *testing.T) {
	r := newRig(t)
	for _, person := range []string{"", "nobody", "empty"} {
		got := r.get(person, "/workspaces/team-a/keys")
		require.Equal(t, http.StatusUnauthorized, got.StatusCode)
		require.Contains(t, got.Body, "not signed in")
		require.Equal(t, http.StatusUnauthorized, r.get(person, "/no/such/page").StatusCode)
	}
	got := r.get("outage", "/workspaces/team-a/keys")
	require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	require.NotEmpty(t, got.Header.Get("Retry-After"))

	led := newRig(t, func(_ *store.Store, _ *apikey.Config, c *console.Config) { c.SignIn = "/sign-in" })
	got = led.get("nobody", "/workspaces/team-a/keys?text=x")
	require.Equal(t, http.StatusSeeOther, got.StatusCode)
	require.Equal(t, "/sign-in", got.Header.Get("Location"), "B16 it holds no part of the request")
	require.Equal(t, http.StatusUnauthorized, led.post("nobody", "/settings", url.Values{}).StatusCode)
}

// Names that a page must show as text only.
var hostile = []string{
	`<script>alert(1)</script>`, `<img src=x onerror=alert(1)>`, `"><i>`, `' onfocus=alert(1) x='`, `=cmd|' /C calc'!A0`,
	`{{.}}`, `javascript:alert(1)`, "مفتاح עברית", strings.Repeat("W", 255), `&lt;b&gt;`,
}

func TestNamesAreText(t *testing.T) {
	r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) {
		keys.DefaultRules = store.Rules{MaxKeys: 100}
	})
	for _, name := range hostile {
		for _, workspace := range []string{"team-a", name} {
			t.Run("B16 "+name[:min(20, len(name))]+" in "+workspace[:min(20, len(workspace))], func(t *testing.T) {
				key, _ := r.made(workspace, name, "project.list")
				in := "/workspaces/" + url.PathEscape(workspace)
				for _, path := range []string{
					in + "/keys", in + "/keys?text=" + url.QueryEscape(name) + "&permission=" + url.QueryEscape(name), "/keys/" + key.ID, "/keys/" + key.ID + "/change",
					"/keys/" + key.ID + "/delete", "/keys/" + key.ID + "/disable", "/keys/" + key.ID + "/retire/" + key.Credentials[0].ID,
					in + "/events?key=" + url.QueryEscape(name) + "&actor=" + url.QueryEscape(name) + "&from=" + url.QueryEscape(name),
					"/settings/keys", "/settings/events", "/settings/violations", "/settings/workspaces/" + url.PathEscape(workspace),
				} {
					got := r.get("ada", path)
					require.Equal(t, http.StatusOK, got.StatusCode, "%s: %s", path, got.Body)
					for _, markup := range []string{"<script>", "<img src=x", `"><i>`, `' onfocus`, `href="javascript`} {
						require.False(t, strings.Contains(got.Body, markup), "%s has %s", path, markup)
					}
				}
				require.Contains(t, html.UnescapeString(r.get("ada", "/keys/"+key.ID).Body), "<bdi>"+name+"</bdi>")
				// Wrong input is shown as text, too.
				form := r.form("ada", "/keys/"+key.ID+"/delete", "name", name+"?")
				form.Set("name", name+"?")
				got := r.post("ada", "/keys/"+key.ID+"/delete", form)
				require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
				require.Contains(t, got.Body, `value="`+html.EscapeString(name)[:5])
				require.NotContains(t, got.Body, "<script>")
			})
		}
	}
}

func TestNoTextBecomesAHeader(t *testing.T) {
	r := newRig(t)
	key, _ := r.made("team-a", "ci", "project.list")
	for name, text := range map[string]string{
		"a line": "a\r\nX-Evil: 1", "a line feed": "a\nX-Evil: 1", "NUL": "a\x00b", "a line separator": "a\u2028b", "a direction override": "a\u202eb",
	} {
		t.Run("B15 "+name, func(t *testing.T) {
			for _, path := range []string{
				"/?workspace=" + url.QueryEscape(text), "/settings/workspaces?workspace=" + url.QueryEscape(text),
				"/workspaces/" + url.PathEscape(text) + "/keys", "/workspaces/" + url.PathEscape(text) + "/keys/new",
				"/workspaces/team-a/keys?sort=name&text=" + url.QueryEscape(text), "/keys/" + url.PathEscape(text),
			} {
				got := r.get("ada", path)
				require.Empty(t, got.Header.Get("X-Evil"))
				require.NotContains(t, got.Header.Get("Location"), text)
				require.NotEqual(t, http.StatusInternalServerError, got.StatusCode, path)
			}
			made := r.post("olga", newPage, r.form("olga", newPage, "name", text, "permissions", "project.list", "expires", "never"))
			require.Equal(t, http.StatusUnprocessableEntity, made.StatusCode)
			form := filled(r.form("ada", newPage))
			made = r.post("ada", "/workspaces/"+url.PathEscape(text)+"/keys/new", form)
			require.Equal(t, http.StatusUnprocessableEntity, made.StatusCode, made.Body)
			change := r.form("olga", "/keys/"+key.ID+"/change")
			change["permissions"], change["name"], change["expires"] = []string{"project.list"}, []string{text}, []string{"keep"}
			require.Equal(t, http.StatusUnprocessableEntity, r.post("olga", "/keys/"+key.ID+"/change", change).StatusCode)
			require.NotContains(t, r.log.String(), "\nX-Evil", "no line of the log is forged")
			require.Equal(t, 1, r.count("team-a"))
		})
	}
}

func TestFormsThatAreTooLarge(t *testing.T) {
	r := newRig(t)
	form := r.form("olga", newPage, "name", strings.Repeat("n", 2<<20))
	got := r.post("olga", newPage, form)
	require.Equal(t, http.StatusRequestEntityTooLarge, got.StatusCode)
	require.Contains(t, got.Body, "too large")
}

func TestFormsThatArriveBroken(t *testing.T) {
	r := newRig(t)
	form := r.form("olga", newPage, "name", "x", "permissions", "project.list", "expires", "never")
	for name, body := range map[string]string{"an escape that is none": form.Encode() + "&x=%zz", "a semicolon": form.Encode() + ";x=y"} {
		t.Run(name, func(t *testing.T) {
			got := r.send("olga", http.MethodPost, newPage, body, "Sec-Fetch-Site", "same-origin")
			require.Equal(t, http.StatusBadRequest, got.StatusCode, got.Body)
			require.Contains(t, got.Body, "cannot be read")
			require.NotEmpty(t, got.button("Open the page again"))
			require.Zero(t, r.count("team-a"))
		})
	}
}
