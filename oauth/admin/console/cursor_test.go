package console_test

import (
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
)

// listed returns the entries of a page of a list.
func (p *page) listed() string {
	p.T.Helper()
	require.Equal(p.T, http.StatusOK, p.StatusCode, p.Body)
	_, rest, _ := strings.Cut(p.Body, "<tbody>")
	entries, _, _ := strings.Cut(rest, "</tbody>")
	return entries
}

// rows returns the number of entries of a page of a list.
func (p *page) rows() int { p.T.Helper(); return strings.Count(p.listed(), "<tr>") }

// button returns the address of a button of a list, or the empty string.
func (p *page) button(label string) string {
	match := regexp.MustCompile(`<a class="button[^"]*" href="([^"]*)"[^>]*>` + label + `</a>`).FindStringSubmatch(p.Body)
	if match == nil {
		return ""
	}
	to, err := p.Request.URL.Parse(html.UnescapeString(match[1]))
	require.NoError(p.T, err)
	return strings.TrimPrefix(to.RequestURI(), prefix)
}

// newRigWithThreePages returns a rig with more keys than fit on two pages.
func newRigWithThreePages(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	for i := range 120 {
		_, _, err := r.keys.Create(t.Context(), people["ada"].Actor, apikey.Spec{
			Workspace: "team-a", Name: "key " + string(rune('a'+i%26)), Permissions: scope.MustParse("project.list"),
			Expiry: apikey.Expiry{At: r.clock.Now().Add(time.Duration(1+i%7) * 24 * time.Hour)},
		})
		require.NoError(t, err)
		if i%3 > 0 {
			r.clock.Advance(time.Second)
		}
	}
	return r
}

func TestPagesOfLists(t *testing.T) {
	r := newRigWithThreePages(t)
	settings, err := r.keys.Settings(t.Context(), people["ada"].Actor)
	require.NoError(t, err)
	settings.Rules.MaxLifetime = time.Hour
	_, err = r.keys.SaveSettings(t.Context(), people["ada"].Actor, settings)
	require.NoError(t, err)
	for _, list := range []string{
		"/workspaces/team-a/keys", "/workspaces/team-a/keys?sort=name", "/workspaces/team-a/keys?sort=-name", "/workspaces/team-a/keys?sort=expires",
		"/workspaces/team-a/keys?text=key&state=enabled&sort=created", "/workspaces/team-a/events", "/workspaces/team-a/events?action=key.create",
		"/settings/keys", "/settings/keys?sort=name", "/settings/events", "/settings/violations",
	} {
		t.Run(list, func(t *testing.T) {
			first := r.get("ada", list)
			require.Equal(t, 50, first.rows())
			require.Empty(t, first.button("First page"))
			second := r.get("ada", first.button("Next page"))
			require.Equal(t, 50, second.rows())
			third := r.get("ada", second.button("Next page"))
			require.Empty(t, third.button("Next page"))
			require.GreaterOrEqual(t, third.rows(), 20)
			require.NotEqual(t, first.listed(), second.listed())
			require.NotEqual(t, second.listed(), third.listed())
			for _, page := range []*page{second, third} {
				require.Equal(t, first.listed(), r.get("ada", page.button("First page")).listed())
			}
		})
	}
}

// The address of a page is short enough for proxies, whatever the names of keys.
func TestAddressesOfListsStayShort(t *testing.T) {
	r := newRig(t)
	for range 101 {
		r.made("team-a", strings.Repeat("<", 255), "project.list")
		r.clock.Advance(time.Second)
	}
	at := r.get("olga", "/workspaces/team-a/keys?sort=name")
	for range 2 {
		at = r.get("olga", at.button("Next page"))
		require.Less(t, len(at.Request.URL.RequestURI()), 4<<10)
	}
	require.Equal(t, 1, at.rows())
}

func TestCursorsAreSealed(t *testing.T) {
	r := newRigWithThreePages(t)
	for range 60 {
		r.made("team-b", "other", "project.list")
	}
	const list = "/workspaces/team-a/keys"
	second := r.get("olga", list).button("Next page")
	third := r.get("olga", second).button("Next page")
	at, err := url.Parse(third)
	require.NoError(t, err)
	cursor := at.Query().Get("cursor")
	require.Equal(t, 20, r.get("olga", third).rows())

	firsts := map[string]string{}
	first := func(person, path, cursor string) {
		t.Helper()
		if firsts[person+path] == "" {
			firsts[person+path] = r.get(person, path).listed()
		}
		got := r.get(person, path+"?cursor="+url.QueryEscape(cursor))
		require.Equal(t, firsts[person+path], got.listed())
		require.Empty(t, got.button("First page"))
	}
	t.Run("B20 another person's", func(t *testing.T) {
		first("max", list, cursor)
		first("ada", list, cursor)
		first("lena", list, cursor) // an owner, like Olga
	})
	t.Run("B20 of another workspace", func(t *testing.T) {
		of := r.get("ada", "/workspaces/team-b/keys").button("Next page")
		_, theirs, _ := strings.Cut(of, "cursor=")
		first("ada", list, theirs)
	})
	t.Run("B20 of another list", func(t *testing.T) {
		first("olga", "/workspaces/team-a/events", cursor)
		of := r.get("ada", "/settings/keys").button("Next page")
		_, all, _ := strings.Cut(of, "cursor=")
		first("ada", list, all)
		first("ada", "/settings/events", all)
	})
	t.Run("B20 changed in one of its bytes", func(t *testing.T) {
		whole, err := base64.RawURLEncoding.DecodeString(cursor)
		require.NoError(t, err)
		for i := 0; i < len(whole); i += 13 {
			forged := append([]byte(nil), whole...)
			forged[i] ^= 1
			first("olga", list, base64.RawURLEncoding.EncodeToString(forged))
		}
	})
	t.Run("B20 none at all", func(t *testing.T) {
		for _, none := range []string{"", "x", "AAAA", cursor[1:], cursor + "A", strings.Repeat("A", 20_000), "%"} {
			first("olga", list, none)
		}
	})
}
