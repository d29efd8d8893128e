package admin_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// TestPages: each documented order, in both directions, over pages of two.
func TestPages(t *testing.T) {
	r := newRig(t)
	for i, name := range []string{"delta", "alpha", "echo", "bravo", "charlie"} {
		expiry := fmt.Sprintf(`"2027-0%d-01"`, 9-i)
		if name == "echo" {
			expiry = "null"
		}
		m := r.createWith("olga", "team-a", `{"name":"`+name+`","permissions":[],"expires_at":`+expiry+`}`)
		r.clock.Advance(time.Minute)
		if i != 1 {
			require.NoError(t, r.login(m.Key.ID, m.Secret))
		}
	}
	require.NoError(t, r.keys.Flush(t.Context()))
	for order, want := range map[string][]string{
		"":               {"delta", "alpha", "echo", "bravo", "charlie"},
		"sort=created":   {"delta", "alpha", "echo", "bravo", "charlie"},
		"sort=name":      {"alpha", "bravo", "charlie", "delta", "echo"},
		"sort=last_used": {"alpha", "delta", "echo", "bravo", "charlie"},
		"sort=expires":   {"charlie", "bravo", "alpha", "delta", "echo"},
	} {
		for _, direction := range []string{"", "&order=asc", "&order=desc"} {
			t.Run(order+direction, func(t *testing.T) {
				r := r.at(t)
				expected := slices.Clone(want)
				if direction == "&order=desc" {
					slices.Reverse(expected)
				}
				var got []string
				cursor := ""
				for {
					page := r.list("olga", "/workspaces/team-a/keys?limit=2&"+order+direction+cursor)
					got = append(got, page.names()...)
					if page.Next == nil {
						break
					}
					cursor = "&cursor=" + *page.Next
				}
				require.Equal(t, expected, got)
			})
		}
	}
}

func TestFilters(t *testing.T) {
	r := newRig(t)
	r.createWith("olga", "team-a", `{"name":"Alpha","permissions":["project.list"],"expires_at":"2027-01-31"}`)
	r.clock.Advance(time.Minute)
	bravo := r.createWith("max", "team-a", `{"name":"bravo","permissions":["project.save"],"expires_at":"2027-03-31T12:00:00Z"}`)
	r.clock.Advance(time.Minute)
	r.createWith("olga", "team-a", `{"name":"charlie","permissions":[]}`)
	r.clock.Advance(time.Minute)
	r.create("bert", "team-b", "delta")
	r.do("max", "POST", "/keys/"+bravo.Key.ID+"/disable", "").Wants(http.StatusOK)
	for query, want := range map[string][]string{
		"text=ALPHA":                            {"Alpha"},
		"text=" + bravo.Key.ID[:13]:             {"bravo"},
		"permission=project.save":               {"bravo"},
		"created_by=max":                        {"bravo"},
		"created_by=olga&created_by_kind=admin": {},
		"disabled=true":                         {"bravo"},
		"disabled=false":                        {"Alpha", "charlie"},
		"expires_from=2027-02-01":               {"Alpha", "bravo"},
		"expires_from=2027-02-01T00:00:01Z":     {"bravo"},
		"expires_to=2027-02-01":                 {},
		"expires_to=2027-02-02":                 {"Alpha"},
	} {
		t.Run(query, func(t *testing.T) {
			require.Equal(t, want, r.at(t).list("olga", "/workspaces/team-a/keys?"+query).names())
		})
	}
	require.Equal(t, []string{"Alpha", "bravo", "charlie", "delta"}, r.list("ada", "/keys").names())
	require.Equal(t, []string{"Alpha", "bravo", "charlie", "delta"}, r.list("ada", "/keys?sort=name").names())
}

// TestSortedListsAreBounded: the order by last use is only for workspaces of a bounded
// size, as the answer says. The other orders have no bound.
func TestSortedListsAreBounded(t *testing.T) {
	r := newRig(t)
	add := func(n int) {
		k := store.Key{ID: fmt.Sprint("key-", n), Workspace: "team-a", Name: "ci", Created: noon, Updated: noon, Epoch: 1}
		require.NoError(t, r.store.Keys.Create(t.Context(), k, store.NoLimit, store.Change{Now: noon}))
	}
	for n := range store.MaxSorted {
		add(n)
	}
	path := "/workspaces/team-a/keys?limit=1&sort="
	require.Len(t, r.list("olga", path+"last_used").Keys, 1)
	add(store.MaxSorted)
	p := r.do("olga", "GET", path+"last_used", "").problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
	require.Equal(t, "sort", p.Errors[0].Field)
	require.Len(t, r.list("olga", path+"expires").Keys, 1)
	require.Len(t, r.list("olga", path+"name").Keys, 1)
	require.Len(t, r.list("olga", path+"created").Keys, 1)
}

func TestExpiring(t *testing.T) {
	r := newRig(t)
	for name, day := range map[string]string{"soon": "2026-07-10", "later": "2026-08-20"} {
		r.createWith("olga", "team-a", `{"name":"`+name+`","permissions":[],"expires_at":"`+day+`"}`)
	}
	r.create("olga", "team-a", "never")
	r.createWith("bert", "team-b", `{"name":"theirs","permissions":[],"expires_at":"2026-07-05"}`)
	soon, later := "expires_from=2026-07-01T12:00:00.000001Z&expires_to=2026-08-01", "expires_from=2026-07-01&expires_to=2026-09-01"
	require.Equal(t, []string{"soon"}, r.list("olga", "/workspaces/team-a/keys?"+soon).names())
	require.Equal(t, []string{"soon", "later"}, r.list("olga", "/workspaces/team-a/keys?sort=expires&"+later).names())
	require.Empty(t, r.list("olga", "/workspaces/team-a/keys?expires_from=2026-07-01&expires_to=2026-07-02").names())
	require.ElementsMatch(t, []string{"soon", "theirs"}, r.list("ada", "/keys?"+soon).names())
	require.Equal(t, []string{"theirs", "soon", "later", "never"}, r.list("ada", "/keys?sort=expires").names())
	require.Equal(t, []string{"later", "soon", "theirs"}, r.list("ada", "/keys?sort=expires&order=desc&"+later).names())
}

// TestCursorsAreBound: a cursor is valid only for its actor, list and filter, and only
// unchanged.
func TestCursorsAreBound(t *testing.T) {
	r := newRig(t)
	for i := range 3 {
		r.create("both", "team-a", fmt.Sprint("a", i))
		r.create("both", "team-b", fmt.Sprint("b", i))
		r.clock.Advance(time.Minute)
	}
	next := func(actor, path string) string {
		page := r.list(actor, path)
		require.NotNil(t, page.Next)
		return *page.Next
	}
	mine := next("olga", "/workspaces/team-a/keys?limit=1")
	require.Equal(t, []string{"a1", "a2"}, r.list("olga", "/workspaces/team-a/keys?limit=2&cursor="+mine).names(), "pages may differ in size")

	raw, err := base64.RawURLEncoding.DecodeString(mine)
	require.NoError(t, err)
	flipped := func(at int) string {
		changed := bytes.Clone(raw)
		changed[at] ^= 1
		return base64.RawURLEncoding.EncodeToString(changed)
	}
	for name, c := range map[string]struct{ actor, path, cursor string }{
		"another actor":           {"max", "/workspaces/team-a/keys?limit=1", mine},
		"another workspace":       {"both", "/workspaces/team-b/keys?limit=1", next("both", "/workspaces/team-a/keys?limit=1")},
		"of all workspaces":       {"ada", "/workspaces/team-a/keys?limit=1", next("ada", "/keys?limit=1")},
		"an admin's":              {"olga", "/workspaces/team-a/keys?limit=1", next("ada", "/workspaces/team-a/keys?limit=1")},
		"of one with the same id": {"ada?", "/workspaces/team-a/keys?limit=1", next("ada", "/workspaces/team-a/keys?limit=1")},
		"another order":           {"olga", "/workspaces/team-a/keys?sort=name", mine},
		"another filter":          {"olga", "/workspaces/team-a/keys?text=a", mine},
		"another list":            {"olga", "/workspaces/team-a/violations", mine},
		"of keys, for events":     {"olga", "/workspaces/team-a/events", mine},
		"its place changed":       {"olga", "/workspaces/team-a/keys", flipped(len(raw) - 4)},
		"its signature changed":   {"olga", "/workspaces/team-a/keys", flipped(0)},
		"cut off":                 {"olga", "/workspaces/team-a/keys", mine[:len(mine)-3]},
		"too short":               {"olga", "/workspaces/team-a/keys", "AAAA"},
		"without a signature":     {"olga", "/workspaces/team-a/keys", base64.RawURLEncoding.EncodeToString(raw[16:])},
		"no base64":               {"olga", "/workspaces/team-a/keys", "%25%25"},
		"another spelling of it":  {"olga", "/workspaces/team-a/keys", mine + "="},
		"in two lines":            {"olga", "/workspaces/team-a/keys", mine[:9] + "%0A" + mine[9:]},
		"forged":                  {"olga", "/workspaces/team-a/keys", base64.RawURLEncoding.EncodeToString([]byte(`................{"i":"x"}`))},
	} {
		t.Run("B20 "+name, func(t *testing.T) {
			separator := "?"
			if bytes.ContainsRune([]byte(c.path), '?') {
				separator = "&"
			}
			p := r.at(t).do(c.actor, "GET", c.path+separator+"cursor="+c.cursor, "").problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
			require.Equal(t, "cursor", p.Errors[0].Field)
		})
	}
	t.Run("B20 another handler without the key", func(t *testing.T) {
		other := newRig(t, func(s *setup) { s.config.CursorKey = nil })
		other.do("olga", "GET", "/workspaces/team-a/keys?limit=1&cursor="+mine, "").problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
	})
	t.Run("a replica with the key", func(t *testing.T) {
		other := newRig(t, func(s *setup) { s.store = r.store })
		require.Equal(t, []string{"a1"}, other.list("olga", "/workspaces/team-a/keys?limit=1&cursor="+mine).names())
	})
}

// TestCursorsOfLongNames: a cursor works for keys with the longest names and ids.
func TestCursorsOfLongNames(t *testing.T) {
	for _, c := range []struct{ id, name string }{{"<", "<"}, {"&", "&"}, {`"`, `\`}, {"x", "\U0001F600"}} {
		t.Run(c.id+c.name, func(t *testing.T) {
			r := newRig(t, func(s *setup) { s.keys.Imported = true })
			for _, last := range []string{"1", "2", "3"} {
				_, err := r.keys.Import(t.Context(), people["ada"], apikey.ImportSpec{
					Spec:   apikey.Spec{Workspace: "team-a", Name: strings.Repeat(c.name, 254) + last},
					ID:     strings.Repeat(c.id, 254) + last,
					Secret: "one of another system's, 16 bytes or more",
				})
				require.NoError(t, err)
			}
			for _, sort := range []string{"created", "name"} {
				path := "/workspaces/team-a/keys?limit=1&sort=" + sort
				page := r.list("olga", path)
				for _, last := range []string{"1", "2", "3"} {
					require.Equal(t, []string{strings.Repeat(c.name, 254) + last}, page.names())
					if page.Next != nil {
						page = r.list("olga", path+"&cursor="+*page.Next)
					}
				}
				require.Nil(t, page.Next)
			}
		})
	}
}
