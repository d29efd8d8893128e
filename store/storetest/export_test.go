package storetest

import "github.com/latchkey-go/latchkey/store"

// Tester is what rules report to.
type Tester = tester

// RuleNames lists all rules as "group/rule".
func RuleNames() []string { return ruleNames() }

// Try runs the rule with the given name, and reports whether there is one.
func Try(name string, t Tester, s store.Store) bool {
	for _, g := range groups() {
		for _, r := range g.rules {
			if g.name+"/"+r.name == name {
				r.check(t, s)
				return true
			}
		}
	}
	return false
}

// Missing names the required fields that are nil in s.
func Missing(s store.Store) []string { return missing(s) }

// ReplicaRuleNames lists the rules of RunReplicas.
func ReplicaRuleNames() []string { return replicaRuleNames() }

// TryReplicas is like Try, for the rules of RunReplicas.
func TryReplicas(name string, t Tester, replicas []store.Store) bool {
	for _, r := range replicaRules() {
		if r.name == name {
			r.check(t, replicas)
			return true
		}
	}
	return false
}
