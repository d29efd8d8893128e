package storetest

import (
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func createRules() []rule {
	return []rule{
		{
			name: "keeps every field",
			why:  "A key is returned as it was stored.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				equalKey(t, "key", lookup(t, s, "key-1").Key, k)
				plain := plainKey("team-a", "key-2")
				create(t, s, plain)
				equalKey(t, "key with few fields", lookup(t, s, "key-2").Key, plain)
			},
		},
		{
			name: "starts at version 1",
			why:  "Create adds a key with Version 1, whatever version the caller passes.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				k.Version = 41
				create(t, s, k)
				equal(t, "Version", lookup(t, s, "key-1").Key.Version, 1)
			},
		},
		{
			name: "stores times in UTC",
			why:  "Times are stored to the microsecond or better and returned in UTC. The zero time is returned as the zero time.",
			run:  keepsInstants,
		},
		{
			name: "an id is unique",
			why:  "An id is unique in the store, across workspaces. A refused creation does not change the key with that id.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				other := newKey("team-a", "key-1")
				other.Name = "another"
				wantError(t, "Create again", s.Keys.Create(background, other, store.NoLimit, store.Change{}), store.ErrExists)
				other.Workspace = "team-b"
				wantError(t, "Create in another workspace", s.Keys.Create(background, other, store.NoLimit, store.Change{}), store.ErrExists)
				equalKey(t, "first key", lookup(t, s, "key-1").Key, k)
				equal(t, "keys of the other workspace", workspace(t, s, "team-b").Keys, 0)
			},
		},
		{
			name: "ids are compared byte by byte",
			why:  "Ids that differ in case, accents or trailing space are different ids; a database's collation must not treat them as equal.",
			run: func(t tester, s store.Store) {
				ids := []string{"key", "Key", "KEY", "kéy", "key ", " key", "ke\u0301y"}
				for _, id := range ids {
					create(t, s, newKey("team-a", id))
				}
				for _, id := range ids {
					equalKey(t, "key", lookup(t, s, id).Key, newKey("team-a", id))
				}
			},
		},
		{
			name: "ids may have 255 bytes",
			why:  "The ids of keys and workspaces may have 255 bytes, and all of them are compared.",
			run: func(t tester, s store.Store) {
				long := strings.Repeat("x", 254)
				one, two := newKey(long+"1", long+"a"), newKey(long+"2", long+"b")
				one.Credentials, two.Credentials = one.Credentials[:0], two.Credentials[:0]
				create(t, s, one, two)
				equal(t, "Workspace", lookup(t, s, long+"a").Key.Workspace, long+"1")
				equal(t, "Workspace", lookup(t, s, long+"b").Key.Workspace, long+"2")
				equal(t, "Keys", workspace(t, s, long+"1").Keys, 1)
			},
		},
		{
			name: "names need not be unique",
			why:  "Names are for people; two keys may share one.",
			run: func(t tester, s store.Store) {
				one, two := newKey("team-a", "key-1"), newKey("team-a", "key-2")
				one.Name, two.Name = "deployment", "deployment"
				create(t, s, one, two)
			},
		},
		{
			name: "the limit holds",
			why:  "If a workspace holds limit keys or more, Create returns ErrLimit. Keys of other workspaces do not count, and NoLimit never refuses.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-b", "other"))
				attempt := func(id string, limit int) error {
					return s.Keys.Create(background, newKey("team-a", id), limit, store.Change{})
				}
				wantError(t, "limit 0", attempt("key-0", 0), store.ErrLimit)
				must(t, "limit 1, none yet", attempt("key-1", 1))
				wantError(t, "limit 1, one exists", attempt("key-2", 1), store.ErrLimit)
				must(t, "limit 2, one exists", attempt("key-2", 2))
				wantError(t, "a limit below the number of keys", attempt("key-3", 1), store.ErrLimit)
				must(t, "no limit", attempt("key-3", store.NoLimit))
				equal(t, "keys", workspace(t, s, "team-a").Keys, 3)
			},
		},
		{
			name: "disabled and expired keys count",
			why:  "Disabled and expired keys count against the limit, deleted ones do not.",
			run: func(t tester, s store.Store) {
				disabled, expired := newKey("team-a", "disabled"), newKey("team-a", "expired")
				disabled.Disabled, expired.NotAfter = true, noon.AddDate(-10, 0, 0)
				create(t, s, disabled, expired)
				err := s.Keys.Create(background, newKey("team-a", "key-1"), 2, store.Change{Now: noon})
				wantError(t, "Create", err, store.ErrLimit)
			},
		},
		{
			name: "a refused create does not count",
			why:  "A failed call neither counts against the limit nor takes the id.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"))
				for range 3 {
					err := s.Keys.Create(background, newKey("team-a", "key-1"), 2, store.Change{})
					wantError(t, "Create again", err, store.ErrExists)
				}
				wantError(t, "full", s.Keys.Create(background, newKey("team-a", "key-2"), 1, store.Change{}), store.ErrLimit)
				must(t, "Create of a second key", s.Keys.Create(background, newKey("team-a", "key-2"), 2, store.Change{}))
			},
		},
		{
			name: "checks in order",
			why:  "Create checks the one-time id first, then whether the workspace was deleted, then the id, then the limit. Retries rely on this order.",
			run:  createOrder,
		},
		{
			name: "keeps a key without credentials",
			why:  "The last credential of a key can be removed. The key stays, and can get another one.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				credentials := k.Credentials
				k.Credentials = nil
				must(t, "Update to no credential", s.Keys.Update(background, k, store.Change{}))
				equal(t, "credentials", len(lookup(t, s, "key-1").Key.Credentials), 0)
				k.Credentials, k.Version = credentials[3:], 2
				must(t, "Update to one credential", s.Keys.Update(background, k, store.Change{}))
				equal(t, "credentials", len(lookup(t, s, "key-1").Key.Credentials), 1)
			},
		},
		{
			name: "copies in and out",
			why:  "Records are copied in and out, with all that pointers lead to: a caller may change what it passed or got.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				want := k.Clone()
				create(t, s, k)
				scribble(&k)
				got := lookup(t, s, "key-1").Key
				equalKey(t, "after the caller changed what it passed", got, want)
				scribble(&got)
				equalKey(t, "after the caller changed what it got", lookup(t, s, "key-1").Key, want)
				page, err := s.Keys.List(background, store.KeyQuery{Workspace: "team-a"})
				must(t, "List", err)
				if len(page.Keys) != 1 {
					t.Fatalf("List: got %d keys, want 1", len(page.Keys))
				}
				scribble(&page.Keys[0])
				got = lookup(t, s, "key-1").Key
				equalKey(t, "after the caller changed what it listed", got, want)
				k, want.Version = got.Clone(), 2
				k.Credentials[0].ID, want.Credentials[0].ID = "s3-key-1", "s3-key-1"
				k.Credentials[2].ID, want.Credentials[2].ID = "p2-key-1", "p2-key-1"
				k.Credentials[3].ID, want.Credentials[3].ID = "t2-key-1", "t2-key-1"
				update(t, s, k)
				scribble(&k)
				equalKey(t, "after the caller changed what it passed to Update", lookup(t, s, "key-1").Key, want)
			},
		},
	}
}

func keepsInstants(t tester, s store.Store) {
	k := newKey("team-a", "key-1")
	zone := time.FixedZone("other", 5*3600)
	k.Created = time.Date(2026, 3, 1, 1, 2, 3, 123456000, zone)
	k.Updated = time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC)
	k.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	k.Credentials[0].NotAfter = time.Time{}
	k.Credentials[1].NotAfter = time.Date(2026, 3, 1, 1, 2, 3, 123456789, time.UTC)
	create(t, s, k)
	got := lookup(t, s, "key-1").Key
	equalTime(t, "a time of another zone", got.Created, k.Created.UTC())
	equalTime(t, "a time before 1970", got.Updated, k.Updated)
	equalTime(t, "the year 9999", got.NotAfter, k.NotAfter)
	equalTime(t, "the zero time", got.Credentials[0].NotAfter, time.Time{})
	equalTime(t, "the zero time", got.LastUsed, time.Time{})
	if off := got.Credentials[1].NotAfter.Sub(k.Credentials[1].NotAfter).Abs(); off > time.Microsecond {
		t.Errorf("nanoseconds: got %v, want %v to the microsecond", got.Credentials[1].NotAfter, k.Credentials[1].NotAfter)
	}
}

func createOrder(t tester, s store.Store) {
	must(t, "DeleteWorkspace", s.Settings.DeleteWorkspace(background, "deleted", noon, store.Change{Now: noon}))
	first := change("first")
	must(t, "Create", s.Keys.Create(background, newKey("team-a", "taken"), store.NoLimit, first))
	again := store.Change{Once: onceID("first"), Now: noon}
	for _, attempt := range []struct {
		what, workspace, id string
		limit               int
		change              store.Change
		want                error
	}{
		{"one-time id spent, checked first", "deleted", "taken", 0, again, store.ErrExists},
		{"one-time id spent, a new key", "team-a", "new", store.NoLimit, again, store.ErrExists},
		{"workspace deleted, id taken, limit reached", "deleted", "taken", 0, change("second"), store.ErrNotFound},
		{"id taken, limit reached", "team-a", "taken", 1, change("third"), store.ErrExists},
		{"limit reached", "team-a", "new", 1, change("fourth"), store.ErrLimit},
	} {
		wantError(t, attempt.what, s.Keys.Create(background, newKey(attempt.workspace, attempt.id), attempt.limit, attempt.change), attempt.want)
	}
}
