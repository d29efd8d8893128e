package cache

import (
	"sync"
	"sync/atomic"
	"time"
)

// table holds a bounded number of entries by name.
type table[K comparable, V any] struct {
	most    int
	mu      sync.RWMutex
	entries map[K]*entry[V]
}

// entry is one answer of the store and what it depends on. It never changes.
type entry[V any] struct {
	stamp stamp
	read  time.Time
	value V
	// used keeps an entry through one round of evictions.
	used atomic.Bool
}

func newTable[K comparable, V any](most int) *table[K, V] {
	return &table[K, V]{most: most, entries: make(map[K]*entry[V])}
}

// find returns what is held under the name, whatever it depends on, or nil. It
// allocates nothing.
func (t *table[K, V]) find(name K) *entry[V] {
	t.mu.RLock()
	e := t.entries[name]
	t.mu.RUnlock()
	// Written only if it changes: readers of one name on many processors
	// would otherwise contend for the line.
	if e != nil && !e.used.Load() {
		e.used.Store(true)
	}
	return e
}

// put holds e, in place of what was held under its name.
func (t *table[K, V]) put(name K, e *entry[V]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries[name] == nil && len(t.entries) >= t.most {
		t.evict()
	}
	t.entries[name] = e
}

// evict drops an entry from a random place on. It passes over a few that were used
// since it last came by.
func (t *table[K, V]) evict() {
	const few = 64
	passed := 0
	for name, e := range t.entries {
		if passed++; passed < few && e.used.Swap(false) {
			continue
		}
		delete(t.entries, name)
		return
	}
}

// holds reports whether the entry still depends on at, and was read less than age
// ago. None holds nothing.
func (e *entry[V]) holds(at stamp, now time.Time, age time.Duration) bool {
	return e != nil && e.stamp == at && within(e.read, now, age)
}

// within reports whether now is less than d after then, by the monotonic clock
// and by the wall clock: the first does not count the time for which a machine
// was suspended, and the second can be set.
func within(then, now time.Time, d time.Duration) bool {
	wall := time.Duration(now.UnixNano() - then.UnixNano())
	return now.Sub(then) < d && wall < d && wall > -d
}
