package storetest_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

func TestReplicasOfOneMemory(t *testing.T) {
	t.Parallel()
	storetest.RunReplicas(t, func(_ *testing.T, n int) []store.Store { return replicas(n) })
}

func TestReplicasWithoutOptionalFields(t *testing.T) {
	t.Parallel()
	storetest.RunReplicas(t, func(_ *testing.T, n int) []store.Store {
		all := replicas(n)
		for i, full := range all {
			all[i] = store.Store{Records: store.Records{Keys: full.Keys, Upkeep: full.Upkeep, Settings: full.Settings, Events: full.Events}}
		}
		return all
	})
}

func TestBrokenReplicasBreakTheirRule(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{}
	for _, b := range append(replicaBreakages(), secretReplicaBreakages()...) {
		t.Run(b.name, func(t *testing.T) {
			for _, rule := range b.rules {
				tried[rule] = true
				r := &recorder{}
				for try := 0; try < 20 && !r.failed; try++ { // on a busy machine calls may not overlap
					all := replicas(3)
					for i := range all {
						all[i] = b.damage(i, all[i])
					}
					r = tryReplicas(t, rule, all)
				}
				if !r.failed {
					t.Errorf("replicas, each of which %s, pass %q", b.name, rule)
				} else if last := r.lines[len(r.lines)-1]; !strings.HasPrefix(last, "the rule: ") {
					t.Errorf("%q fails without its explanation; its last line is %q", rule, last)
				}
			}
		})
	}
	for _, rule := range storetest.ReplicaRuleNames() {
		if !tried[rule] {
			t.Errorf("no broken store tries %q", rule)
		}
	}
}

func tryReplicas(t *testing.T, rule string, all []store.Store) *recorder {
	t.Helper()
	r := &recorder{}
	var known bool
	var done sync.WaitGroup
	done.Go(func() { known = true; known = storetest.TryReplicas(rule, r, all) })
	done.Wait()
	if !known {
		t.Fatalf("there is no rule %q", rule)
	}
	return r
}

// replicas returns one memstore n times.
func replicas(n int) []store.Store {
	one := memstore.New()
	var all []store.Store
	for range n {
		all = append(all, one)
	}
	return all
}
