package storetest

import (
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

func lookupRules() []rule {
	return []rule{
		{
			name: "missing is ErrNotFound",
			why:  "A missing record is ErrNotFound, never a zero record with a nil error.",
			run: func(t tester, s store.Store) {
				for _, id := range []string{"none", "", "key-1' OR '1'='1", "*", "key\x00"} {
					_, err := s.Keys.Lookup(background, id)
					wantError(t, "Lookup of "+id, err, store.ErrNotFound)
				}
			},
		},
		{
			name: "finds disabled and expired keys",
			why:  "An expired or disabled key is returned like any other: drivers decide nothing.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				k.Disabled, k.NotAfter = true, noon.AddDate(-20, 0, 0)
				k.Credentials[0].NotAfter = noon.AddDate(-20, 0, 0)
				create(t, s, k)
				equalKey(t, "key", lookup(t, s, "key-1").Key, k)
			},
		},
		{
			name: "returns the settings of the key",
			why:  "Lookup returns the key and its settings in one read. Settings that were never saved are zero records; the workspace's has its id and number of keys.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"), newKey("team-a", "key-2"), newKey("team-b", "key-3"))
				found := lookup(t, s, "key-1")
				equalText(t, "workspace never saved", workspaceText(found.Workspace), workspaceText(store.Workspace{ID: "team-a", Keys: 2}))
				equalText(t, "instance never saved", instanceText(found.Instance), instanceText(store.Instance{}))
				w := store.Workspace{ID: "team-a", Suspended: true, Rules: store.Rules{MaxKeys: 5, WorkspaceRequests: 900}, Updated: noon}
				must(t, "SetWorkspace", s.Settings.SetWorkspace(background, w, store.Change{}))
				in := store.Instance{DirectOff: true, Rules: store.Rules{RequireExpiry: true, KeyRequests: 60}, Updated: noon}
				must(t, "SetInstance", s.Settings.SetInstance(background, store.InstanceSettings{Instance: in}, store.Change{}))
				found = lookup(t, s, "key-1")
				w.Version, w.Keys, in.Version = 1, 2, 1
				equalText(t, "workspace", workspaceText(found.Workspace), workspaceText(w))
				equalText(t, "instance", instanceText(found.Instance), instanceText(in))
				equalText(t, "the other workspace", workspaceText(lookup(t, s, "key-3").Workspace),
					workspaceText(store.Workspace{ID: "team-b", Keys: 1}))
			},
		},
	}
}

func updateRules() []rule {
	return []rule{
		{
			name: "replaces the record",
			why:  "Update replaces what may change and raises the version by one.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"))
				want := changedKey()
				update(t, s, want)
				want.Version = 2
				want.Created, want.CreatedBy = newKey("team-a", "key-1").Created, newKey("team-a", "key-1").CreatedBy
				equalKey(t, "key", lookup(t, s, "key-1").Key, want)
				equal(t, "number of keys", workspace(t, s, "team-a").Keys, 1)
			},
		},
		{
			name: "keeps the creator and the creation time",
			why:  "Created and CreatedBy are kept from the stored record, of the key and of each secret that stays: an update must not prolong a lifetime that is counted from them.",
			run: func(t tester, s store.Store) {
				first := newKey("team-a", "key-1")
				create(t, s, first)
				k := first.Clone()
				k.Created, k.CreatedBy, k.Depth = noon.AddDate(1, 0, 0), store.ActorRef{Kind: "admin", ID: "another"}, 7
				k.Credentials[0].Created = noon.AddDate(1, 0, 0)
				k.Credentials[0].CreatedBy, k.Credentials[0].Prefix = store.ActorRef{Kind: "admin", ID: "another"}, "other_"
				update(t, s, k)
				got := lookup(t, s, "key-1").Key
				equal(t, "the secret's CreatedBy", got.Credentials[0].CreatedBy, first.Credentials[0].CreatedBy)
				equal(t, "the secret's Prefix", got.Credentials[0].Prefix, first.Credentials[0].Prefix)
				equalTime(t, "Created", got.Created, first.Created)
				equal(t, "CreatedBy", got.CreatedBy, first.CreatedBy)
				equal(t, "Depth", got.Depth, first.Depth)
				equalTime(t, "the secret's Created", got.Credentials[0].Created, first.Credentials[0].Created)
			},
		},
		{
			name: "keeps the use times",
			why:  "LastUsed is kept from the stored record, of the key and of each secret that stays: RecordUses may have changed it since the caller read the key.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				must(t, "RecordUses", s.Upkeep.RecordUses(background, []store.Use{{Key: "key-1", Credential: "s2-key-1", At: noon}}))
				k.Credentials[1].LastUsed, k.LastUsed = noon.AddDate(-1, 0, 0), noon.AddDate(-1, 0, 0)
				k.Credentials = append(k.Credentials[1:2:2], store.Credential{ID: "s3-key-1", Digest: "d3", Created: noon})
				update(t, s, k)
				got := lookup(t, s, "key-1").Key
				equalTime(t, "LastUsed", got.LastUsed, noon)
				if len(got.Credentials) != 2 {
					t.Fatalf("secrets: got %d, want 2", len(got.Credentials))
				}
				equalTime(t, "LastUsed of the secret that stayed", got.Credentials[0].LastUsed, noon)
				equalTime(t, "LastUsed of the new secret", got.Credentials[1].LastUsed, time.Time{})
			},
		},
		{
			name: "keeps the digests",
			why:  "The digest of each secret that stays is kept from the stored record: a login may have replaced it since the caller read the key, and the old digest must not come back.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				must(t, "Rehash", s.Upkeep.Rehash(background, "key-1", "s2-key-1", k.Credentials[1].Digest, "better$ %20"))
				k.Credentials = append(k.Credentials, store.Credential{ID: "s3-key-1", Digest: "d3", Created: noon})
				k.Credentials[1].NotAfter = noon.AddDate(0, 1, 0)
				update(t, s, k)
				k.Credentials[1].Digest, k.Version = "better$ %20", 2
				equalKey(t, "key", lookup(t, s, "key-1").Key, k)
				k.Credentials[0].Digest, k.Credentials[1].Digest, k.Credentials[4].Digest = "forged", "", "d4"
				update(t, s, k)
				for i, want := range map[int]string{0: newKey("team-a", "key-1").Credentials[0].Digest, 1: "better$ %20", 4: "d3"} {
					equal(t, "Digest", lookup(t, s, "key-1").Key.Credentials[i].Digest, want)
				}
			},
		},
		{
			name: "another version is ErrConflict",
			why:  "Update compares the version. Every other version is a conflict, also zero and negative ones.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				k.Name = "changed"
				update(t, s, k)
				for _, version := range []int64{1, 3, 0, -1} {
					k.Version, k.Name = version, "lost"
					wantError(t, "Update", s.Keys.Update(background, k, store.Change{}), store.ErrConflict)
				}
				equal(t, "Name", lookup(t, s, "key-1").Key.Name, "changed")
			},
		},
		{
			name: "another workspace is ErrNotFound",
			why:  "A key of another workspace is ErrNotFound, whatever its version: a caller learns nothing about it and cannot change it.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				for _, other := range []string{"team-b", "Team-a", "team-a ", ""} {
					for _, version := range []int64{1, 2} {
						k := newKey(other, "key-1")
						k.Name, k.Version = "taken over", version
						wantError(t, "Update from "+other, s.Keys.Update(background, k, store.Change{}), store.ErrNotFound)
						err := s.Keys.Delete(background, other, "key-1", version, noon, store.Change{})
						wantError(t, "Delete from "+other, err, store.ErrNotFound)
					}
				}
				err := s.Keys.Delete(background, "team-b", "key-1", 0, noon, store.Change{})
				wantError(t, "Delete of any version", err, store.ErrNotFound)
				equalKey(t, "key", lookup(t, s, "key-1").Key, k)
			},
		},
		{
			name: "missing and deleted are ErrNotFound",
			why:  "Update never creates a key, also not one that was deleted.",
			run: func(t tester, s store.Store) {
				wantError(t, "missing", s.Keys.Update(background, newKey("team-a", "key-1"), store.Change{}), store.ErrNotFound)
				create(t, s, newKey("team-a", "key-1"))
				remove(t, s, "team-a", "key-1")
				wantError(t, "deleted", s.Keys.Update(background, newKey("team-a", "key-1"), store.Change{}), store.ErrNotFound)
				_, err := s.Keys.Lookup(background, "key-1")
				wantError(t, "Lookup", err, store.ErrNotFound)
			},
		},
		{
			name: "checks in order",
			why:  "Update and Delete check the one-time id first, then whether the key exists, then its version.",
			run: func(t tester, s store.Store) {
				must(t, "Create", s.Keys.Create(background, newKey("team-a", "key-1"), store.NoLimit, change("spent")))
				again := store.Change{Once: onceID("spent"), Now: noon}
				missing, other, old := newKey("team-a", "none"), newKey("team-b", "key-1"), newKey("team-a", "key-1")
				old.Version, other.Version = 8, 8
				for _, k := range []store.Key{missing, other, old, newKey("team-a", "key-1")} {
					wantError(t, "Update with a spent id", s.Keys.Update(background, k, again), store.ErrExists)
					err := s.Keys.Delete(background, k.Workspace, k.ID, k.Version, noon, again)
					wantError(t, "Delete with a spent id", err, store.ErrExists)
				}
				equal(t, "Version", lookup(t, s, "key-1").Key.Version, 1)
			},
		},
	}
}

// changedKey returns newKey("team-a", "key-1") with other values in all fields that may
// change.
func changedKey() store.Key {
	k := newKey("team-a", "key-1")
	k.Name = "renamed"
	k.Permissions, k.RequestedPermissions = scope.MustParse("member.list"), scope.MustParse("member.*")
	k.Credentials = []store.Credential{k.Credentials[1], {
		ID: "s3-key-1", Hint: "Ef3z", Digest: "hmac-sha256$3$new", Prefix: "new_", CreatedBy: store.ActorRef{Kind: "key", ID: "key-9"}, Generated: true, Created: noon,
	}, k.Credentials[2], {
		ID: "t2-key-1", Name: "new trust", Created: noon, Trust: &store.Trust{Issuer: "gitlab", Claims: []store.Claim{{Name: "project_id", Value: "5"}}},
	}, {
		ID: "p2-key-1", Name: "new public key", Created: noon, PublicKey: &store.PublicKey{JWK: "{}", LongAssertions: true},
	}}
	k.Credentials[0].NotAfter, k.Credentials[2].NotAfter = noon.Add(time.Minute), time.Time{}
	k.NotAfter, k.NotAfterText = time.Time{}, ""
	k.Resources = []string{"https://three.example.com"}
	k.Disabled, k.Direct = true, false
	k.Updated = noon
	return k
}

func deleteRules() []rule {
	return []rule{
		{
			name: "removes the key",
			why:  "A deleted key is ErrNotFound in every call, and is in no list.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"), newKey("team-a", "key-2"))
				must(t, "Delete", s.Keys.Delete(background, "team-a", "key-1", 1, noon, store.Change{}))
				_, err := s.Keys.Lookup(background, "key-1")
				wantError(t, "Lookup", err, store.ErrNotFound)
				page, err := s.Keys.List(background, store.KeyQuery{})
				must(t, "List", err)
				equal(t, "listed keys", len(page.Keys), 1)
				for _, version := range []int64{0, 1, 2} {
					err = s.Keys.Delete(background, "team-a", "key-1", version, noon, store.Change{})
					wantError(t, "Delete again", err, store.ErrNotFound)
				}
				equalKey(t, "the other key", lookup(t, s, "key-2").Key, newKey("team-a", "key-2"))
			},
		},
		{
			name: "frees a place under the limit",
			why:  "A deleted key does not count against the limit any more. Deleting it again changes nothing.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"), newKey("team-a", "key-2"))
				remove(t, s, "team-a", "key-1")
				_ = s.Keys.Delete(background, "team-a", "key-1", 0, noon, store.Change{})
				equal(t, "number of keys", workspace(t, s, "team-a").Keys, 1)
				must(t, "Create", s.Keys.Create(background, newKey("team-a", "key-3"), 2, store.Change{}))
				err := s.Keys.Create(background, newKey("team-a", "key-4"), 2, store.Change{})
				wantError(t, "Create above the limit", err, store.ErrLimit)
			},
		},
		{
			name: "compares the version",
			why:  "With another version, Delete returns ErrConflict and deletes nothing. Version 0 deletes any version.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				update(t, s, k)
				for _, version := range []int64{1, 3, -1} {
					err := s.Keys.Delete(background, "team-a", "key-1", version, noon, store.Change{})
					wantError(t, "Delete", err, store.ErrConflict)
				}
				lookup(t, s, "key-1")
				must(t, "Delete of version 0", s.Keys.Delete(background, "team-a", "key-1", 0, noon, store.Change{}))
			},
		},
		{
			name: "leaves a tombstone",
			why:  "A deleted key's id stays taken in every workspace, so that its tokens cannot become valid again by an import.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"))
				remove(t, s, "team-a", "key-1")
				for _, workspace := range []string{"team-a", "team-b"} {
					err := s.Keys.Create(background, newKey(workspace, "key-1"), store.NoLimit, store.Change{})
					wantError(t, "Create in "+workspace, err, store.ErrExists)
				}
			},
		},
	}
}
