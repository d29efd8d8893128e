package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// writes are the calls that take a Change. They use the records of prepare.
var writes = []struct {
	name string
	do   func(s store.Store, c store.Change) error
}{
	{"Create", func(s store.Store, c store.Change) error {
		return s.Keys.Create(background, newKey("team-a", "new"), store.NoLimit, c)
	}},
	{"Update", func(s store.Store, c store.Change) error {
		return s.Keys.Update(background, newKey("team-a", "key-1"), c)
	}},
	{"Delete", func(s store.Store, c store.Change) error {
		return s.Keys.Delete(background, "team-a", "key-1", 1, noon, c)
	}},
	{"SetInstance", func(s store.Store, c store.Change) error {
		return s.Settings.SetInstance(background, store.InstanceSettings{Instance: store.Instance{KeysOff: true}}, c)
	}},
	{"SetWorkspace", func(s store.Store, c store.Change) error {
		return s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Suspended: true}, c)
	}},
	{"DeleteWorkspace", func(s store.Store, c store.Change) error {
		return s.Settings.DeleteWorkspace(background, "team-a", noon, c)
	}},
}

// refusals are calls that fail. They use the records of prepare.
var refusals = []struct {
	name string
	do   func(s store.Store, c store.Change) error
}{
	{"Create, id taken", func(s store.Store, c store.Change) error {
		return s.Keys.Create(background, newKey("team-a", "key-1"), store.NoLimit, c)
	}},
	{"Create, tombstone", func(s store.Store, c store.Change) error {
		return s.Keys.Create(background, newKey("team-a", "deleted"), store.NoLimit, c)
	}},
	{"Create, limit", func(s store.Store, c store.Change) error {
		return s.Keys.Create(background, newKey("team-a", "new"), 1, c)
	}},
	{"Create, workspace deleted", func(s store.Store, c store.Change) error {
		return s.Keys.Create(background, newKey("deleted", "new"), store.NoLimit, c)
	}},
	{"Create, secret taken", func(s store.Store, c store.Change) error {
		return s.Keys.Create(background, keyWith("team-b", "new", "s1-new", "s2-key-1"), store.NoLimit, c)
	}},
	{"Update, missing", func(s store.Store, c store.Change) error {
		return s.Keys.Update(background, newKey("team-a", "none"), c)
	}},
	{"Update, foreign", func(s store.Store, c store.Change) error {
		return s.Keys.Update(background, newKey("team-b", "key-1"), c)
	}},
	{"Update, conflict", func(s store.Store, c store.Change) error {
		k := newKey("team-a", "key-1")
		k.Version = 5
		return s.Keys.Update(background, k, c)
	}},
	{"Update, secret taken", func(s store.Store, c store.Change) error {
		return s.Keys.Update(background, keyWith("team-z", "key-z", "s1-new", "s2-key-1"), c)
	}},
	{"Delete, foreign", func(s store.Store, c store.Change) error {
		return s.Keys.Delete(background, "team-b", "key-1", 0, noon, c)
	}},
	{"Delete, conflict", func(s store.Store, c store.Change) error {
		return s.Keys.Delete(background, "team-a", "key-1", 5, noon, c)
	}},
	{"Delete, deleted", func(s store.Store, c store.Change) error {
		return s.Keys.Delete(background, "team-a", "deleted", 0, noon, c)
	}},
	{"SetInstance, conflict", func(s store.Store, c store.Change) error {
		return s.Settings.SetInstance(background, store.InstanceSettings{Instance: store.Instance{KeysOff: true, Version: 5}}, c)
	}},
	{"SetWorkspace, conflict", func(s store.Store, c store.Change) error {
		return s.Settings.SetWorkspace(background, store.Workspace{ID: "team-a", Version: 5}, c)
	}},
	{"SetWorkspace, deleted", func(s store.Store, c store.Change) error {
		return s.Settings.SetWorkspace(background, store.Workspace{ID: "deleted", Version: 1}, c)
	}},
	{"DeleteWorkspace, deleted", func(s store.Store, c store.Change) error {
		return s.Settings.DeleteWorkspace(background, "deleted", noon, c)
	}},
}

// prepare creates the records for writes and refusals.
func prepare(t tester, s store.Store) {
	t.Helper()
	create(t, s, newKey("team-a", "key-1"), newKey("team-a", "deleted"), newKey("team-z", "key-z"))
	remove(t, s, "team-a", "deleted")
	deleteWorkspace(t, s, "deleted")
}

func changeRules() []rule {
	var rules []rule
	for _, w := range writes {
		rules = append(rules, rule{
			name: w.name + " writes its event and spends its one-time id",
			why:  "A change, its events and its one-time id are one write. The same change with a spent id is refused, and nothing is written.",
			run: func(t tester, s store.Store) {
				prepare(t, s)
				c := change("once")
				c.Events = append(c.Events, newEvent("and another"))
				must(t, w.name, w.do(s, c))
				equalList(t, "events", eventIDs(t, s), []string{"once", "and another"})
				if s.OnceIDs != nil {
					wantError(t, "Spend of the same id", s.OnceIDs.Spend(background, *onceID("once"), noon), store.ErrExists)
				}
				before := everything(t, s)
				c.Events = []store.Event{newEvent("again")}
				wantError(t, w.name+" again", w.do(s, c), store.ErrExists)
				equalText(t, "after the refused retry", everything(t, s), before)
			},
		}, rule{
			name: w.name + " accepts an expired one-time id",
			why:  "A one-time id may be spent again when it has expired by the caller's clock, and not before.",
			run: func(t tester, s store.Store) {
				prepare(t, s)
				c := store.Change{Once: &store.OnceID{Space: "test", ID: "brief", Expires: noon.Add(time.Minute)}, Now: noon}
				in := instance(t, s)
				must(t, "SetInstance", s.Settings.SetInstance(background, in, c))
				c.Now = noon.Add(time.Minute - time.Microsecond)
				wantError(t, w.name+" just before", w.do(s, c), store.ErrExists)
				c.Now = noon.Add(time.Minute)
				c.Once = &store.OnceID{Space: "test", ID: "brief", Expires: noon.Add(time.Hour)}
				if w.name == "SetInstance" {
					must(t, w.name, s.Settings.SetInstance(background, instance(t, s), c))
				} else {
					must(t, w.name+" at the end", w.do(s, c))
				}
				err := s.Keys.Create(background, newKey("team-b", "other"), store.NoLimit, c)
				wantError(t, "Create with the id just spent", err, store.ErrExists)
			},
		})
	}
	for _, r := range refusals {
		rules = append(rules, rule{
			name: r.name + ": writes nothing",
			why:  "A failed call writes nothing: no record, no event, no epoch, and its one-time id is not spent.",
			run: func(t tester, s store.Store) {
				prepare(t, s)
				before := everything(t, s)
				c := change("refused")
				c.RevokeTokens = true
				if err := r.do(s, c); err == nil {
					t.Errorf("%s: no error", r.name)
				}
				equalText(t, "after the refused call", everything(t, s), before)
				must(t, "a later call with the same one-time id",
					s.Keys.Create(background, newKey("team-b", "other"), store.NoLimit, change("refused")))
			},
		})
	}
	return rules
}

// everything returns all records that a failed call could have changed, as text.
func everything(t tester, s store.Store) []string {
	t.Helper()
	in := instance(t, s)
	text := append(settingsText(in), fmt.Sprint("Epoch ", in.Epoch))
	for _, id := range []string{"team-a", "team-b", "deleted"} {
		w := workspace(t, s, id)
		text = append(append(text, workspaceText(w)...), fmt.Sprint("Epoch ", w.Epoch))
	}
	page, err := s.Keys.List(background, store.KeyQuery{Limit: store.MaxPage})
	must(t, "List", err)
	for _, k := range page.Keys {
		text = append(append(text, keyText(k)...), fmt.Sprint("Epoch ", k.Epoch))
	}
	for _, id := range []string{"s1-key-1", "s2-key-1", "s1-key-z", "s1-deleted", "s1-new"} {
		if s.Secrets == nil {
			break
		}
		found, err := s.Secrets.LookupSecret(background, id)
		text = append(text, fmt.Sprintf("Secret %s of %q, missing %t", id, found.Key.ID, errors.Is(err, store.ErrNotFound)))
	}
	log, err := s.Events.List(background, store.EventQuery{Limit: store.MaxPage})
	must(t, "Events.List", err)
	for _, e := range log.Events {
		text = append(text, eventText(e)...)
	}
	return text
}
