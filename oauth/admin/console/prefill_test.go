package console_test

import (
	"context"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// open opens a page and follows one redirect.
func (r *rig) open(person, path string) *page {
	r.t.Helper()
	got := r.get(person, path)
	if got.StatusCode == http.StatusSeeOther {
		got = r.get(person, got.redirectTarget())
	}
	return got
}

var chosen = regexp.MustCompile(`name="(?:permissions|expires)" value="([^"]+)" checked`)

// chosen returns the selected permissions and the selected expiry.
func (p *page) chosen() (values []string) {
	for _, match := range chosen.FindAllStringSubmatch(p.Body, -1) {
		values = append(values, match[1])
	}
	return values
}

func TestLinkToANewKey(t *testing.T) {
	limited := func(_ *store.Store, keys *apikey.Config, _ *console.Config) {
		keys.DefaultRules = store.Rules{RequireExpiry: true, MaxLifetime: 200 * 24 * time.Hour}
	}
	for _, tc := range []struct {
		name, person string
		link         url.Values
		chosen       []string
		on           string // the day that is filled in
		wrong        string // what the page says is wrong
	}{
		{"all", "olga", url.Values{"name": {"ci"}, "permissions": {"project.list keys.list"}, "expires_at": {"2026-12-31"}}, []string{"project.list", "keys.list", "date"}, "2026-12-31", ""},
		{"permissions one by one", "olga", url.Values{"permissions": {"project.list", "keys.list"}}, []string{"project.list", "keys.list", "90d"}, "", ""},
		{"a name", "olga", url.Values{"name": {"ci"}}, []string{"90d"}, "", ""},
		{"an admin permission, by an administrator", "ada", url.Values{"permissions": {"admin.project.list"}}, []string{"admin.project.list", "90d"}, "", ""},
		{"other parameters", "olga", url.Values{"names": {"ci"}, "version": {"7"}, "grace": {"0"}}, []string{"90d"}, "", ""},

		{"a name that is too long", "olga", url.Values{"name": {strings.Repeat("n", 256)}}, []string{"90d"}, "", "Name: It may have at most 255 characters."},
		{"a name that turns the writing", "olga", url.Values{"name": {"a\u202eb"}}, []string{"90d"}, "", "Name: It may contain printable characters only."},
		{"a permission that does not exist", "olga", url.Values{"permissions": {"project.list project.fly"}}, []string{"project.list", "90d"}, "", "Permissions: These do not exist: project.fly."},
		{"no permission", "olga", url.Values{"permissions": {`a"b`}}, []string{"90d"}, "", "Permissions: The form holds a text that is not a permission. Choose from the list."},
		{"an admin permission, by an owner", "olga", url.Values{"name": {"ci"}, "permissions": {"admin.project.list project.list"}}, []string{"project.list", "90d"}, "", "ask an administrator to grant them: admin.project.list."},
		{"an instant", "olga", url.Values{"expires_at": {"soon"}}, []string{"date"}, "soon", "Expiry: Choose a day"},
		{"a day in the past", "olga", url.Values{"expires_at": {"2026-06-30"}}, []string{"date"}, "2026-06-30", "Expiry: It is in the past."},
		{"too late a day", "olga", url.Values{"expires_at": {"2027-06-30"}}, []string{"date"}, "2027-06-30", "the latest allowed is 2027-01-17, 12:00 UTC"},
		{"never, against the rules", "olga", url.Values{"expires_at": {"never"}}, []string{"90d"}, "", "Expiry: This key needs an expiry"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, limited)
			got := r.open(tc.person, newPage+"?"+tc.link.Encode())
			require.Equal(t, tc.chosen, got.chosen())
			require.Contains(t, html.UnescapeString(got.Body), `name="name" value="`+tc.link.Get("name")+`"`)
			require.Contains(t, got.Body, `name="expires_on" value="`+tc.on+`"`)
			if tc.wrong == "" {
				require.Equal(t, http.StatusOK, got.StatusCode)
				require.NotContains(t, got.Body, `id="problems"`)
			} else {
				require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
				require.Contains(t, html.UnescapeString(got.Body), tc.wrong)
				require.Equal(t, 1, strings.Count(got.Body, `<li><a href="#f-`), "no other problem")
			}
			require.Zero(t, r.count("team-a"), "no link makes a key")
			require.Zero(t, r.count("team-b"))
		})
	}
	t.Run("B16 the values are text", func(t *testing.T) {
		r := newRig(t)
		for _, text := range hostile {
			body := r.open("olga", newPage+"?"+url.Values{"name": {text}, "permissions": {text}, "expires_at": {text}}.Encode()).Body
			for _, markup := range []string{"<script>", "<img src=x", `"><i>`, `' onfocus`, `href="javascript`} {
				require.NotContains(t, body, markup, text)
			}
		}
		require.Zero(t, r.count("team-a"))
	})
	t.Run("who may not create keys gets no form", func(t *testing.T) {
		r := newRig(t)
		require.Equal(t, http.StatusNotFound, r.open("bert", newPage+"?name=x").StatusCode)
	})
	t.Run("the form that it fills can be sent", func(t *testing.T) {
		r := newRig(t)
		form := r.form("olga", newPage+"?name=ci&permissions=project.list&expires_at=never", "name", "ci", "permissions", "project.list", "expires", "never")
		require.Equal(t, http.StatusCreated, r.post("olga", newPage, form).StatusCode)
	})
}

func TestDuplicate(t *testing.T) {
	r := newRig(t)
	date, err := apikey.ParseExpiry("2026-12-31")
	require.NoError(t, err)
	for _, tc := range []struct {
		name   string
		expiry apikey.Expiry
		chosen []string
	}{
		{"never", apikey.Expiry{}, []string{"project.list", "keys.list", "never"}},
		{"a day", date, []string{"project.list", "keys.list", "date"}},
		{"an instant", apikey.Expiry{At: noon.Add(time.Hour)}, []string{"project.list", "keys.list", "90d"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			key, _ := r.made("team-a", `a & "b"`, "project.list keys.list")
			_, err := r.keys.Update(t.Context(), people["ada"].Actor, key.ID, apikey.Changes{Expiry: &tc.expiry})
			require.NoError(t, err)
			got := r.open("olga", r.get("olga", "/keys/"+key.ID).button("Duplicate"))
			require.Equal(t, http.StatusOK, got.StatusCode, got.Body)
			require.Contains(t, html.UnescapeString(got.Body), `name="name" value="a & "b" (copy)"`)
			require.Equal(t, tc.chosen, got.chosen())
		})
	}
	require.Equal(t, 3, r.count("team-a"))
}

// TestNeverIsOfferedIfPoliciesAllowIt: a policy may give an expiry to a key without one, or
// refuse it. Then "Never" is not offered.
func TestNeverIsOfferedIfPoliciesAllowIt(t *testing.T) {
	const lifetime = 90 * 24 * time.Hour
	for name, tc := range map[string]struct {
		policy  policy.Policy
		offered bool
	}{
		"no policy":              {nil, true},
		"another policy":         {policy.MaxKeys(7), true},
		"a default":              {policy.DefaultLifetime(lifetime), false},
		"an expiry is required":  {policy.RequireExpiry(), false},
		"a maximum":              {policy.MaxLifetime(lifetime), false},
		"a denial of all":        {policy.KeyFunc(func(context.Context, *policy.KeyRequest) error { return &policy.Denied{Rule: "x"} }), true},
		"a policy that is down":  {policy.KeyFunc(func(context.Context, *policy.KeyRequest) error { return store.ErrUnavailable }), true},
		"a policy of the host's": {policy.KeyFunc(func(_ context.Context, r *policy.KeyRequest) error { r.ShortenTo(r.Now.Add(lifetime)); return nil }), false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) { keys.Policy = tc.policy })
			got := r.open("olga", newPage)
			require.Equal(t, http.StatusOK, got.StatusCode)
			require.Equal(t, tc.offered, strings.Contains(got.Body, `value="never"`))
			require.Contains(t, got.Body, `value="365d"`)
			require.Zero(t, r.count("team-a"))
			events, err := r.keys.Events(t.Context(), people["ada"].Actor, store.EventQuery{})
			require.NoError(t, err)
			require.Empty(t, events.Events, "nothing was stored")
		})
	}
}
