package cache

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// table holds a bounded number of entries by name.
//
// Readers take no lock: a name's hash names a bucket of few slots, each an
// atomic pointer to an entry that never changes. Writers, who come from a read
// of the store that costs far more, share one lock.
type table[K comparable, V any] struct {
	slots []atomic.Pointer[entry[K, V]] // a power of two, a multiple of bucketSize

	mu      sync.Mutex
	entries int
	most    int
	hand    int // where the next eviction begins
}

// entry is one answer of the store and what it depends on.
type entry[K comparable, V any] struct {
	name  K
	hash  uint64
	stamp stamp
	read  time.Time
	value V
	// used keeps an entry through one round of evictions.
	used atomic.Bool
}

const bucketSize = 8

func newTable[K comparable, V any](most int) *table[K, V] {
	// Half of the slots stay empty, so that buckets seldom overflow.
	size := max(bucketSize, 1<<bits.Len(uint(2*most-1)))
	return &table[K, V]{slots: make([]atomic.Pointer[entry[K, V]], size), most: most}
}

func (t *table[K, V]) bucket(hash uint64) []atomic.Pointer[entry[K, V]] {
	// The lowest bits choose a version's stripe; these are others.
	at := int(hash>>20&uint64(len(t.slots)-1)) &^ (bucketSize - 1) //nolint:gosec // there is at least one bucket
	return t.slots[at : at+bucketSize]
}

// find returns what is held under the name and still depends on at, if it was
// read less than age ago; else nil. It allocates nothing.
func (t *table[K, V]) find(hash uint64, name K, at stamp, now time.Time, age time.Duration) *entry[K, V] {
	bucket := t.bucket(hash)
	for i := range bucket {
		e := bucket[i].Load()
		if e == nil || e.hash != hash || e.name != name {
			continue
		}
		if e.stamp != at || !within(e.read, now, age) {
			return nil
		}
		// Written only if it changes: readers of one name on many processors
		// would otherwise contend for the line.
		if !e.used.Load() {
			e.used.Store(true)
		}
		return e
	}
	return nil
}

// put holds e, in place of what was held under its name.
func (t *table[K, V]) put(e *entry[K, V]) {
	e.used.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	bucket := t.bucket(e.hash)
	place := &bucket[e.hash%bucketSize]
	for i := range bucket {
		old := bucket[i].Load()
		if old == nil {
			place = &bucket[i]
		} else if old.hash == e.hash && old.name == e.name {
			place = &bucket[i]
			break
		}
	}
	t.set(place, e)
	for t.entries > t.most {
		t.evict(e)
	}
}

// replace puts e in the place of old, unless something newer is there.
func (t *table[K, V]) replace(old, e *entry[K, V]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	bucket := t.bucket(e.hash)
	for i := range bucket {
		if bucket[i].CompareAndSwap(old, e) {
			return
		}
	}
}

func (t *table[K, V]) set(place *atomic.Pointer[entry[K, V]], e *entry[K, V]) {
	if place.Swap(e) != nil {
		t.entries--
	}
	if e != nil {
		t.entries++
	}
}

// evict drops one entry other than keep. It passes over those used since it
// last came by, for at most one round, so that readers cannot hold it up.
func (t *table[K, V]) evict(keep *entry[K, V]) {
	for step := 0; ; step++ {
		place := &t.slots[t.hand]
		t.hand = (t.hand + 1) & (len(t.slots) - 1)
		e := place.Load()
		if e == nil || e == keep || e.used.Swap(false) && step < len(t.slots) {
			continue
		}
		t.set(place, nil)
		return
	}
}

// within reports whether now is less than d after then, by the monotonic clock
// and by the wall clock: the first does not count the time for which a machine
// was suspended, and the second can be set.
func within(then, now time.Time, d time.Duration) bool {
	wall := time.Duration(now.UnixNano() - then.UnixNano())
	return now.Sub(then) < d && wall < d && wall > -d
}
