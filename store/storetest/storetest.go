// Package storetest tests a storage driver against every rule of package store. A
// driver's test calls Run with a function that returns an empty store:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return open(t) })
//	}
//
// [RunReplicas] tests the rules that must hold between several processes. [Tap] is for
// tests of code that uses a store.
//
// Each rule is a subtest with its own store. If it fails, the last line of its output
// explains the rule. The stress forms of races, and rules that take long to set up, run
// only with LATCHKEY_SOAK=1 in the environment.
package storetest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

// Run runs every rule as a subtest. Each call of newStore returns an empty store, which
// shares nothing with the stores of other calls, and registers its own clean-up. Keys,
// Upkeep, Settings and Events must not be nil: otherwise Run fails and names those that
// are. If another field is nil, Run leaves out the rules about it, and logs that.
//
// without lists rules, as "Group/rule", that the driver does not follow yet. They are
// skipped. An unknown name fails the test.
//
// All times that the rules pass are fixed times in 2026, except expiries that are so far
// ahead that they are never reached. So a driver that compares them with its server's
// clock fails. Only a limiter may use that clock.
func Run(t *testing.T, newStore func(*testing.T) store.Store, without ...string) {
	probe := newStore(t)
	if names := missing(probe); len(names) > 0 {
		t.Fatalf("storetest: %s of the store is nil; a driver must offer Keys, Upkeep, Settings and Events", strings.Join(names, ", "))
	}
	excluded := exclude(t, without, ruleNames())
	for _, g := range groups() {
		if g.needs != nil && !g.needs(probe) {
			t.Logf("the store's %s is nil: %d rules are skipped", g.name, len(g.rules))
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			for _, r := range g.rules {
				t.Run(r.name, func(t *testing.T) {
					if excluded(g.name + "/" + r.name) {
						t.Skip("the driver does not follow this rule yet")
					}
					r.check(t, newStore(t))
				})
			}
		})
	}
}

// exclude checks the names of the rules to skip, and returns a function that reports
// whether a rule is one of them.
func exclude(t *testing.T, without, rules []string) func(rule string) bool {
	t.Helper()
	for _, name := range without {
		if !slices.Contains(rules, name) {
			t.Errorf("storetest: there is no rule %q to skip", name)
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

// tester is the part of *testing.T that rules use. This package's own tests implement it
// to check that rules fail.
type tester interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
}

// rule is one rule of the contract, with its test.
type rule struct {
	name string
	why  string // one or two sentences, shown on failure
	run  func(t tester, s store.Store)
	soak bool // only with LATCHKEY_SOAK=1
}

// check runs the rule and explains it if it failed.
func (r rule) check(t tester, s store.Store) {
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
	needs func(store.Store) bool // nil: the field is required
	rules []rule
}

// groups returns all rules. Those with soak set are included only in a soak.
func groups() []group {
	all := []group{
		{name: "Create", rules: createRules()},
		{name: "Lookup", rules: lookupRules()},
		{name: "Secrets", needs: hasSecrets, rules: append(secretRules(), uniqueRules()...)},
		{name: "Update", rules: updateRules()},
		{name: "Credentials", rules: credentialRules()},
		{name: "Delete", rules: deleteRules()},
		{name: "List", rules: listRules()},
		{name: "Cursor", rules: cursorRules()},
		{name: "Upkeep", rules: upkeepRules()},
		{name: "Settings", rules: settingsRules()},
		{name: "Workspaces", rules: workspaceRules()},
		{name: "WorkspaceList", needs: hasWorkspaces, rules: workspaceListRules()},
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

// missing names the required fields that are nil in s.
func missing(s store.Store) []string {
	var names []string
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"Keys", s.Keys != nil},
		{"Upkeep", s.Upkeep != nil},
		{"Settings", s.Settings != nil},
		{"Events", s.Events != nil},
	} {
		if !field.set {
			names = append(names, field.name)
		}
	}
	return names
}

func soak() bool { return os.Getenv("LATCHKEY_SOAK") == "1" }
