package bearer

import (
	"cmp"
	"strings"
	"sync"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// cache remembers something of each token. It belongs to one Verifier or
// Introspector, so an answer never crosses from one issuer, audience or key
// set to another. Readers take no lock.
//
// The oldest entry makes room for a new one: tokens live about equally long, so
// it is the one that will be of use for the shortest time.
type cache[V any] struct {
	held       sync.Map // *entry[V] by token
	maxEntries int
	maxBytes   int

	mu    sync.Mutex
	queue []*entry[V] // from the oldest; one that was replaced stays in its place
	bytes int         // of all in the queue
}

type entry[V any] struct {
	token string
	value V
	cost  int
}

// verified is what a Verifier remembers.
type verified struct {
	key       jose.PublicKey // that verified the token
	principal *Principal
}

// verifiedCost and verdictCost are about what an entry takes beyond its token
// and claims, in bytes.
const (
	verifiedCost = 1 << 10
	verdictCost  = 1 << 8
)

// newCache returns nil, the cache that holds nothing, if either bound is
// negative; zero is the default.
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
	e, _ := c.held.Load(token)
	found, _ := e.(*entry[V])
	return found
}

// add remembers a token, in place of what was known of it. cost is in bytes,
// without the token's own.
func (c *cache[V]) add(token string, cost int, value V) {
	if c == nil {
		return
	}
	token = strings.Clone(token) // a part of a header, which would be kept alive with it
	e := &entry[V]{token: token, value: value, cost: len(token) + cost}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held.Store(token, e)
	c.queue = append(c.queue, e)
	c.bytes += e.cost
	for len(c.queue) > c.maxEntries || c.bytes > c.maxBytes {
		oldest := c.queue[0]
		c.queue[0], c.queue = nil, c.queue[1:]
		c.bytes -= oldest.cost
		c.held.CompareAndDelete(oldest.token, oldest)
	}
}
