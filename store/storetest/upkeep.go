package storetest

import (
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func upkeepRules() []rule {
	return []rule{
		{
			name: "RecordUses records a use",
			why:  "A use is recorded for the key and for the credential that was used, and for no other. Version and epoch do not change.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k, newKey("team-a", "key-2"))
				must(t, "RecordUses", s.Upkeep.RecordUses(background, []store.Use{{Key: "key-1", Credential: "s2-key-1", At: noon}}))
				k.LastUsed, k.Credentials[1].LastUsed = noon, noon
				equalKey(t, "used key", lookup(t, s, "key-1").Key, k)
				equalKey(t, "other key", lookup(t, s, "key-2").Key, newKey("team-a", "key-2"))
			},
		},
		{
			name: "an older use changes nothing",
			why:  "Replicas write uses late and in any order; the latest time is kept, for the key and for each credential.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"))
				uses := []store.Use{
					{Key: "key-1", Credential: "s1-key-1", At: noon.Add(time.Minute)},
					{Key: "key-1", Credential: "s2-key-1", At: noon.Add(-time.Minute)},
					{Key: "key-1", Credential: "s1-key-1", At: noon},
				}
				must(t, "RecordUses", s.Upkeep.RecordUses(background, uses))
				must(t, "RecordUses", s.Upkeep.RecordUses(background, []store.Use{{Key: "key-1", Credential: "s1-key-1", At: noon}}))
				k := lookup(t, s, "key-1").Key
				equalTime(t, "the key's", k.LastUsed, noon.Add(time.Minute))
				equalTime(t, "the first secret's", k.Credentials[0].LastUsed, noon.Add(time.Minute))
				equalTime(t, "the second secret's", k.Credentials[1].LastUsed, noon.Add(-time.Minute))
			},
		},
		{
			name: "RecordUses skips missing keys and secrets",
			why:  "A use of a missing key or credential is skipped. The other uses of the call are recorded.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"), newKey("team-a", "deleted"))
				remove(t, s, "team-a", "deleted")
				must(t, "RecordUses", s.Upkeep.RecordUses(background, []store.Use{
					{Key: "none", Credential: "s1-none", At: noon}, {Key: "deleted", Credential: "s1-deleted", At: noon},
					{Key: "key-1", Credential: "none", At: noon.Add(time.Hour)}, {Key: "key-1", Credential: "s1-key-1", At: noon},
				}))
				must(t, "RecordUses of nothing", s.Upkeep.RecordUses(background, nil))
				equalTime(t, "LastUsed", lookup(t, s, "key-1").Key.LastUsed, noon)
				_, err := s.Keys.Lookup(background, "deleted")
				wantError(t, "Lookup of the deleted key", err, store.ErrNotFound)
			},
		},
		{
			name: "upkeep does not conflict with a change",
			why:  "Upkeep does not change the version: a caller that read a key before a login can still save it.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				must(t, "RecordUses", s.Upkeep.RecordUses(background, []store.Use{{Key: "key-1", Credential: "s1-key-1", At: noon}}))
				must(t, "Rehash", s.Upkeep.Rehash(background, "key-1", "s1-key-1", k.Credentials[0].Digest, "better"))
				update(t, s, k)
				equal(t, "events", len(eventIDs(t, s)), 0)
			},
		},
		{
			name: "rehash replaces one digest",
			why:  "One secret's digest changes and nothing else.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k, newKey("team-a", "key-2"))
				must(t, "Rehash", s.Upkeep.Rehash(background, "key-1", "s2-key-1", k.Credentials[1].Digest, "better"))
				k.Credentials[1].Digest = "better"
				equalKey(t, "key", lookup(t, s, "key-1").Key, k)
				equalKey(t, "other key", lookup(t, s, "key-2").Key, newKey("team-a", "key-2"))
			},
		},
		{
			name: "rehash compares the digest",
			why:  "Rehash compares the digest. Another one is ErrConflict, a missing key or secret is ErrNotFound, and nothing is written.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k, newKey("team-a", "deleted"))
				remove(t, s, "team-a", "deleted")
				rehash := func(key, secret, from string) error {
					return s.Upkeep.Rehash(background, key, secret, from, "better")
				}
				wantError(t, "another digest", rehash("key-1", "s1-key-1", "other"), store.ErrConflict)
				wantError(t, "the other secret's digest", rehash("key-1", "s1-key-1", k.Credentials[1].Digest), store.ErrConflict)
				wantError(t, "missing secret", rehash("key-1", "s9-key-1", k.Credentials[0].Digest), store.ErrNotFound)
				wantError(t, "missing key", rehash("none", "s1-none", k.Credentials[0].Digest), store.ErrNotFound)
				wantError(t, "deleted key", rehash("deleted", "s1-deleted", newKey("team-a", "deleted").Credentials[0].Digest), store.ErrNotFound)
				equalKey(t, "key", lookup(t, s, "key-1").Key, k)
			},
		},
		{
			name: "purge removes old tombstones",
			why:  "Purge removes the tombstones of keys deleted before the given time, not at it, and returns how many. Their ids can be used again. Other keys do not change.",
			run: func(t tester, s store.Store) {
				for i, id := range []string{"old", "edge", "young"} {
					create(t, s, newKey("team-a", id))
					at := noon.Add(time.Duration(i) * time.Hour)
					must(t, "Delete", s.Keys.Delete(background, "team-a", id, 0, at, store.Change{Now: at}))
				}
				create(t, s, newKey("team-a", "alive"))
				purge(t, s, noon, 0)
				purge(t, s, noon.Add(time.Hour), 1)
				purge(t, s, noon.Add(time.Hour), 0)
				create(t, s, newKey("team-b", "old"))
				for _, id := range []string{"edge", "young", "alive"} {
					err := s.Keys.Create(background, newKey("team-a", id), store.NoLimit, store.Change{})
					wantError(t, "Create of "+id, err, store.ErrExists)
				}
				purge(t, s, farAhead, 2)
				create(t, s, newKey("team-a", "edge"))
				equal(t, "Version", lookup(t, s, "edge").Key.Version, 1)
				equal(t, "number of keys", workspace(t, s, "team-a").Keys, 2)
			},
		},
	}
}

func purge(t tester, s store.Store, before time.Time, want int) {
	t.Helper()
	n, err := s.Upkeep.Purge(background, before)
	must(t, "Purge", err)
	equal(t, "purged", n, want)
}
