package cache

import (
	"sync"
	"sync/atomic"
	"time"
)

// table is a map with a bounded number of entries.
type table[K comparable, V any] struct {
	most    int
	mu      sync.RWMutex
	entries map[K]*entry[V]
}

// entry is one result of the store and what it depends on. It is immutable but for used.
type entry[V any] struct {
	stamp stamp
	read  time.Time
	value V
	// used is set by find. It protects an entry from one eviction.
	used atomic.Bool
}

func newTable[K comparable, V any](most int) *table[K, V] {
	return &table[K, V]{most: most, entries: make(map[K]*entry[V])}
}

// find returns the entry with the name, valid or not, or nil. It does not allocate.
func (t *table[K, V]) find(name K) *entry[V] {
	t.mu.RLock()
	e := t.entries[name]
	t.mu.RUnlock()
	// Store only if it changes: otherwise readers of one entry on many processors
	// contend for the cache line.
	if e != nil && !e.used.Load() {
		e.used.Store(true)
	}
	return e
}

// put adds e, or replaces the entry with its name.
func (t *table[K, V]) put(name K, e *entry[V]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries[name] == nil && len(t.entries) >= t.most {
		t.evict()
	}
	t.entries[name] = e
}

// evict removes one entry, beginning at a random one. It skips up to 63 entries that were
// used since the last time they were skipped.
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

// valid reports whether the entry still has the stamp at, and was read less than age
// ago. A nil entry is not valid.
func (e *entry[V]) valid(at stamp, now time.Time, age time.Duration) bool {
	return e != nil && e.stamp == at && within(e.read, now, age)
}

// within reports whether now is less than d after then, by the monotonic clock and by
// the wall clock. The monotonic clock stands still while a machine is suspended, and the
// wall clock can be set.
func within(then, now time.Time, d time.Duration) bool {
	wall := time.Duration(now.UnixNano() - then.UnixNano())
	return now.Sub(then) < d && wall < d && wall > -d
}
