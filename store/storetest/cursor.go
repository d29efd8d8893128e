package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func cursorRules() []rule {
	return []rule{
		{
			name: "keys are created and deleted between pages",
			why:  "A key that exists while a caller follows the cursors is on exactly one of the pages, in order, even if others are created or deleted meanwhile: a cursor is a position, not a count.",
			run:  changeBetweenPages,
		},
		{
			name: "the key of the cursor is deleted",
			why:  "A cursor is a position by value. It stays valid when its key is deleted.",
			run: func(t tester, s store.Store) {
				for i := range 6 {
					create(t, s, plainKey("team-a", fmt.Sprintf("key-%d", i)))
				}
				for _, sort := range []store.KeySort{store.ByCreated, store.ByName, store.ByExpiry} {
					page, err := s.Keys.List(background, store.KeyQuery{Sort: sort, Limit: 2})
					must(t, "List", err)
					if len(page.Keys) != 2 || page.Next == nil {
						t.Fatalf("List: got %d keys and next %v, want 2 and a next page", len(page.Keys), page.Next)
					}
					remove(t, s, "team-a", page.Next.ID)
					rest := list(t, s, store.KeyQuery{Sort: sort, After: page.Next, Limit: 100})
					all := list(t, s, store.KeyQuery{Sort: sort, Limit: 100})
					equalList(t, "the rest", rest, all[1:])
				}
			},
		},
		{
			name: "the cursor's order breaks ties by id",
			why:  "Many keys may have one creation time or one name. The id decides the position of a cursor among them.",
			run: func(t tester, s store.Store) {
				want := []string{}
				for i := range 12 {
					k := plainKey("team-a", fmt.Sprintf("key-%02d", i*5%12))
					k.Name = "same"
					create(t, s, k)
					want = append(want, fmt.Sprintf("key-%02d", i))
				}
				for _, sort := range []store.KeySort{store.ByCreated, store.ByName, store.ByLastUsed, store.ByExpiry} {
					equalList(t, fmt.Sprintf("order %q", sort), list(t, s, store.KeyQuery{Workspace: "team-a", Sort: sort, Limit: 1}), want)
				}
			},
		},
		{
			name: "a renamed key moves",
			why:  "A list by name shows a renamed key at its new position only.",
			run: func(t tester, s store.Store) {
				for _, id := range []string{"a", "b", "c"} {
					create(t, s, plainKey("team-a", id))
				}
				k := plainKey("team-a", "a")
				k.Name = "z"
				update(t, s, k)
				want := []string{"b", "c", "a"}
				equalList(t, "all workspaces", list(t, s, store.KeyQuery{Sort: store.ByName}), want)
				equalList(t, "one workspace", list(t, s, store.KeyQuery{Sort: store.ByName, Workspace: "team-a"}), want)
			},
		},
		{
			name: "a key with another expiry moves",
			why:  "A list by expiry shows a key whose expiry was changed at its new position only.",
			run: func(t tester, s store.Store) {
				for i, id := range []string{"a", "b", "c"} {
					k := plainKey("team-a", id)
					k.NotAfter = noon.Add(time.Duration(i) * time.Hour)
					create(t, s, k)
				}
				for version, tc := range []struct {
					end  time.Time
					want []string
				}{
					{noon.Add(90 * time.Minute), []string{"b", "a", "c"}}, {time.Time{}, []string{"b", "c", "a"}}, {noon, []string{"a", "b", "c"}},
				} {
					k := plainKey("team-a", "a")
					k.NotAfter, k.Version = tc.end, int64(version+1)
					update(t, s, k)
					equalList(t, "all workspaces", list(t, s, store.KeyQuery{Sort: store.ByExpiry, Limit: 1}), tc.want)
					equalList(t, "one workspace", list(t, s, store.KeyQuery{Sort: store.ByExpiry, Workspace: "team-a"}), tc.want)
				}
				remove(t, s, "team-a", "b")
				equalList(t, "after a deletion", list(t, s, store.KeyQuery{Sort: store.ByExpiry}), []string{"a", "c"})
			},
		},
		{
			name: "a cursor gives no access to another workspace",
			why:  "A cursor comes from the client. Even with a position in another workspace a list shows keys of its own workspace only.",
			run: func(t tester, s store.Store) {
				create(t, s, plainKey("team-a", "key-a"), plainKey("team-b", "key-b"), plainKey("team-c", "key-c"))
				for _, sort := range []store.KeySort{store.ByCreated, store.ByName} {
					for _, descending := range []bool{false, true} {
						got := list(t, s, store.KeyQuery{
							Workspace: "team-b", Sort: sort, Descending: descending,
							After: &store.KeyCursor{ID: map[bool]string{false: "key-a", true: "key-c"}[descending], Time: noon, Name: map[bool]string{false: "key-a", true: "key-c"}[descending]},
						})
						equalList(t, fmt.Sprintf("order %q", sort), got, []string{"key-b"})
					}
				}
			},
		},
	}
}

// changeBetweenPages reads pages of four. Between two pages it creates and deletes keys
// before and after the cursor.
func changeBetweenPages(t tester, s store.Store) {
	for _, sort := range []store.KeySort{store.ByCreated, store.ByName} {
		for _, workspace := range []string{"", "team-a"} {
			for _, descending := range []bool{false, true} {
				what := fmt.Sprintf("order %q, workspace %q, descending %t", sort, workspace, descending)
				label := fmt.Sprintf("%s-%s-%t", sort, workspace, descending)
				at := func(place int, kind string) store.Key {
					k := plainKey("team-a", fmt.Sprintf("%s-%03d-%s", label, place, kind))
					k.Created = noon.Add(time.Duration(place) * time.Second)
					return k
				}
				var kept []string
				for place := 100; place < 140; place += 2 {
					create(t, s, at(place, "kept"), at(place, "deleted"))
					kept = append(kept, at(place, "kept").ID)
				}
				if descending {
					slices.Reverse(kept)
				}
				q := store.KeyQuery{Workspace: workspace, Sort: sort, Descending: descending, Limit: 4}
				var got []string
				for n := 0; ; n++ {
					page, err := s.Keys.List(background, q)
					must(t, what, err)
					for _, k := range page.Keys {
						got = append(got, k.ID)
					}
					if page.Next == nil || n > 100 {
						break
					}
					q.After = page.Next
					if n < 20 {
						create(t, s, at(101+2*n, "created"), at(99-n, "created"), at(141+n, "created"))
						remove(t, s, "team-a", at(100+2*n, "deleted").ID)
					}
				}
				seen := slices.DeleteFunc(slices.Clone(got), func(id string) bool { return !slices.Contains(kept, id) })
				equalList(t, what, seen, kept)
				slices.Sort(got)
				if unique := len(slices.Compact(slices.Clone(got))); unique != len(got) {
					t.Errorf("%s: %d keys were shown twice", what, len(got)-unique)
				}
				for _, id := range list(t, s, store.KeyQuery{}) {
					remove(t, s, "team-a", id)
				}
			}
		}
	}
}
