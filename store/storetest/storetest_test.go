package storetest_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// recorder is a tester that records what a rule reports.
type recorder struct {
	mu     sync.Mutex
	failed bool
	lines  []string
}

func (r *recorder) Helper() {}

func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) Errorf(format string, args ...any) {
	r.Logf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// try runs one rule in its own goroutine, which Fatalf may end.
func try(t *testing.T, rule string, s store.Store) *recorder {
	t.Helper()
	r := &recorder{}
	var known bool
	var done sync.WaitGroup
	done.Go(func() { known = true; known = storetest.Try(rule, r, s) })
	done.Wait()
	if !known {
		t.Fatalf("there is no rule %q", rule)
	}
	return r
}

func TestAnIntactStoreKeepsEveryRule(t *testing.T) {
	t.Parallel()
	names := storetest.RuleNames()
	for _, name := range names {
		synctest.Test(t, func(t *testing.T) {
			if r := try(t, name, memstore.New()); r.failed {
				t.Errorf("%s failed on an intact store:\n%s", name, strings.Join(r.lines, "\n"))
			}
		})
	}
	slices.Sort(names)
	if unique := len(slices.Compact(slices.Clone(names))); unique != len(names) {
		t.Errorf("%d rules share a name", len(names)-unique)
	}
}

func TestABrokenStoreBreaksItsRule(t *testing.T) {
	t.Parallel()
	for _, b := range breakages() {
		t.Run(b.name, func(t *testing.T) {
			for _, rule := range b.rules {
				synctest.Test(t, func(t *testing.T) { // a rule that waits in vain takes no time
					r := try(t, rule, b.damage(memstore.New()))
					if !r.failed {
						t.Errorf("a store that %s passes %q", b.name, rule)
					} else if last := r.lines[len(r.lines)-1]; !strings.HasPrefix(last, "the rule: ") {
						t.Errorf("%q fails without its explanation; its last line is %q", rule, last)
					}
				})
			}
		})
	}
}

func TestMissingFieldsAreNamed(t *testing.T) {
	t.Parallel()
	s := memstore.New()
	if names := storetest.Missing(s); len(names) != 0 {
		t.Errorf("a full store lacks %v", names)
	}
	s.Upkeep, s.Events, s.Watch = nil, nil, nil
	if names := storetest.Missing(s); !slices.Equal(names, []string{"Upkeep", "Events"}) {
		t.Errorf("missing: got %v, want Upkeep and Events", names)
	}
}

// A store with only the required fields passes the rules about them.
func TestRulesWithoutOptionalFields(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store {
		full := memstore.New()
		return store.Store{Records: store.Records{Keys: full.Keys, Upkeep: full.Upkeep, Settings: full.Settings, Events: full.Events}}
	})
}
