// Package storetest proves a storage driver against every rule of package
// store. A driver's test calls Run with a function that makes an empty store:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return open(t) })
//	}
//
// [RunReplicas] adds what must hold between several processes. [Tap] is for
// tests of what uses a store.
//
// Each rule is a subtest with a store of its own. When one fails, its last
// line says what the rule is for. Stress forms of the races, and rules that
// take long to set up, exist only with LATCHKEY_SOAK=1 in the environment.
package storetest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

// Run runs every rule as a subtest. newStore returns a store without any
// records each time it is called, and registers its own clean-up; the stores
// of two calls share nothing. Keys, Upkeep, Settings and Events must be
// there: without one of them Run fails and names it. A group of rules about
// any other field that is nil is left out, and the test's log says which.
//
// without names the rules, as "Group/rule", that the driver does not keep yet: they
// are skipped. A name that no rule has fails the test.
//
// All instants that the rules pass are fixed ones of the year 2026, except for
// ends that lie far ahead so that they do not come. So a driver that compares them
// with its server's clock fails. Only a limiter may go by that clock.
func Run(t *testing.T, newStore func(*testing.T) store.Store, without ...string) {
	probe := newStore(t)
	if names := missing(probe); len(names) > 0 {
		t.Fatalf("storetest: the store lacks %s; a driver has at least Keys, Upkeep, Settings and Events", strings.Join(names, ", "))
	}
	lacks := lacking(t, without, ruleNames())
	for _, g := range groups() {
		if g.needs != nil && !g.needs(probe) {
			t.Logf("the store has no %s: %d rules not tried", g.name, len(g.rules))
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			for _, r := range g.rules {
				t.Run(r.name, func(t *testing.T) {
					if lacks(g.name + "/" + r.name) {
						t.Skip("the driver does not keep this rule yet")
					}
					r.try(t, newStore(t))
				})
			}
		})
	}
}

// lacking checks the names of rules that a driver does not keep, and returns
// whether a rule is among them.
func lacking(t *testing.T, without, rules []string) func(rule string) bool {
	t.Helper()
	for _, name := range without {
		if !slices.Contains(rules, name) {
			t.Errorf("storetest: there is no rule %q to leave out", name)
		}
	}
	return func(rule string) bool { return slices.Contains(without, rule) }
}

// ruleNames lists all rules as "group/rule".
func ruleNames() []string {
	var names []string
	for _, g := range groups() {
		for _, r := range g.rules {
			names = append(names, g.name+"/"+r.name)
		}
	}
	return names
}

// tester is the part of *testing.T that rules use, so that this package's
// own tests can watch them fail.
type tester interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
}

// rule is one promise of the contract and how to try it.
type rule struct {
	name string
	why  string // one or two sentences, shown on failure
	run  func(t tester, s store.Store)
	soak bool // only with LATCHKEY_SOAK=1
}

// try runs the rule and explains it if it was broken.
func (r rule) try(t tester, s store.Store) {
	t.Helper()
	defer func() {
		t.Helper()
		if t.Failed() {
			t.Logf("the rule: %s", r.why)
		}
	}()
	r.run(t, s)
}

// group holds the rules about one field of store.Store.
type group struct {
	name  string
	needs func(store.Store) bool // nil: a field that must be there
	rules []rule
}

// groups lists the rules; those for a soak only if this is one.
func groups() []group {
	all := []group{
		{name: "Create", rules: createRules()},
		{name: "Lookup", rules: lookupRules()},
		{name: "Update", rules: updateRules()},
		{name: "Delete", rules: deleteRules()},
		{name: "List", rules: listRules()},
		{name: "Cursor", rules: cursorRules()},
		{name: "Upkeep", rules: upkeepRules()},
		{name: "Settings", rules: settingsRules()},
		{name: "Workspaces", rules: workspaceRules()},
		{name: "Events", rules: eventRules()},
		{name: "Change", rules: changeRules()},
		{name: "Preconditions", rules: preconditionRules()},
		{name: "Clock", rules: clockRules()},
		{name: "Races", rules: raceRules()},
		{name: "Context", rules: contextRules()},
		{name: "SigningKeys", needs: hasSigningKeys, rules: signingRules()},
		{name: "Epochs", needs: hasEpochs, rules: epochRules()},
		{name: "Lists", needs: hasLists, rules: hostListRules()},
		{name: "OnceIDs", needs: hasOnceIDs, rules: onceRules()},
		{name: "Usage", needs: hasUsage, rules: usageRules()},
		{name: "Limiter", needs: hasLimiter, rules: limiterRules()},
		{name: "Watch", needs: hasWatch, rules: watchRules()},
	}
	if !soak() {
		for i := range all {
			all[i].rules = slices.DeleteFunc(all[i].rules, func(r rule) bool { return r.soak })
		}
	}
	return all
}

// missing names the fields that every driver has and s lacks.
func missing(s store.Store) []string {
	var names []string
	for _, field := range []struct {
		name  string
		there bool
	}{
		{"Keys", s.Keys != nil},
		{"Upkeep", s.Upkeep != nil},
		{"Settings", s.Settings != nil},
		{"Events", s.Events != nil},
	} {
		if !field.there {
			names = append(names, field.name)
		}
	}
	return names
}

func soak() bool { return os.Getenv("LATCHKEY_SOAK") == "1" }
