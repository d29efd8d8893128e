package storetest

import (
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

func settingsRules() []rule {
	return []rule{
		{
			name: "never saved is a zero record",
			why:  "Settings that were never saved are zero records with Version 0 and not errors. The workspace's has its ID.",
			run: func(t tester, s store.Store) {
				equalText(t, "instance", settingsText(instance(t, s)), settingsText(store.InstanceSettings{}))
				equalText(t, "workspace", workspaceText(workspace(t, s, "team-a")), workspaceText(store.Workspace{ID: "team-a"}))
			},
		},
		{
			name: "keeps every field",
			why:  "Settings are returned as they were saved, with their version raised by one.",
			run: func(t tester, s store.Store) {
				in := store.InstanceSettings{
					Instance:  store.Instance{KeysOff: true, Rules: someRules(), Updated: noon},
					Reminders: store.Reminders{Off: true, Before: someReminders()},
				}
				w := store.Workspace{ID: "team-a", Suspended: true, Rules: someRules(), Updated: noon}
				w.Rules.MaxKeys, w.Rules.KeyRequests, w.Rules.WorkspaceRequests = store.Unlimited, store.Unlimited, store.Unlimited
				for version := range int64(3) {
					in.Version, w.Version = version, version
					must(t, "SetInstance", s.Settings.SetInstance(background, in, store.Change{}))
					must(t, "SetWorkspace", s.Settings.SetWorkspace(background, w, store.Change{}))
					in.Version, w.Version = version+1, version+1
					equalText(t, "instance", settingsText(instance(t, s)), settingsText(in))
					equalText(t, "workspace", workspaceText(workspace(t, s, "team-a")), workspaceText(w))
					in.KeysOff, in.DirectOff, in.Rules, in.Reminders = false, version == 0, store.Rules{}, store.Reminders{}
					w.Suspended, w.Rules = false, store.Rules{}
				}
				equalText(t, "another workspace", workspaceText(workspace(t, s, "team-b")), workspaceText(store.Workspace{ID: "team-b"}))
			},
		},
		{
			name: "reminders keep their places",
			why:  "Every element of Reminders.Before is returned at its position, whatever Off says.",
			run: func(t tester, s store.Store) {
				for version, before := range [][]time.Duration{
					{0, 24 * time.Hour}, {7: time.Nanosecond}, {1<<63 - 1, 1<<63 - 1, 1<<63 - 1, 1<<63 - 1, 1<<63 - 1, 1<<63 - 1, 1<<63 - 1, 1<<63 - 1}, {-1}, {},
				} {
					in := store.InstanceSettings{Instance: store.Instance{Version: int64(version)}, Reminders: store.Reminders{Before: before}}
					must(t, "SetInstance", s.Settings.SetInstance(background, in, store.Change{}))
					in.Version++
					equalText(t, "instance", settingsText(instance(t, s)), settingsText(in))
				}
			},
		},
		{
			name: "reminders are copied",
			why:  "A caller may change the durations that it passed or got; the record does not change.",
			run: func(t tester, s store.Store) {
				wrote := someReminders()
				must(t, "SetInstance", s.Settings.SetInstance(background, store.InstanceSettings{Reminders: store.Reminders{Before: wrote}}, store.Change{}))
				wrote[0] = 0
				instance(t, s).Reminders.Before[1] = 0
				equal(t, "the times", fmt.Sprint(instance(t, s).Reminders.Before), fmt.Sprint(someReminders()))
			},
		},
		{
			name: "another version is ErrConflict",
			why:  "Saving compares the version. Version 0 means that none was saved yet.",
			run: func(t tester, s store.Store) {
				set := func(version int64) (error, error) {
					return s.Settings.SetInstance(background, store.InstanceSettings{Instance: store.Instance{Version: version}}, store.Change{RevokeTokens: true}),
						s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Version: version}, store.Change{RevokeTokens: true})
				}
				refused := func(what string, version int64) {
					t.Helper()
					ofInstance, ofWorkspace := set(version)
					wantError(t, "SetInstance, "+what, ofInstance, store.ErrConflict)
					wantError(t, "SetWorkspace, "+what, ofWorkspace, store.ErrConflict)
				}
				refused("none saved yet", 1)
				equal(t, "the instance's epoch", instance(t, s).Epoch, 0)
				equal(t, "the workspace's epoch", workspace(t, s, "team-a").Epoch, 0)
				ofInstance, ofWorkspace := set(0)
				must(t, "SetInstance", ofInstance)
				must(t, "SetWorkspace", ofWorkspace)
				for _, version := range []int64{0, 2, -1} {
					refused("version 1 is stored", version)
				}
			},
		},
		{
			name: "the number of keys is counted, not written",
			why:  "Workspace.Keys is the number of keys not deleted; what a caller writes there is ignored.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"), newKey("team-a", "key-2"), newKey("team-b", "key-3"))
				must(t, "SetWorkspace", s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Keys: 77}, store.Change{}))
				equal(t, "keys", workspace(t, s, "team-a").Keys, 2)
				remove(t, s, "team-a", "key-1")
				equal(t, "keys after a deletion", workspace(t, s, "team-a").Keys, 1)
				err := s.Keys.Create(background, newKey("team-a", "key-4"), 2, store.Change{})
				must(t, "Create of a second key under a limit of 2", err)
			},
		},
		{
			name: "only DeleteWorkspace deletes",
			why:  "SetWorkspace ignores Deleted: a form that sends it back must not delete a workspace.",
			run: func(t tester, s store.Store) {
				must(t, "SetWorkspace", s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Deleted: true}, store.Change{}))
				equal(t, "Deleted", workspace(t, s, "team-a").Deleted, false)
				create(t, s, newKey("team-a", "key-1"))
			},
		},
		{
			name: "a spent one-time id comes first",
			why:  "The one-time id is checked before the version: a retry of a change that succeeded gets ErrExists.",
			run: func(t tester, s store.Store) {
				must(t, "SetInstance", s.Settings.SetInstance(background, store.InstanceSettings{}, change("one")))
				must(t, "SetWorkspace", s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a"}, change("two")))
				for version := range int64(3) {
					err := s.Settings.SetInstance(background, store.InstanceSettings{Instance: store.Instance{Version: version}}, store.Change{Once: onceID("one"), Now: noon})
					wantError(t, "SetInstance again", err, store.ErrExists)
					w := store.Workspace{ID: "team-a", Version: version}
					err = s.Settings.SetWorkspace(background, w, store.Change{Once: onceID("two"), Now: noon})
					wantError(t, "SetWorkspace again", err, store.ErrExists)
				}
				equal(t, "the instance's version", instance(t, s).Version, 1)
				equal(t, "the workspace's version", workspace(t, s, "team-a").Version, 1)
			},
		},
	}
}

func someReminders() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{366 * day, 30 * day, 7*day + time.Microsecond, 5 * day, 3 * day, 2 * day, day, time.Hour}
}

func someRules() store.Rules {
	return store.Rules{
		MaxKeys: 12, RequireExpiry: true, MaxLifetime: 90*24*time.Hour + time.Microsecond,
		EnforcedFrom: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), KeyRequests: 600, WorkspaceRequests: 6000,
	}
}

func workspaceRules() []rule {
	return []rule{
		{
			name: "deletes all keys",
			why:  "DeleteWorkspace deletes every key of the workspace as Keys.Delete does, tombstones included, and no key of another.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"), newKey("team-a", "key-2"), newKey("team-b", "key-3"))
				deleteWorkspace(t, s, "team-a")
				for _, id := range []string{"key-1", "key-2"} {
					_, err := s.Keys.Lookup(background, id)
					wantError(t, "Lookup", err, store.ErrNotFound)
					err = s.Keys.Create(background, newKey("team-b", id), store.NoLimit, store.Change{})
					wantError(t, "Create with the id in another workspace", err, store.ErrExists)
					err = s.Keys.Update(background, newKey("team-a", id), store.Change{})
					wantError(t, "Update", err, store.ErrNotFound)
				}
				equalList(t, "keys left", list(t, s, store.KeyQuery{}), []string{"key-3"})
				equalList(t, "keys of the workspace", list(t, s, store.KeyQuery{Workspace: "team-a"}), []string{})
				equal(t, "keys of the other workspace", workspace(t, s, "team-b").Keys, 1)
				purge(t, s, noon.Add(time.Second), 2)
			},
		},
		{
			name: "a deleted record stays",
			why:  "The record stays, with Deleted set and its epoch raised, also if it was never saved before.",
			run: func(t tester, s store.Store) {
				must(t, "SetWorkspace", s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a"}, store.Change{RevokeTokens: true}))
				before := workspace(t, s, "team-a").Epoch
				create(t, s, newKey("team-a", "key-1"))
				deleteWorkspace(t, s, "team-a")
				deleteWorkspace(t, s, "never-saved")
				w := workspace(t, s, "team-a")
				equal(t, "Deleted", w.Deleted, true)
				wantHigher(t, "Epoch", w.Epoch, before)
				equal(t, "Keys", w.Keys, 0)
				w = workspace(t, s, "never-saved")
				equal(t, "Deleted", w.Deleted, true)
				wantHigher(t, "Epoch", w.Epoch, clockFloor)
				equal(t, "Deleted of another", workspace(t, s, "team-b").Deleted, false)
			},
		},
		{
			name: "deleted is final",
			why:  "A deleted workspace cannot get a key or settings, and cannot be deleted again: each call returns ErrNotFound, whatever the version.",
			run: func(t tester, s store.Store) {
				deleteWorkspace(t, s, "team-a")
				epoch := workspace(t, s, "team-a").Epoch
				err := s.Keys.Create(background, newKey("team-a", "key-1"), store.NoLimit, store.Change{})
				wantError(t, "Create", err, store.ErrNotFound)
				for version := range int64(4) {
					err = s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Version: version}, store.Change{})
					wantError(t, "SetWorkspace", err, store.ErrNotFound)
				}
				err = s.Settings.DeleteWorkspace(background, "team-a", noon, store.Change{})
				wantError(t, "DeleteWorkspace again", err, store.ErrNotFound)
				equal(t, "Deleted", workspace(t, s, "team-a").Deleted, true)
				equal(t, "Epoch", workspace(t, s, "team-a").Epoch, epoch)
				purge(t, s, farAhead, 0)
				err = s.Keys.Create(background, newKey("team-a", "key-1"), store.NoLimit, store.Change{})
				wantError(t, "Create after a purge", err, store.ErrNotFound)
			},
		},
		{
			name: "events stay",
			why:  "The events of a deleted workspace stay in the audit log, and the deletion adds its own.",
			run: func(t tester, s store.Store) {
				must(t, "Create", s.Keys.Create(background, newKey("team-a", "key-1"), store.NoLimit, change("created")))
				must(t, "DeleteWorkspace", s.Settings.DeleteWorkspace(background, "team-a", noon, change("deleted")))
				equalList(t, "events", eventIDs(t, s), []string{"deleted", "created"})
			},
		},
		{
			name: "a spent one-time id comes first",
			why:  "A retry of a deletion that succeeded gets ErrExists, and deletes no other workspace.",
			run: func(t tester, s store.Store) {
				must(t, "DeleteWorkspace", s.Settings.DeleteWorkspace(background, "team-a", noon, change("one")))
				for _, id := range []string{"team-a", "team-b"} {
					err := s.Settings.DeleteWorkspace(background, id, noon, store.Change{Once: onceID("one"), Now: noon})
					wantError(t, "DeleteWorkspace with a spent id", err, store.ErrExists)
				}
				equal(t, "Deleted of the other", workspace(t, s, "team-b").Deleted, false)
			},
		},
	}
}

func deleteWorkspace(t tester, s store.Store, id string) {
	t.Helper()
	must(t, "DeleteWorkspace", s.Settings.DeleteWorkspace(background, id, noon, store.Change{Now: noon}))
}
