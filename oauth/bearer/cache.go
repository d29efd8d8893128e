package bearer

import (
	"cmp"
	"strings"
	"sync"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// cache maps a token to a value. It belongs to one Verifier or Introspector, so
// an answer is never shared between issuers, audiences or key sets. Readers
// take no lock.
//
// A full cache evicts the oldest entry. Tokens have about the same lifetime, so
// the oldest one usually expires first.
type cache[V any] struct {
	entries    sync.Map // *entry[V] by token
	maxEntries int
	maxBytes   int

	mu    sync.Mutex
	queue []*entry[V] // the oldest first; a replaced entry stays in the queue
	bytes int         // cost of all entries in the queue
}

type entry[V any] struct {
	token string
	value V
	cost  int
}

// verified is what a Verifier caches for a token.
type verified struct {
	key       jose.PublicKey // the key that verified the token
	principal *Principal
}

// verifiedCost and verdictCost estimate the bytes of an entry, without its
// token and claims.
const (
	verifiedCost = 1 << 10
	verdictCost  = 1 << 8
)

// newCache returns nil, which is a cache that holds nothing, if a bound is
// negative. A bound of zero means the default.
func newCache[V any](maxEntries, maxBytes int) *cache[V] {
	if maxEntries < 0 || maxBytes < 0 {
		return nil
	}
	return &cache[V]{maxEntries: cmp.Or(maxEntries, DefaultCacheEntries), maxBytes: cmp.Or(maxBytes, DefaultCacheBytes)}
}

// find returns the entry of a token, or nil. It allocates nothing.
func (c *cache[V]) find(token string) *entry[V] {
	if c == nil || len(token) > jose.MaxToken {
		return nil
	}
	e, _ := c.entries.Load(token)
	found, _ := e.(*entry[V])
	return found
}

// add stores the value of a token, and replaces an older one. cost is in bytes,
// without the token's own.
func (c *cache[V]) add(token string, cost int, value V) {
	if c == nil {
		return
	}
	token = strings.Clone(token) // a substring would keep the whole header in memory
	e := &entry[V]{token: token, value: value, cost: len(token) + cost}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Store(token, e)
	c.queue = append(c.queue, e)
	c.bytes += e.cost
	for len(c.queue) > c.maxEntries || c.bytes > c.maxBytes {
		oldest := c.queue[0]
		c.queue[0], c.queue = nil, c.queue[1:]
		c.bytes -= oldest.cost
		c.entries.CompareAndDelete(oldest.token, oldest)
	}
}
