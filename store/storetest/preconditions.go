package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// preconditions are records that a change may be based on, each with a change that
// invalidates it.
var preconditions = []struct {
	name       string
	holds      store.Precondition
	invalidate func(s store.Store) error
}{
	{
		"an acting key", store.Precondition{Key: "actor", Version: 1},
		func(s store.Store) error {
			k := newKey("team-z", "actor")
			k.Disabled = true
			return s.Keys.Update(background, k, store.Change{Now: noon})
		},
	},
	{
		"an acting key that is deleted", store.Precondition{Key: "actor", Version: 1},
		func(s store.Store) error {
			return s.Keys.Delete(background, "team-z", "actor", 0, noon, store.Change{Now: noon})
		},
	},
	{
		"the key's workspace", store.Precondition{Workspace: "team-a"},
		func(s store.Store) error {
			return s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Suspended: true}, store.Change{Now: noon})
		},
	},
	{
		"a workspace saved before", store.Precondition{Workspace: "team-s", Version: 1},
		func(s store.Store) error {
			return s.Settings.SetWorkspace(background, store.Workspace{ID: "team-s", Version: 1}, store.Change{Now: noon})
		},
	},
	{
		"the instance", store.Precondition{Version: 1},
		func(s store.Store) error {
			return s.Settings.SetInstance(background, store.InstanceSettings{Instance: store.Instance{KeysOff: true, Version: 1}}, store.Change{Now: noon})
		},
	},
}

// writesAfterSettings returns writes for the records of prepareSettings, in which the
// instance's settings have version 1.
func writesAfterSettings() []struct {
	name string
	do   func(s store.Store, c store.Change) error
} {
	list := writes[:0:0]
	for _, w := range writes {
		if w.name == "SetInstance" {
			w.do = func(s store.Store, c store.Change) error {
				return s.Settings.SetInstance(background, store.InstanceSettings{Instance: store.Instance{KeysOff: true, Version: 1}}, c)
			}
		}
		list = append(list, w)
	}
	return list
}

func prepareSettings(t tester, s store.Store) {
	t.Helper()
	prepare(t, s)
	create(t, s, newKey("team-z", "actor"))
	must(t, "SetInstance", s.Settings.SetInstance(background, store.InstanceSettings{}, store.Change{Now: noon}))
	must(t, "SetWorkspace", s.Settings.SetWorkspace(background, store.Workspace{ID: "team-s"}, store.Change{Now: noon}))
}

func preconditionRules() []rule {
	var rules []rule
	for _, w := range writesAfterSettings() {
		rules = append(rules, rule{
			name: w.name + " succeeds if its preconditions hold",
			why:  "A change succeeds if its preconditions hold: a key or settings at the named version, or version 0 for settings that were never saved.",
			run: func(t tester, s store.Store) {
				prepareSettings(t, s)
				c := change("held")
				c.Preconditions = []store.Precondition{
					{Key: "actor", Version: 1}, {Workspace: "team-a"}, {Workspace: "team-s", Version: 1}, {Workspace: "never saved"}, {Version: 1},
				}
				must(t, w.name, w.do(s, c))
			},
		})
		for _, p := range preconditions {
			rules = append(rules, rule{
				name: w.name + " depends on " + p.name,
				why:  "A change fails with ErrConflict and writes nothing if a record that the decision was based on changed since it was read.",
				run: func(t tester, s store.Store) {
					prepareSettings(t, s)
					must(t, "the other change", p.invalidate(s))
					before := everything(t, s)
					c := change("refused")
					c.Preconditions = []store.Precondition{{Workspace: "never saved"}, p.holds}
					wantError(t, w.name, w.do(s, c), store.ErrConflict)
					equalText(t, "after the refused call", everything(t, s), before)
					c.Preconditions = nil
					must(t, "a later call with the same one-time id",
						s.Keys.Create(background, newKey("team-b", "other"), store.NoLimit, c))
				},
			})
		}
	}
	return append(rules,
		rule{
			name: "a higher version or an unknown key is ErrConflict",
			why:  "Only the present version of an existing record holds.",
			run: func(t tester, s store.Store) {
				prepareSettings(t, s)
				for _, p := range []store.Precondition{
					{Key: "actor", Version: 2}, {Key: "actor"}, {Key: "none"}, {Key: "none", Version: 1}, {Key: "none", Version: -1}, {Key: "deleted", Version: 1},
					{Workspace: "team-s"}, {Workspace: "team-s", Version: 2}, {Workspace: "team-a", Version: 1}, {Version: 2}, {},
				} {
					err := s.Keys.Create(background, newKey("team-a", "new"), store.NoLimit, store.Change{Preconditions: []store.Precondition{p}})
					wantError(t, fmt.Sprintf("Create, %+v", p), err, store.ErrConflict)
				}
				itself := store.Change{Preconditions: []store.Precondition{{Key: "none"}}}
				wantError(t, "Update of an unknown key with itself as precondition",
					s.Keys.Update(background, newKey("team-a", "none"), itself), store.ErrConflict)
				wantError(t, "Delete of an unknown key with itself as precondition",
					s.Keys.Delete(background, "team-a", "none", 0, noon, itself), store.ErrConflict)
			},
		},
		rule{
			name: "a spent one-time id comes before preconditions",
			why:  "A retry of a change that was made is ErrExists, even if its preconditions do not hold any more.",
			run: func(t tester, s store.Store) {
				prepareSettings(t, s)
				c := change("once")
				c.Preconditions = []store.Precondition{{Version: 1}}
				must(t, "Create", s.Keys.Create(background, newKey("team-a", "new"), store.NoLimit, c))
				must(t, "SetInstance", s.Settings.SetInstance(background, store.InstanceSettings{Instance: store.Instance{Version: 1}}, store.Change{Now: noon}))
				err := s.Keys.Create(background, newKey("team-a", "again"), store.NoLimit, c)
				wantError(t, "Create again", err, store.ErrExists)
			},
		},
		rule{
			name: "B27 no creation succeeds on outdated preconditions",
			why:  "Once a key is disabled or settings are saved, no creation succeeds that is based on the old record.",
			run:  func(t tester, s store.Store) { racePreconditions(t, []store.Store{s}) },
		},
	)
}

// racePreconditions changes a record while all replicas create keys with that record as
// precondition. Once the change has returned, no further creation may succeed.
func racePreconditions(t tester, r []store.Store) {
	s := r[0]
	for i, p := range preconditions {
		workspace := fmt.Sprint("race-", i)
		holds := p.holds
		var invalidate func(s store.Store) error
		switch {
		case holds.Key != "":
			actor := newKey("team-z", fmt.Sprint("actor-", i))
			create(t, s, actor)
			holds.Key = actor.ID
			invalidate = func(s store.Store) error {
				actor.Disabled = true
				return s.Keys.Update(background, actor, store.Change{Now: noon, RevokeTokens: true})
			}
		case holds.Workspace != "":
			holds = store.Precondition{Workspace: workspace}
			invalidate = func(s store.Store) error {
				return s.Settings.SetWorkspace(background, store.Workspace{ID: workspace, Suspended: true}, store.Change{Now: noon, RevokeTokens: true})
			}
		default:
			holds.Version = instance(t, s).Version
			invalidate = func(s store.Store) error {
				return s.Settings.SetInstance(background, store.InstanceSettings{Instance: store.Instance{KeysOff: true, Version: holds.Version}}, store.Change{Now: noon, RevokeTokens: true})
			}
		}
		var over atomic.Bool
		started := make(chan struct{}, 6)
		ended := make(chan error, 6)
		for worker := range 6 {
			go func() {
				var err error
				for n, more := 0, 20; err == nil && more > 0; n++ {
					if over.Load() {
						more--
					}
					k := plainKey(workspace, fmt.Sprint(workspace, "-", worker, "-", n))
					err = of(r, worker).Keys.Create(background, k, store.NoLimit, store.Change{Now: noon, Preconditions: []store.Precondition{holds}})
					if n == 2 || n < 2 && err != nil {
						started <- struct{}{}
					}
				}
				ended <- err
			}()
		}
		for range 6 {
			<-started
		}
		must(t, "the change", invalidate(of(r, 1)))
		before := countKeys(t, of(r, 2), workspace)
		over.Store(true)
		for range 6 {
			if err := <-ended; !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s: got error %v, want %v", p.name, err, store.ErrConflict)
			}
		}
		equal(t, p.name+": keys after the change and at the end", countKeys(t, s, workspace), before)
	}
}

func countKeys(t tester, s store.Store, id string) int {
	t.Helper()
	return workspace(t, s, id).Keys
}

// clockRules test Upkeep.Clock.
func clockRules() []rule {
	return []rule{{
		name: "reads the store's clock",
		why:  "Clock returns the zero time, or a time after 1999 in UTC that does not go back.",
		run: func(t tester, s store.Store) {
			var last time.Time
			for range 3 {
				now, err := s.Upkeep.Clock(background)
				must(t, "Clock", err)
				if !now.IsZero() && (now.UnixMicro() < clockFloor || now.Location() != time.UTC || now.Before(last)) {
					t.Errorf("Clock: got %s after %s", now, last)
				}
				last = now
			}
		},
	}}
}
