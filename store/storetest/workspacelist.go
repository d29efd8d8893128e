package storetest

import (
	"fmt"
	"slices"

	"github.com/latchkey-go/latchkey/store"
)

func workspaceListRules() []rule {
	return []rule{
		{
			name: "an empty store has none",
			why:  "Without keys and saved settings the page is empty, without an error and without a next page.",
			run: func(t tester, s store.Store) {
				page, err := s.Workspaces.List(background, "", 0)
				must(t, "List", err)
				equal(t, "workspaces", len(page.Workspaces), 0)
				equal(t, "Next", page.Next, "")
			},
		},
		{
			name: "workspaces with keys or a record",
			why:  "A workspace is listed while it has keys or a saved record, with the record that Settings.Workspace returns.",
			run:  keysOrRecord,
		},
		{
			name: "pages of every size, in byte order",
			why:  "Pages follow each other in byte order of the ids without gap or repetition, and the last one has no Next.",
			run: func(t tester, s store.Store) {
				ids := []string{" a", "%41", "A", "B", "a", "a ", "a/b", "a:b", "ab", "b", "é", "日本"}
				for _, id := range []string{"b", "日本", "a ", "é", "A", "%41", "a/b", " a", "a:b", "a", "ab", "B"} {
					create(t, s, plainKey(id, "key of "+id))
				}
				for _, limit := range []int{0, 1, 2, 5, 11, 12, 13, store.MaxPage} {
					equalList(t, fmt.Sprint("in pages of ", limit), listWorkspaces(t, s, limit), ids)
				}
				for _, limit := range []int{-1, store.MaxPage + 1} {
					if _, err := s.Workspaces.List(background, "", limit); err == nil || store.IsOutage(err) {
						t.Errorf("limit %d: %v, want an error that is no outage", limit, err)
					}
				}
			},
		},
		{
			name: "the cursor is a position",
			why:  "A cursor stays valid when its workspace is no longer listed, and when others come and go. Those that stay are shown once.",
			run: func(t tester, s store.Store) {
				for _, id := range []string{"a", "b", "c", "d"} {
					create(t, s, plainKey(id, "key-"+id))
				}
				page, err := s.Workspaces.List(background, "", 2)
				must(t, "List", err)
				equal(t, "Next", page.Next, "b")
				remove(t, s, "b", "key-b")
				create(t, s, plainKey("aa", "key-aa"), plainKey("ab", "key-ab"), plainKey("cc", "key-cc"))
				page, err = s.Workspaces.List(background, "b", 2)
				must(t, "List", err)
				rest := idsOf(page.Workspaces)
				for page.Next != "" {
					page, err = s.Workspaces.List(background, page.Next, 2)
					must(t, "List", err)
					rest = append(rest, idsOf(page.Workspaces)...)
				}
				equalList(t, "the rest", rest, []string{"c", "cc", "d"})
			},
		},
		{
			name: "counts under races",
			why:  "Counts are written with the change: after concurrent creations and deletions of keys, the list counts what is left.",
			run:  raceCounts,
		},
	}
}

func keysOrRecord(t tester, s store.Store) {
	check := func(what string, want ...string) {
		t.Helper()
		equalList(t, what, listWorkspaces(t, s, 2), want)
		page, err := s.Workspaces.List(background, "", 0)
		must(t, "List", err)
		for _, w := range page.Workspaces {
			stored := workspace(t, s, w.ID)
			equalText(t, what+", "+w.ID, append(workspaceText(w), fmt.Sprint("Epoch ", w.Epoch)), append(workspaceText(stored), fmt.Sprint("Epoch ", stored.Epoch)))
		}
	}
	off := newKey("team-a", "key-2")
	off.Disabled = true
	create(t, s, newKey("team-a", "key-1"), off, newKey("team-c", "key-3"))
	check("created", "team-a", "team-c")
	equal(t, "keys", listed(t, s, "team-a").Keys, 2)
	for _, w := range []store.Workspace{{ID: "team-b", Suspended: true, Updated: noon}, {ID: "team-c", Rules: someRules()}, {ID: "team-d"}} {
		must(t, "SetWorkspace", s.Settings.SetWorkspace(background, w, store.Change{Now: noon}))
	}
	check("saved", "team-a", "team-b", "team-c", "team-d")
	equal(t, "Suspended", listed(t, s, "team-b").Suspended, true)
	remove(t, s, "team-a", "key-1")
	check("one deleted", "team-a", "team-b", "team-c", "team-d")
	remove(t, s, "team-a", "key-2")
	remove(t, s, "team-c", "key-3")
	check("the last deleted", "team-b", "team-c", "team-d")
	create(t, s, newKey("team-a", "key-4"), newKey("team-e", "key-5"))
	deleteWorkspace(t, s, "team-a")
	deleteWorkspace(t, s, "never-seen")
	check("deleted", "never-seen", "team-a", "team-b", "team-c", "team-d", "team-e")
	equal(t, "keys of a deleted workspace", listed(t, s, "team-a").Keys, 0)
	equal(t, "Deleted", listed(t, s, "team-a").Deleted, true)
}

func raceCounts(t tester, s store.Store) {
	const most, n = 7, 24
	want := []string{}
	for round := range 4 {
		id := fmt.Sprint("team-", round)
		errs := race(n, func(i int) error {
			return s.Keys.Create(background, plainKey(id, fmt.Sprintf("key-%d-%d", round, i)), most, store.Change{Now: noon})
		})
		equal(t, "creates that succeeded", wins(t, "Create", errs, store.ErrLimit), most)
		equal(t, "keys counted", listed(t, s, id).Keys, most)
		deletions := race(n, func(i int) error {
			if round == 3 && i == 5 {
				return s.Settings.DeleteWorkspace(background, id, noon, store.Change{Now: noon})
			}
			if errs[i] != nil || round == 1 && i%2 == 0 {
				return store.ErrNotFound
			}
			return s.Keys.Delete(background, id, fmt.Sprintf("key-%d-%d", round, i), 0, noon, store.Change{Now: noon})
		})
		deleted := wins(t, "Delete", deletions, store.ErrNotFound)
		switch round {
		case 1:
			if left := most - deleted; left > 0 {
				want = append(want, id)
				equal(t, "keys left", listed(t, s, id).Keys, left)
			}
		case 3:
			want = append(want, id)
			equal(t, "keys left of a deleted workspace", listed(t, s, id).Keys, 0)
		}
	}
	equalList(t, "workspaces", listWorkspaces(t, s, 3), want)
}

// listWorkspaces reads all pages and returns the ids.
func listWorkspaces(t tester, s store.Store, limit int) []string {
	t.Helper()
	ids, after := []string{}, ""
	for range store.MaxPage {
		page, err := s.Workspaces.List(background, after, limit)
		must(t, "List", err)
		ids = append(ids, idsOf(page.Workspaces)...)
		if after = page.Next; after == "" {
			return ids
		}
	}
	t.Fatalf("Workspaces.List: the pages never end")
	return nil
}

func idsOf(workspaces []store.Workspace) []string {
	ids := []string{}
	for _, w := range workspaces {
		ids = append(ids, w.ID)
	}
	return ids
}

// listed returns the listed record of a workspace.
func listed(t tester, s store.Store, id string) store.Workspace {
	t.Helper()
	page, err := s.Workspaces.List(background, "", store.MaxPage)
	must(t, "List", err)
	i := slices.IndexFunc(page.Workspaces, func(w store.Workspace) bool { return w.ID == id })
	if i < 0 {
		t.Fatalf("workspace %q is not listed", id)
	}
	return page.Workspaces[i]
}
