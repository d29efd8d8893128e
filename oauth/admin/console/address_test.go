package console_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// awkward are ids that a path could misread.
var awkward = []string{
	".", "..", "~.", "~..", "~~..", "~/", "~", "...", "a/b", "/", "//", "../x", "%2f", "%2e%2e", "a?b=c", "a#b", "a b", "+", "a&b;c=d", `a\b`, `"`, "ä/ü", "keys",
	strings.Repeat("/", 255), strings.Repeat("鍵", 255),
}

var links = regexp.MustCompile(`(?:href|action)="([^"]*)`)

// follow opens the first link of a page whose address contains the one text and ends with
// the other.
func (r *rig) follow(person string, from *page, holds, end string) *page {
	r.t.Helper()
	for _, match := range links.FindAllStringSubmatch(from.Body, -1) {
		address := html.UnescapeString(match[1])
		if !strings.Contains(address, holds) || !strings.HasSuffix(address, end) {
			continue
		}
		to, err := from.Request.URL.Parse(address)
		require.NoError(r.t, err)
		return r.get(person, strings.TrimPrefix(to.RequestURI(), prefix))
	}
	require.Fail(r.t, "no such link", "%s, %s in %s", holds, end, from.Body)
	return nil
}

func TestEveryIdHasAnAddress(t *testing.T) {
	for _, id := range awkward {
		t.Run(id[:min(20, len(id))], func(t *testing.T) {
			r := newRig(t, func(_ *store.Store, _ *apikey.Config, c *console.Config) {
				c.Authorize = func(*http.Request) (console.Person, error) {
					return console.Person{Actor: apikey.OrganizationAdmin("ada"), Workspaces: []string{id}}, nil
				}
			})
			shows := func(got *page) *page {
				t.Helper()
				require.Equal(t, http.StatusOK, got.StatusCode, got.Body)
				require.Contains(t, html.UnescapeString(got.Body), "<bdi>"+id+"</bdi>")
				return got
			}
			list := shows(r.follow("ada", r.get("ada", "/"), "./workspaces/", "/keys"))
			led := r.follow("ada", list, "./workspaces/", "/keys/new")
			form := r.get("ada", led.redirectTarget())
			made := r.post("ada", strings.TrimPrefix(form.Request.URL.RequestURI(), prefix), filled(form.fields()))
			require.Equal(t, http.StatusCreated, made.StatusCode, made.Body)
			page, err := r.keys.List(t.Context(), people["ada"].Actor, store.KeyQuery{Workspace: id})
			require.NoError(t, err)
			require.Len(t, page.Keys, 1)
			key := shows(r.get("ada", "/keys/"+page.Keys[0].ID))
			shows(r.follow("ada", key, "./workspaces/", "/keys"))
			shows(r.follow("ada", key, "./workspaces/", "/events"))
			rules := shows(r.follow("ada", r.get("ada", "/settings/workspaces"), "settings/workspaces/", ""))
			require.Contains(t, rules.Body, "1 key</a>")
			suspend := r.follow("ada", rules, "settings/workspaces/", "/suspend")
			r.post("ada", strings.TrimPrefix(suspend.Request.URL.RequestURI(), prefix), suspend.fields()).redirectTarget()
			workspace, _, err := r.keys.Workspace(t.Context(), people["ada"].Actor, id)
			require.NoError(t, err)
			require.True(t, workspace.Suspended)
		})
	}
}

func TestEveryKeyHasAnAddress(t *testing.T) {
	r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) { keys.Imported = true })
	for _, id := range []string{".", "..", "/", "~.", "~/", "a/b", "%2e", "new?", "#"} {
		t.Run(id, func(t *testing.T) {
			key, err := r.keys.Import(t.Context(), people["ada"].Actor, apikey.ImportSpec{
				ID: id, Secret: strings.Repeat("0123456789abcdef", 4),
				Spec: apikey.Spec{Workspace: "team-a", Name: "from " + id, Permissions: scope.MustParse("project.list")},
			})
			require.NoError(t, err)
			list := r.get("olga", "/workspaces/team-a/keys?text="+url.QueryEscape("from "+id))
			_, link, _ := strings.Cut(list.Body, `class="name" href="`)
			link, _, _ = strings.Cut(link, `"`)
			page := r.follow("olga", list, link, link)
			require.Contains(t, html.UnescapeString(page.Body), ">"+id+"</code>")
			ask := r.follow("olga", page, "/keys/", "/disable")
			require.Equal(t, http.StatusOK, ask.StatusCode, ask.Body)
			to := r.post("olga", strings.TrimPrefix(ask.Request.URL.RequestURI(), prefix), ask.fields()).redirectTarget()
			require.Contains(t, r.get("olga", to).Body, "The key was disabled")
			now, err := r.keys.Get(t.Context(), people["olga"].Actor, key.ID)
			require.NoError(t, err)
			require.True(t, now.Disabled)
		})
	}
}
