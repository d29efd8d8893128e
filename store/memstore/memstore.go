// Package memstore keeps everything in the memory of one process. It is the
// reference driver of package store: every field is there and every rule of
// the contract holds exactly. What it holds is lost when the process ends,
// and replicas do not share it.
//
// Readers never wait for one another. A writer holds them up only while it
// puts a finished change in place, and long lists give way to writers every
// few hundred keys.
package memstore

import (
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/google/btree"

	"github.com/latchkey-go/latchkey/store"
)

// New returns an empty store with every field set. Its signing keys are not
// durable, and its Limiter is NewLimiter(1 << 20). All parts are safe for
// concurrent use.
func New() store.Store {
	db := &database{
		seed:       maphash.MakeSeed(),
		keys:       make(map[string]*row),
		tombstones: make(map[string]int64),
		workspaces: make(map[string]*workspace),
		sets:       make(map[string]*sharedSet),
		once:       newExpiring[onceKey, string](),
		revoked:    newExpiring[string, struct{}](),
		events:     newAuditLog(),
		orders:     newOrders(),
		start:      time.Now(), //nolint:forbidigo // for what has elapsed since
	}
	return store.Store{
		Records: store.Records{
			Keys:     &keyTable{db},
			Upkeep:   &upkeep{db},
			Settings: &settings{db},
			Events:   &eventLog{db},
			Epochs:   &epochs{db},
			OnceIDs:  &onceIDs{db},
			Lists:    &lists{entries: make(map[listKey]store.ListEntry)},
			Watch:    &watch{&db.hub},
		},
		SigningKeys: &signingKeys{db: db},
		Usage:       newUsage(),
		Limiter:     NewLimiter(1 << 20),
	}
}

// stripes is the number of locks that readers spread over: a reader takes
// one, a change takes all. One lock alone would make every reader write to
// the same cache line.
const stripes = 16

// database is what one change may touch at once.
//
// A writer holds write from its first check to its last step. Since only
// writers change anything, it may read without more. What readers can see it
// changes inside change, with every stripe held.
type database struct {
	write sync.Mutex
	reads [stripes]struct {
		sync.RWMutex
		_ [40]byte // fills the cache line
	}
	seed maphash.Seed

	instance   store.Instance
	workspaces map[string]*workspace
	keys       map[string]*row
	orders     orders
	once       expiring[onceKey, string]
	revoked    expiring[string, struct{}]
	events     auditLog

	// For writers only.
	tombstones map[string]int64 // ids of deleted keys, and when each was deleted, in microseconds
	sets       map[string]*sharedSet
	start      time.Time // with a monotonic reading
	hub        hub
}

// workspace is what is known of one workspace, its number of keys included.
type workspace struct {
	id     string
	record store.Workspace
}

// reader returns the lock under which a reader of id reads. All stripes
// protect everything: id only spreads the readers.
func (db *database) reader(id string) *sync.RWMutex {
	return &db.reads[maphash.String(db.seed, id)%stripes].RWMutex
}

// change puts a checked change in place while nobody reads. The caller holds
// write.
func (db *database) change(put func()) {
	for i := range db.reads {
		db.reads[i].Lock()
	}
	defer func() {
		for i := range db.reads {
			db.reads[i].Unlock()
		}
	}()
	put()
}

// refused makes the checks that come first in every change. The caller holds
// write.
func (db *database) refused(c store.Change) error {
	if db.spent(c) {
		return store.ErrExists
	}
	for _, p := range c.If {
		if db.version(p) != p.Version {
			return store.ErrConflict
		}
	}
	return nil
}

// version returns the present version of the record that p names.
func (db *database) version(p store.Precondition) int64 {
	switch {
	case p.Key != "":
		if r := db.keys[p.Key]; r != nil {
			return r.version
		}
		return -1
	case p.Workspace != "":
		if ws := db.workspaces[p.Workspace]; ws != nil {
			return ws.record.Version
		}
		return 0
	}
	return db.instance.Version
}

// raised returns the epoch that follows old. It goes by the clock, so that a
// process that starts anew gives no epoch twice.
func (db *database) raised(old int64) int64 {
	now := db.start.Add(time.Since(db.start)) //nolint:forbidigo // the store's own clock
	return max(old+1, micros(now))
}

// spent reports whether the one-time id of c was spent before.
func (db *database) spent(c store.Change) bool {
	if c.Once == nil {
		return false
	}
	_, expires, found := db.once.get(onceKey{c.Once.Space, c.Once.ID})
	return found && expires > micros(c.Now)
}

// record adds what came with a change: its events and its one-time id. It is
// called inside change.
func (db *database) record(c store.Change) {
	for _, e := range c.Events {
		db.events.add(e)
	}
	if c.Once != nil {
		expire(db, &db.once, onceKey{c.Once.Space, c.Once.ID}, c.Once.Value, micros(c.Once.Expires), c.Now)
	}
}

// One-time ids and revocations outlive their end by margin, for callers whose
// clocks are behind, and by as much as the clock of the caller that made them
// differs from the process's, up to the life of the longest token. So a
// revocation outlives its token, however wrong that clock was.
const (
	margin       = 10 * time.Minute
	longestToken = 24 * time.Hour
)

// expire adds an entry that ends at until, for a caller whose time is now, and
// collects a few that have ended. Collection uses the process's monotonic clock, so
// a caller's wrong clock never makes it early. It is called inside change.
func expire[K comparable, V any](db *database, x *expiring[K, V], key K, value V, until int64, now time.Time) {
	elapsed := time.Since(db.start) //nolint:forbidigo // monotonic
	wrong := now.Sub(db.start.Add(elapsed)).Abs()
	left := max(until-micros(now), 0)
	x.put(key, value, until, left+(elapsed+margin+min(wrong, longestToken)).Microseconds())
	x.collect(elapsed.Microseconds())
}

// space returns the workspace's state, new if need be. It is called inside
// change.
func (db *database) space(id string) *workspace {
	ws := db.workspaces[id]
	if ws == nil {
		ws = &workspace{id: id, record: store.Workspace{ID: id}}
		db.workspaces[id] = ws
	}
	return ws
}

// forget drops the state of a workspace whose record says nothing that a new one
// would not say. It is called inside change.
func (db *database) forget(ws *workspace) {
	if ws.record.Keys == 0 && ws.record.Version == 0 && ws.record.Epoch == 0 {
		delete(db.workspaces, ws.id)
	}
}

func (db *database) deleted(workspace string) bool {
	ws := db.workspaces[workspace]
	return ws != nil && ws.record.Deleted
}

// expiring is a map that can be collected in the order of its entries' ends.
type expiring[K comparable, V any] struct {
	entries map[K]*lasting[K, V]
	order   *btree.BTreeG[*lasting[K, V]]
	serial  uint64
}

type lasting[K comparable, V any] struct {
	key    K
	value  V
	until  int64 // by callers' clocks, in microseconds since 1970
	keep   int64 // by the process's clock, in microseconds since it started
	serial uint64
}

func newExpiring[K comparable, V any]() expiring[K, V] {
	return expiring[K, V]{
		entries: make(map[K]*lasting[K, V]),
		order: btree.NewG(treeDegree, func(a, b *lasting[K, V]) bool {
			return a.keep < b.keep || a.keep == b.keep && a.serial < b.serial
		}),
	}
}

func (x *expiring[K, V]) get(key K) (value V, until int64, found bool) {
	if e := x.entries[key]; e != nil {
		return e.value, e.until, true
	}
	return value, 0, false
}

func (x *expiring[K, V]) put(key K, value V, until, keep int64) {
	if old := x.entries[key]; old != nil {
		x.order.Delete(old)
		keep = max(keep, old.keep)
	}
	x.serial++
	e := &lasting[K, V]{key, value, until, keep, x.serial}
	x.entries[key] = e
	x.order.ReplaceOrInsert(e)
}

// collect removes a few ended entries: more than one put adds, so that they do not
// accumulate, and few enough not to delay other calls.
func (x *expiring[K, V]) collect(elapsed int64) {
	for range 4 {
		first, ok := x.order.Min()
		if !ok || first.keep > elapsed {
			return
		}
		x.order.DeleteMin()
		delete(x.entries, first.key)
	}
}

// micros is how instants are kept: in microseconds since 1970, which hold any year
// that people write. The zero time comes back as the zero time. Finer parts are cut
// off.
func micros(t time.Time) int64 { return t.UnixMicro() }

func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// kept is the instant as it would come back.
func kept(t time.Time) time.Time { return instant(micros(t)) }

func fail(operation string, err error) error {
	return fmt.Errorf("memstore: %s: %w", operation, err)
}
