package bearer

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// cache remembers something of each token. It belongs to one Verifier or
// Introspector, so an answer never crosses from one issuer, audience or key
// set to another.
//
// Readers take no lock: a token's hash names a bucket of few slots, each an
// atomic pointer to an entry that never changes. Writers, who come from a
// signature check or a request that costs far more, share one lock. A token is
// found by comparing all of it; the hash, seeded at random, only says where to
// look.
type cache[V any] struct {
	seed  maphash.Seed
	slots []atomic.Pointer[entry[V]] // a power of two, a multiple of bucketSize

	mu         sync.Mutex
	entries    int
	bytes      int
	maxEntries int
	maxBytes   int
	hand       int // where the next eviction begins
}

type entry[V any] struct {
	hash  uint64
	token string
	value V
	cost  int
	// used keeps an entry through one round of evictions.
	used atomic.Bool
}

// verified is what a Verifier remembers.
type verified struct {
	key       jose.PublicKey // that verified the token
	principal *Principal
}

const (
	bucketSize = 8
	// verifiedCost and verdictCost are about what an entry takes beyond its
	// token and claims, in bytes.
	verifiedCost = 1 << 10
	verdictCost  = 1 << 8
)

// newCache returns nil, the cache that holds nothing, if either bound is
// negative; zero is the default.
func newCache[V any](maxEntries, maxBytes int) *cache[V] {
	if maxEntries < 0 || maxBytes < 0 {
		return nil
	}
	if maxEntries == 0 {
		maxEntries = DefaultCacheEntries
	}
	if maxBytes == 0 {
		maxBytes = DefaultCacheBytes
	}
	// Half of the slots stay empty, so that buckets seldom overflow.
	size := max(bucketSize, 1<<bits.Len(uint(2*maxEntries-1)))
	return &cache[V]{
		seed:       maphash.MakeSeed(),
		slots:      make([]atomic.Pointer[entry[V]], size),
		maxEntries: maxEntries,
		maxBytes:   maxBytes,
	}
}

func (c *cache[V]) bucket(hash uint64) []atomic.Pointer[entry[V]] {
	at := int(hash&uint64(len(c.slots)-1)) &^ (bucketSize - 1) //nolint:gosec // there is at least one bucket
	return c.slots[at : at+bucketSize]
}

// find returns the entry of a token, or nil. It allocates nothing.
func (c *cache[V]) find(token string) *entry[V] {
	if c == nil || len(token) > jose.MaxToken {
		return nil
	}
	hash := maphash.String(c.seed, token)
	bucket := c.bucket(hash)
	for i := range bucket {
		e := bucket[i].Load()
		if e == nil || e.hash != hash || e.token != token {
			continue
		}
		// Written only if it changes: readers of one token on many processors
		// would otherwise contend for the line.
		if !e.used.Load() {
			e.used.Store(true)
		}
		return e
	}
	return nil
}

// add remembers a token, in place of what was known of it. cost is in bytes,
// without the token's own.
func (c *cache[V]) add(token string, cost int, value V) {
	if c == nil {
		return
	}
	// The token is a part of a header that would be kept alive with it.
	e := &entry[V]{hash: maphash.String(c.seed, token), token: strings.Clone(token), value: value, cost: len(token) + cost}
	if e.cost > c.maxBytes {
		return
	}
	e.used.Store(true)

	c.mu.Lock()
	defer c.mu.Unlock()
	bucket := c.bucket(e.hash)
	place := &bucket[e.hash>>32%bucketSize]
	for i := range bucket {
		old := bucket[i].Load()
		if old == nil {
			place = &bucket[i]
		} else if old.hash == e.hash && old.token == token {
			place = &bucket[i]
			break
		}
	}
	c.put(place, e)
	for c.entries > c.maxEntries || c.bytes > c.maxBytes {
		c.evict(e)
	}
}

func (c *cache[V]) put(place *atomic.Pointer[entry[V]], e *entry[V]) {
	if old := place.Swap(e); old != nil {
		c.entries--
		c.bytes -= old.cost
	}
	if e != nil {
		c.entries++
		c.bytes += e.cost
	}
}

// evict drops one entry other than keep. It passes over those used since it
// last came by, for at most one round, so that readers cannot hold it up.
func (c *cache[V]) evict(keep *entry[V]) {
	for step := 0; ; step++ {
		place := &c.slots[c.hand]
		c.hand = (c.hand + 1) & (len(c.slots) - 1)
		e := place.Load()
		if e == nil || e == keep || e.used.Swap(false) && step < len(c.slots) {
			continue
		}
		c.put(place, nil)
		return
	}
}
