package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

func listRules() []rule {
	return []rule{
		{
			name: "an empty list is no error",
			why:  "A workspace without keys gives an empty page and no error, in every order.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"))
				for _, sort := range []store.KeySort{"", store.ByCreated, store.ByName, store.ByLastUsed, store.ByExpiry} {
					page, err := s.Keys.List(background, store.KeyQuery{Workspace: "team-b", Sort: sort})
					must(t, "List", err)
					equal(t, "keys", len(page.Keys), 0)
					equal(t, "a next page", page.Next != nil, false)
				}
			},
		},
		{
			name: "shows whole keys",
			why:  "List returns the same record of a key as Lookup.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"))
				for _, sort := range []store.KeySort{"", store.ByName, store.ByLastUsed, store.ByExpiry} {
					page, err := s.Keys.List(background, store.KeyQuery{Workspace: "team-a", Sort: sort})
					must(t, "List", err)
					if len(page.Keys) != 1 {
						t.Fatalf("List: got %d keys, want 1", len(page.Keys))
					}
					equalKey(t, "listed key", page.Keys[0], newKey("team-a", "key-1"))
				}
			},
		},
		{
			name: "returns the settings of the keys",
			why:  "A page contains the instance's settings and those of the workspace of each of its keys, as Lookup returns them, so that a list shows the same state of a key as a login.",
			run:  settingsOfKeys,
		},
		{
			name: "a workspace sees its own keys only",
			why:  "A list of one workspace never shows a key of another, not even if the ids are similar.",
			run: func(t tester, s store.Store) {
				for _, workspace := range []string{"team", "team-a", "Team-a", "team-a ", "team-a0", "team-%"} {
					create(t, s, newKey(workspace, "key of "+workspace))
				}
				for _, sort := range []store.KeySort{"", store.ByName, store.ByLastUsed, store.ByExpiry} {
					for _, workspace := range []string{"team", "team-a", "Team-a", "team-a ", "team-a0", "team-%"} {
						for _, descending := range []bool{false, true} {
							got := list(t, s, store.KeyQuery{Workspace: workspace, Sort: sort, Descending: descending})
							equalList(t, "keys of "+workspace, got, []string{"key of " + workspace})
						}
					}
				}
			},
		},
		{
			name: "every order, both ways, in pages of every size",
			why:  "Pages follow each other without gap or repetition. Keys with the same value are in the order of their ids. Next is nil on the last page, also if that is full. Descending is the exact reverse.",
			run:  everyOrder,
		},
		{
			name: "names are in byte order",
			why:  "ByName is byte order: capitals come first, accents last, and no collation is used.",
			run: func(t tester, s store.Store) {
				names := []string{"", " a", "10", "9", "B", "Z", "a", "a ", "ab", "b", "É", "é"}
				for i, name := range names {
					k := plainKey("team-a", fmt.Sprintf("key-%02d", 50-i))
					k.Name = name
					create(t, s, k)
				}
				page, err := s.Keys.List(background, store.KeyQuery{Sort: store.ByName})
				must(t, "List", err)
				var got []string
				for _, k := range page.Keys {
					got = append(got, k.Name)
				}
				equalList(t, "names", got, names)
			},
		},
		{
			name: "keys that never expire come last",
			why:  "ByExpiry puts keys without an expiry after all others. In descending order they come first.",
			run: func(t tester, s store.Store) {
				for i, end := range []time.Time{{}, noon.AddDate(0, 1, 0), noon.AddDate(-30, 0, 0), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), {}} {
					k := plainKey("team-a", fmt.Sprintf("key-%d", i))
					k.NotAfter = end
					create(t, s, k)
				}
				want := []string{"key-2", "key-1", "key-3", "key-0", "key-4"}
				equalList(t, "ascending", list(t, s, store.KeyQuery{Workspace: "team-a", Sort: store.ByExpiry, Limit: 2}), want)
				slices.Reverse(want)
				equalList(t, "descending", list(t, s, store.KeyQuery{Workspace: "team-a", Sort: store.ByExpiry, Limit: 2, Descending: true}), want)
			},
		},
		{
			name: "the size of a page",
			why:  "A page holds Limit keys, 1 to MaxPage; 0 means 100; anything else is an error, not another size.",
			run: func(t tester, s store.Store) {
				for i := range 105 {
					create(t, s, plainKey("team-a", fmt.Sprintf("key-%03d", i)))
				}
				for limit, want := range map[int]int{0: 100, 1: 1, 104: 104, 105: 105, store.MaxPage: 105} {
					page, err := s.Keys.List(background, store.KeyQuery{Limit: limit})
					must(t, "List", err)
					equal(t, fmt.Sprint("keys on a page of ", limit), len(page.Keys), want)
					equal(t, "a next page", page.Next != nil, want < 105)
				}
				for _, limit := range []int{-1, store.MaxPage + 1} {
					if _, err := s.Keys.List(background, store.KeyQuery{Limit: limit}); err == nil || store.IsOutage(err) {
						t.Errorf("Limit %d: %v, want an error that is no outage", limit, err)
					}
				}
			},
		},
		{
			name: "the order by last use is for one workspace",
			why:  "ByLastUsed over all workspaces, and unknown orders, are errors that say so.",
			run: func(t tester, s store.Store) {
				for _, sort := range []store.KeySort{store.ByLastUsed, "digest", "name; drop table"} {
					if _, err := s.Keys.List(background, store.KeyQuery{Sort: sort}); err == nil {
						t.Errorf("Sort %q over all workspaces: no error", sort)
					}
				}
				if _, err := s.Keys.List(background, store.KeyQuery{Workspace: "team-a", Sort: "digest"}); err == nil {
					t.Errorf("an unknown order: no error")
				}
			},
		},
		{
			name: "conditions",
			why:  "Each condition keeps exactly the keys that it describes. A key must meet all conditions.",
			run:  conditions,
		},
		{
			name: "keys of a creator",
			why:  "CreatorID keeps the keys that an actor created, whatever its kind, and keys with a credential that it created, as long as they have that credential.",
			run: func(t tester, s store.Store) {
				person, key := store.ActorRef{Kind: "owner", ID: "person-1"}, store.ActorRef{Kind: "key", ID: "creator"}
				of := func(id string, creator store.ActorRef, credentials ...store.ActorRef) store.Key {
					k := plainKey("team-a", id)
					k.CreatedBy, k.Credentials = creator, nil
					for i, by := range credentials {
						k.Credentials = append(k.Credentials, store.Credential{ID: fmt.Sprint("s", i, "-", id), Digest: "d", Created: noon, CreatedBy: by})
						if i > 0 {
							k.Credentials[i].Digest, k.Credentials[i].Trust = "", &store.Trust{Issuer: "github"}
						}
					}
					return k
				}
				rotated := of("rotated", person, person, key)
				create(t, s, of("owned", person, person), of("administered", store.ActorRef{Kind: "admin", ID: "person-1"}),
					of("made", key, key), rotated, of("other", store.ActorRef{Kind: "owner", ID: "person"}), of("Other", store.ActorRef{Kind: "key", ID: "Creator"}))
				by := func(id string) []string {
					return list(t, s, store.KeyQuery{CreatorID: id, Sort: store.ByName})
				}
				equalList(t, "created by the person", by("person-1"), []string{"administered", "owned", "rotated"})
				equalList(t, "created by the key", by("creator"), []string{"made", "rotated"})
				equalList(t, "created by an unknown actor", by("crea"), []string{})
				equalList(t, "created by the key, in another workspace", list(t, s, store.KeyQuery{CreatorID: "creator", Workspace: "team-b"}), []string{})
				rotated.Credentials = append(rotated.Credentials[:1], store.Credential{ID: "s9-rotated", Digest: "d", Created: noon, CreatedBy: store.ActorRef{Kind: "key", ID: "later"}})
				update(t, s, rotated)
				equalList(t, "created by the key, after its trust was removed", by("creator"), []string{"made"})
				equalList(t, "created by the key that rotated", by("later"), []string{"rotated"})
				remove(t, s, "team-a", "made")
				equalList(t, "created by the key, after a deletion", by("creator"), []string{})
			},
		},
		{
			name: "more than MaxSorted keys",
			soak: true,
			why:  "ByLastUsed works up to MaxSorted keys of a workspace; above that it is an error that says so. ByExpiry has no bound.",
			run: func(t tester, s store.Store) {
				for i := range store.MaxSorted + 1 {
					create(t, s, plainKey("team-a", fmt.Sprintf("key-%05d", i)))
				}
				q := store.KeyQuery{Workspace: "team-a", Sort: store.ByLastUsed, Limit: store.MaxPage}
				if _, err := s.Keys.List(background, q); err == nil {
					t.Errorf("Sort %q: no error", q.Sort)
				}
				all := store.KeyQuery{Sort: store.ByExpiry, Limit: store.MaxPage}
				equal(t, "keys by expiry", len(list(t, s, all)), store.MaxSorted+1)
				remove(t, s, "team-a", "key-00007")
				equal(t, "keys by last use", len(list(t, s, q)), store.MaxSorted)
			},
		},
	}
}

// list reads all pages and returns the ids of the keys.
func list(t tester, s store.Store, q store.KeyQuery) []string {
	t.Helper()
	ids := []string{}
	for range store.MaxSorted {
		page, err := s.Keys.List(background, q)
		if err != nil {
			t.Fatalf("List(%+v): %v", q, err)
		}
		for _, k := range page.Keys {
			ids = append(ids, k.ID)
		}
		if page.Next == nil {
			return ids
		}
		q.After = page.Next
	}
	t.Fatalf("List(%+v): the pages never end", q)
	return nil
}

// createMany creates keys in two workspaces, unordered, some with the same creation
// time, name, expiry or last use, and returns them.
func createMany(t tester, s store.Store) []store.Key {
	t.Helper()
	var keys []store.Key
	var uses []store.Use
	for i := range 24 {
		k := plainKey([]string{"team-a", "team-a", "team-b"}[i%3], fmt.Sprintf("key-%02d", i*7%24))
		k.Name = fmt.Sprintf("name %d", i*5%24/3)
		k.Created = noon.Add(time.Duration(i*11%24/4) * time.Second)
		if i%5 != 0 {
			k.NotAfter = noon.Add(time.Duration(i*13%24/5) * time.Hour)
		}
		if i%4 != 0 {
			k.LastUsed = noon.Add(time.Duration(i*17%24/6) * time.Minute)
			uses = append(uses, store.Use{Key: k.ID, Credential: k.Credentials[0].ID, At: k.LastUsed})
		}
		keys = append(keys, k)
		fresh := k
		fresh.LastUsed = time.Time{}
		create(t, s, fresh)
	}
	must(t, "RecordUses", s.Upkeep.RecordUses(background, uses))
	return keys
}

func settingsOfKeys(t tester, s store.Store) {
	create(t, s, newKey("team-a", "key-1"), newKey("team-b", "key-2"), newKey("team b", "key-3"), newKey("team-a", "key-4"))
	check := func() {
		for _, workspace := range []string{"", "team-a", "team-b", "team b"} {
			for _, sort := range []store.KeySort{store.ByCreated, store.ByName, store.ByLastUsed, store.ByExpiry} {
				if workspace == "" && sort == store.ByLastUsed {
					continue
				}
				page, err := s.Keys.List(background, store.KeyQuery{Workspace: workspace, Sort: sort})
				must(t, "List", err)
				for _, k := range page.Keys {
					found := lookup(t, s, k.ID)
					equalText(t, "settings of the workspace of "+k.ID, workspaceText(page.Workspaces[k.Workspace]), workspaceText(found.Workspace))
					equalText(t, "settings of the instance", instanceText(page.Instance), instanceText(found.Instance))
				}
			}
		}
		page, err := s.Keys.List(background, store.KeyQuery{CreatorID: "key-of-key-2", Limit: 1})
		must(t, "List", err)
		equalText(t, "settings of a creator's key", workspaceText(page.Workspaces["team-b"]), workspaceText(workspace(t, s, "team-b")))
	}
	check() // never saved
	w := store.Workspace{ID: "team-b", Suspended: true, Rules: someRules(), Updated: noon}
	must(t, "SetWorkspace", s.Settings.SetWorkspace(background, w, store.Change{Now: noon}))
	in := store.Instance{KeysOff: true, Rules: someRules(), Updated: noon}
	must(t, "SetInstance", s.Settings.SetInstance(background, store.InstanceSettings{Instance: in}, store.Change{Now: noon}))
	check()
}

func everyOrder(t tester, s store.Store) {
	keys := createMany(t, s)
	expiry := func(k store.Key) time.Time {
		if k.NotAfter.IsZero() {
			return farAhead
		}
		return k.NotAfter
	}
	for _, tc := range []struct {
		sort       store.KeySort
		workspaces []string
		order      func(a, b store.Key) int
	}{
		{"", []string{"", "team-a", "team-b"}, func(a, b store.Key) int { return a.Created.Compare(b.Created) }},
		{store.ByCreated, []string{"", "team-a", "team-b"}, func(a, b store.Key) int { return a.Created.Compare(b.Created) }},
		{store.ByName, []string{"", "team-a", "team-b"}, func(a, b store.Key) int { return strings.Compare(a.Name, b.Name) }},
		{store.ByLastUsed, []string{"team-a", "team-b"}, func(a, b store.Key) int { return a.LastUsed.Compare(b.LastUsed) }},
		{store.ByExpiry, []string{"", "team-a", "team-b"}, func(a, b store.Key) int { return expiry(a).Compare(expiry(b)) }},
	} {
		sorted := slices.SortedFunc(slices.Values(keys), func(a, b store.Key) int {
			return cmp.Or(tc.order(a, b), strings.Compare(a.ID, b.ID))
		})
		for _, workspace := range tc.workspaces {
			want := []string{}
			for _, k := range sorted {
				if workspace == "" || k.Workspace == workspace {
					want = append(want, k.ID)
				}
			}
			for _, limit := range []int{1, 3, 8, 16, 24, 100} {
				q := store.KeyQuery{Workspace: workspace, Sort: tc.sort, Limit: limit}
				equalList(t, fmt.Sprintf("order %q of %q in pages of %d", tc.sort, workspace, limit), list(t, s, q), want)
				q.Descending = true
				reversed := slices.Clone(want)
				slices.Reverse(reversed)
				equalList(t, fmt.Sprintf("order %q of %q, descending, in pages of %d", tc.sort, workspace, limit), list(t, s, q), reversed)
			}
		}
	}
}

func conditions(t tester, s store.Store) {
	keys := createMany(t, s)
	for i := range keys {
		k := keys[i]
		k.Disabled = i%3 == 0
		k.Permissions = scope.MustParse([]string{"project.list", "project.list project.read", "project.listing", ""}[i%4])
		if i%6 == 0 {
			k.Name = []string{"Deploy 50%_x", "DEPLOY 50xyx", `back\slash`, "Größe"}[i/6]
		}
		update(t, s, k)
		k.Version = 2
		keys[i] = k
	}
	person := newKey("team-a", "key-made-by-a-person")
	other := newKey("team-a", "key-made-by-another")
	other.CreatedBy = store.ActorRef{Kind: "key", ID: "person-1"}
	create(t, s, person, other)
	keys = append(keys, person, other)
	on, off := true, false
	from, to := noon.Add(time.Hour), noon.Add(3*time.Hour)
	usedFrom, usedTo := noon.Add(time.Minute), noon.Add(3*time.Minute)
	inRange := func(k store.Key) bool {
		return !k.NotAfter.IsZero() && !k.NotAfter.Before(from) && k.NotAfter.Before(to)
	}
	named := func(names ...string) func(store.Key) bool {
		return func(k store.Key) bool { return slices.Contains(names, k.Name) }
	}
	for _, tc := range []struct {
		what string
		q    store.KeyQuery
		want func(k store.Key) bool
	}{
		{"disabled", store.KeyQuery{Disabled: &on}, func(k store.Key) bool { return k.Disabled }},
		{"not disabled", store.KeyQuery{Disabled: &off}, func(k store.Key) bool { return !k.Disabled }},
		{"permission", store.KeyQuery{Permission: "project.list"}, func(k store.Key) bool { return k.Permissions.Has("project.list") }},
		{"permission that is part of a name", store.KeyQuery{Permission: "project"}, func(store.Key) bool { return false }},
		{"expiry from", store.KeyQuery{NotAfterFrom: from}, func(k store.Key) bool { return !k.NotAfter.IsZero() && !k.NotAfter.Before(from) }},
		{"expiry to", store.KeyQuery{NotAfterTo: to}, func(k store.Key) bool { return !k.NotAfter.IsZero() && k.NotAfter.Before(to) }},
		{"expiry from and to", store.KeyQuery{NotAfterFrom: from, NotAfterTo: to}, inRange},
		{"last use from", store.KeyQuery{LastUsedFrom: usedFrom}, func(k store.Key) bool { return !k.LastUsed.Before(usedFrom) }},
		{"last use to", store.KeyQuery{LastUsedTo: usedTo}, func(k store.Key) bool { return !k.LastUsed.IsZero() && k.LastUsed.Before(usedTo) }},
		{"last use from and to", store.KeyQuery{LastUsedFrom: usedFrom, LastUsedTo: usedTo}, func(k store.Key) bool {
			return !k.LastUsed.Before(usedFrom) && k.LastUsed.Before(usedTo)
		}},
		{"last use long ago", store.KeyQuery{LastUsedFrom: noon.AddDate(-100, 0, 0), LastUsedTo: noon.AddDate(-99, 0, 0)}, func(store.Key) bool { return false }},
		{"creator", store.KeyQuery{CreatedBy: store.ActorRef{Kind: "owner", ID: "person-1"}}, named(person.Name)},
		{"creator of any kind", store.KeyQuery{CreatedBy: store.ActorRef{ID: "person-1"}}, named(person.Name, other.Name)},
		{"unknown creator", store.KeyQuery{CreatedBy: store.ActorRef{Kind: "owner", ID: "person"}}, named()},
		{"text in any case", store.KeyQuery{Text: "dEPLOY"}, named("Deploy 50%_x", "DEPLOY 50xyx")},
		{"text of an id", store.KeyQuery{Text: "KEY-1"}, func(k store.Key) bool { return strings.Contains(k.ID, "key-1") }},
		{"text with a percent sign", store.KeyQuery{Text: "50%"}, named("Deploy 50%_x")},
		{"text with an underscore", store.KeyQuery{Text: "%_x"}, named("Deploy 50%_x")},
		{"text with a backslash", store.KeyQuery{Text: `k\s`}, named(`back\slash`)},
		{"text beyond ASCII", store.KeyQuery{Text: "größ"}, named("Größe")},
		{"text in no key", store.KeyQuery{Text: "deploy' OR 1=1 --"}, named()},
		{"several", store.KeyQuery{Disabled: &off, NotAfterFrom: from, NotAfterTo: to, Text: "name", Permission: "project.list"}, func(k store.Key) bool {
			return !k.Disabled && inRange(k) && k.Permissions.Has("project.list") && strings.Contains(k.Name, "name")
		}},
	} {
		for _, workspace := range []string{"", "team-a"} {
			sorts := []store.KeySort{store.ByCreated, store.ByName, store.ByExpiry}
			if workspace != "" {
				sorts = append(sorts, store.ByLastUsed)
			}
			want := []string{}
			for _, k := range keys {
				if tc.want(k) && (workspace == "" || k.Workspace == workspace) {
					want = append(want, k.ID)
				}
			}
			slices.Sort(want)
			for _, sort := range sorts {
				q := tc.q
				q.Workspace, q.Sort, q.Limit = workspace, sort, 2
				got := list(t, s, q)
				slices.Sort(got)
				equalList(t, fmt.Sprintf("%s, workspace %q, order %q", tc.what, workspace, sort), got, want)
			}
		}
	}
}
