package console_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

const newPage = "/workspaces/team-a/keys/new"

func TestCreate(t *testing.T) {
	r := newRig(t)
	form := r.form("olga", newPage, "name", "ci", "permissions", "project.list", "permissions", "project.save", "expires", "90d")
	got := r.post("olga", newPage, form)
	require.Equal(t, http.StatusCreated, got.StatusCode, got.Body)
	secret := got.secret()
	page, err := r.keys.List(t.Context(), people["olga"].Actor, store.KeyQuery{Workspace: "team-a"})
	require.NoError(t, err)
	require.Len(t, page.Keys, 1)
	key := page.Keys[0]
	require.Equal(t, "ci", key.Name)
	require.Equal(t, "project.list project.save", key.Permissions.String())
	require.Equal(t, noon.Add(90*24*time.Hour), key.NotAfter)
	require.Equal(t, store.ActorRef{Kind: "owner", ID: "olga"}, key.CreatedBy)
	require.True(t, r.logsIn(key.ID, secret))
	require.Contains(t, strings.NewReplacer("<span>", "", "</span>", "").Replace(got.Body),
		"curl -d grant_type=client_credentials -d client_id="+key.ID+" -d client_secret="+secret+" 'https://api.example.com/api/login'</pre>")

	t.Run("B23 the answer with a secret is not cached", func(t *testing.T) {
		require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
		require.Empty(t, got.Header.Get("ETag"))
		require.Empty(t, got.Header.Get("Location"))
	})
	t.Run("B23 sent again by reload it creates no second key", func(t *testing.T) {
		again := r.post("olga", newPage, form)
		require.Equal(t, http.StatusConflict, again.StatusCode)
		require.Contains(t, again.Body, "Already created")
		require.Contains(t, again.Body, key.ID)
		require.NotContains(t, again.Body, secret)
		require.Equal(t, 1, strings.Count(again.Body, "</html>"), "nothing is written after the page")
		require.Equal(t, 1, r.count("team-a"))
	})
	t.Run("B23 the page of a sent form says that it was sent", func(t *testing.T) {
		back := r.get("olga", newPage+"?form="+form.Get("form"))
		require.Equal(t, http.StatusConflict, back.StatusCode)
		require.Contains(t, back.Body, key.ID)
		require.NotContains(t, back.Body, secret)
		require.Equal(t, 1, strings.Count(back.Body, "</html>"), "nothing is written after the page")
	})
	t.Run("B12 the page of a form reads no body", func(t *testing.T) {
		body := "--x\r\nContent-Disposition: form-data; name=\"form\"\r\n\r\n" + form.Get("form") + "\r\n--x--\r\n"
		req := httptest.NewRequest(http.MethodGet, prefix+newPage, strings.NewReader(body))
		req.Header.Set("X-Person", "olga")
		req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		got := harness.Serve(r.mux, req)
		require.Equal(t, http.StatusSeeOther, got.StatusCode, "the form of the body was not read")
		rest, err := io.ReadAll(req.Body)
		require.NoError(t, err)
		require.Equal(t, body, string(rest))
	})
	t.Run("B23 no other page shows the secret", func(t *testing.T) {
		for _, path := range []string{"/workspaces/team-a/keys", "/keys/" + key.ID, "/keys/" + key.ID + "/change", "/workspaces/team-a/events"} {
			require.NotContains(t, r.get("olga", path).Body, secret)
		}
		require.NotContains(t, r.log.String(), secret)
	})
	t.Run("a form of one person is refused from another", func(t *testing.T) {
		theft := r.form("olga", newPage, "name", "x", "permissions", "project.list", "expires", "never")
		require.Equal(t, http.StatusForbidden, r.post("max", newPage, theft).StatusCode)
		require.Equal(t, 1, r.count("team-a"))
	})
	t.Run("a form expires after twelve hours, before its one-time id does", func(t *testing.T) {
		old := r.form("olga", newPage, "name", "x", "permissions", "project.list", "expires", "never")
		r.clock.Advance(12 * time.Hour)
		require.Equal(t, http.StatusForbidden, r.post("olga", newPage, old).StatusCode)
		require.Equal(t, http.StatusForbidden, r.post("olga", newPage, form).StatusCode)
		require.Equal(t, 1, r.count("team-a"))
		require.NotContains(t, r.get("olga", newPage+"?form="+old.Get("form")).redirectTarget(), old.Get("form"), "a fresh form is offered")
	})
}

// TestCurlCommandQuotesTheURL: an address with a quote does not end the quoted
// argument of the curl command.
func TestCurlCommandQuotesTheURL(t *testing.T) {
	r := newRig(t, func(_ *store.Store, _ *apikey.Config, c *console.Config) {
		c.LoginURL = "https://api.example.com/o'clock"
	})
	got := r.post("olga", newPage, filled(r.form("olga", newPage)))
	require.Equal(t, http.StatusCreated, got.StatusCode, got.Body)
	require.Contains(t, got.Body, "<span>'https://api.example.com/o%27clock'</span></pre>")
}

func TestCreateIsRaced(t *testing.T) {
	r := newRig(t)
	form := r.form("olga", newPage, "name", "ci", "permissions", "project.list", "expires", "never")
	const posts = 8
	statuses := make(chan int, posts)
	for range posts {
		go func() { statuses <- r.post("olga", newPage, form).StatusCode }()
	}
	made := 0
	for range posts {
		switch status := <-statuses; status {
		case http.StatusCreated:
			made++
		default:
			require.Equal(t, http.StatusConflict, status)
		}
	}
	require.Equal(t, 1, made)
	require.Equal(t, 1, r.count("team-a"))
}

func TestCreateIsRefused(t *testing.T) {
	limited := func(_ *store.Store, keys *apikey.Config, _ *console.Config) {
		keys.DefaultRules = store.Rules{MaxKeys: 1, RequireExpiry: true, MaxLifetime: 30 * 24 * time.Hour}
	}
	tests := []struct {
		name    string
		person  string
		values  url.Values
		status  int
		field   string
		says    string
		already bool
	}{
		{"no name", "olga", url.Values{"permissions": {"project.list"}, "expires": {"7d"}}, 422, "name", "what this key is for", false},
		{"a long name", "olga", url.Values{"name": {strings.Repeat("n", 256)}, "permissions": {"project.list"}, "expires": {"7d"}}, 422, "name", "at most 255", false},
		{"a direction override", "olga", url.Values{"name": {"a\u202eb"}, "permissions": {"project.list"}, "expires": {"7d"}}, 422, "name", "printable", false},
		{"no permission", "olga", url.Values{"name": {"x"}, "expires": {"7d"}}, 422, "permissions", "Choose at least one", false},
		{"an unknown permission", "olga", url.Values{"name": {"x"}, "permissions": {"nothing.there"}, "expires": {"7d"}}, 422, "permissions", "nothing.there", false},
		{"a malformed permission", "olga", url.Values{"name": {"x"}, "permissions": {`"`}, "expires": {"7d"}}, 422, "permissions", "Choose from the list", false},
		{"no expiry chosen", "olga", url.Values{"name": {"x"}, "permissions": {"project.list"}}, 422, "expires", "Choose when", false},
		{"no day chosen", "olga", url.Values{"name": {"x"}, "permissions": {"project.list"}, "expires": {"date"}}, 422, "expires_on", "Choose a day", false},
		{"a day in the past", "olga", url.Values{"name": {"x"}, "permissions": {"project.list"}, "expires": {"date"}, "expires_on": {"2026-06-01"}}, 422, "expires", "in the past", false},
		{"longer than allowed", "olga", url.Values{"name": {"x"}, "permissions": {"project.list"}, "expires": {"90d"}}, 403, "expires", "30 days", false},
		{"never, though an expiry is needed", "olga", url.Values{"name": {"x"}, "permissions": {"project.list"}, "expires": {"never"}}, 403, "expires", "", false},
		{"a manager and an admin permission", "max", url.Values{"name": {"x"}, "permissions": {"admin.project.list"}, "expires": {"7d"}}, 403, "permissions", "admin.project.list", false},
		{"an owner and an admin permission", "olga", url.Values{"name": {"x"}, "permissions": {"admin.project.list"}, "expires": {"7d"}}, 403, "permissions", "admin.project.list", false},
		{"more than a person may grant", "lena", url.Values{"name": {"x"}, "permissions": {"project.save"}, "expires": {"7d"}}, 403, "permissions", "project.save", false},
		{"the quota is reached", "olga", url.Values{"name": {"x"}, "permissions": {"project.list"}, "expires": {"7d"}}, 403, "", "at most 1 key", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, limited)
			test.values.Set("form", r.form(test.person, newPage).Get("form"))
			have := 0
			if test.already {
				other := r.form("olga", newPage, "name", "x", "permissions", "project.list", "expires", "7d")
				require.Equal(t, http.StatusCreated, r.post("olga", newPage, other).StatusCode)
				have = 1
			}
			got := r.post(test.person, newPage, test.values)
			require.Equal(t, test.status, got.StatusCode, got.Body)
			require.Contains(t, got.Body, `id="problems"`)
			require.Contains(t, got.Body, test.says)
			if test.field != "" {
				require.Contains(t, got.Body, `href="#f-`+test.field+`"`)
				require.Contains(t, got.Body, `id="f-`+test.field+`"`, "the problem leads to its field")
			}
			require.Equal(t, have, r.count("team-a"))
			require.Empty(t, got.secret())
			// The form keeps what was typed and can be sent again.
			require.Contains(t, got.Body, `value="`+test.values.Get("form")+`"`)
		})
	}
}

func TestOnlyWhatAPersonMayGrantIsOffered(t *testing.T) {
	r := newRig(t)
	offered := func(person string) []string {
		got := r.get(person, r.get(person, newPage).redirectTarget())
		var names []string
		for _, match := range regexp.MustCompile(`name="permissions" value="([^"]+)"`).FindAllStringSubmatch(got.Body, -1) {
			names = append(names, match[1])
		}
		return names
	}
	require.Equal(t, []string{
		"project.list", "project.save", "project.delete", "admin.project.list",
		"keys.list", "keys.save", "keys.delete", "keys.rotate", "admin.keys.list", "admin.keys.save", "admin.keys.delete",
		"admin.settings.read", "admin.settings.save", "admin.workspaces.suspend",
	}, offered("ada"))
	require.Equal(t, []string{
		"project.list", "project.save", "project.delete", "keys.list", "keys.save", "keys.delete", "keys.rotate",
	}, offered("max"))
	require.Equal(t, []string{"project.list"}, offered("lena"))
}

func TestWhoGrantsNothingGetsNoForm(t *testing.T) {
	r := newRig(t, func(_ *store.Store, _ *apikey.Config, c *console.Config) {
		c.Authorize = func(*http.Request) (console.Person, error) {
			return console.Person{Actor: apikey.Owner("vera", "team-a").Granting(scope.Set{})}, nil
		}
	})
	got := r.get("", r.get("", newPage).redirectTarget())
	require.Equal(t, http.StatusForbidden, got.StatusCode)
	require.Contains(t, got.Body, "You may see the keys of this workspace, but not create any.")
}

func TestExpiryIsOfferedWithinTheRules(t *testing.T) {
	tests := []struct {
		name     string
		rules    store.Rules
		offered  []string
		min, max string
	}{
		{"no rules", store.Rules{}, []string{"7d", "30d", "90d", "365d", "date", "never"}, "2026-07-01", ""},
		{"an expiry", store.Rules{RequireExpiry: true}, []string{"7d", "30d", "90d", "365d", "date"}, "2026-07-01", ""},
		{"90 days", store.Rules{MaxLifetime: 90 * 24 * time.Hour}, []string{"7d", "30d", "90d", "date"}, "2026-07-01", "2026-09-28"},
		{"40 days", store.Rules{MaxLifetime: 40 * 24 * time.Hour}, []string{"7d", "30d", "longest", "date"}, "2026-07-01", "2026-08-09"},
		{"an hour", store.Rules{MaxLifetime: time.Hour}, []string{"longest"}, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) { keys.DefaultRules = test.rules })
			body := r.get("olga", r.get("olga", newPage).redirectTarget()).Body
			var offered []string
			for _, match := range regexp.MustCompile(`name="expires" value="([^"]+)"`).FindAllStringSubmatch(body, -1) {
				offered = append(offered, match[1])
			}
			require.Equal(t, test.offered, offered)
			if test.min != "" {
				require.Contains(t, body, `min="`+test.min+`"`)
			}
			if test.max != "" {
				require.Contains(t, body, `max="`+test.max+`"`)
			}
			// Every choice on the page is accepted.
			for _, choice := range offered {
				form := r.form("olga", newPage, "name", choice, "permissions", "project.list", "expires", choice, "expires_on", max(test.max, "2026-07-02"))
				got := r.post("olga", newPage, form)
				require.Equal(t, http.StatusCreated, got.StatusCode, "%s: %s", choice, got.Body)
			}
			if test.rules.MaxLifetime == 0 {
				got := r.post("olga", newPage, r.form("olga", newPage, "name", "x", "permissions", "project.list", "expires", "longest"))
				require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
				require.Contains(t, got.Body, "Choose when the key ends")
			}
		})
	}
}

func TestAFormSentTwiceAtOnce(t *testing.T) {
	var meanwhile func()
	r := newRig(t, func(s *store.Store, _ *apikey.Config, _ *console.Config) {
		*s = harness.Tapped(*s, func(context.Context, string) error {
			if again := meanwhile; again != nil {
				meanwhile = nil
				again()
			}
			return nil
		}, "Keys.Create")
	})
	form := r.form("ada", newPage, "name", "ci", "permissions", "project.list", "expires", "90d")
	meanwhile = func() { require.Equal(t, http.StatusCreated, r.post("ada", newPage, form).StatusCode) }
	got := r.post("ada", newPage, form)
	require.Equal(t, http.StatusConflict, got.StatusCode)
	require.Contains(t, got.Body, "Already created", "B23")
	require.Equal(t, 1, r.count("team-a"))
	require.Equal(t, http.StatusCreated, r.post("ada", "/workspaces/team-b/keys/new", form).StatusCode, "another form: it was sent on the page of another workspace")
}
