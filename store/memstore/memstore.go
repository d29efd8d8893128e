// Package memstore stores everything in the memory of one process. It is the reference
// driver of package store: it offers every interface of the contract and follows every
// rule exactly. Its records are lost when the process ends, and replicas do not share
// them.
//
// One read-write lock protects everything. Reads share it; a change holds it
// exclusively from its first check to its last write. Long lists release it every few
// hundred records.
package memstore

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// New returns an empty store with every field set but Cached. Its signing keys are not
// durable, and its Limiter is NewLimiter(1 << 20). All parts are safe for concurrent
// use.
func New() store.Store {
	start := time.Now() //nolint:forbidigo // to measure elapsed time
	db := &database{
		start:       start,
		keys:        make(map[string]*store.Key),
		credentials: make(map[string]*store.Key),
		orders:      newOrders(),
		tombstones:  make(map[string]time.Time),
		workspaces:  make(map[string]*workspace),
		listed:      newIndex(func(a, b *workspace) int { return cmp.Compare(a.ID, b.ID) }),
		events:      make(map[string]bool),
		logs:        map[string]index[store.Event]{"": newLog()},
		once:        newExpiring(start),
		revoked:     newExpiring(start),
		lists:       make(map[listKey]store.ListEntry),
		usage:       make(map[usageKey][]store.Count),
		watchers:    make(map[chan store.Notification]struct{}),
	}
	return store.Store{
		Records: store.Records{
			Keys:       &keyTable{db},
			Secrets:    &keyTable{db},
			Workspaces: &workspaceTable{db},
			Upkeep:     &upkeep{db},
			Settings:   &settings{db},
			Events:     &eventLog{db},
			Epochs:     &epochs{db},
			OnceIDs:    &onceIDs{db},
			HostLists:  &lists{db},
			Watch:      &watch{db},
		},
		SigningKeys: &signingKeys{db},
		Usage:       &usage{db},
		Limiter:     NewLimiter(1 << 20),
	}
}

// database is everything in a store except its limiter. Records are copied in and out, so
// callers share no memory with it.
type database struct {
	start time.Time // with a monotonic reading
	mu    sync.RWMutex

	instance    store.InstanceSettings
	workspaces  map[string]*workspace
	listed      index[workspace] // all of workspaces, by id
	keys        map[string]*store.Key
	credentials map[string]*store.Key         // by the ids of their credentials
	orders      orders                        // of all keys
	tombstones  map[string]time.Time          // ids of deleted keys, and when each was deleted
	events      map[string]bool               // their ids
	logs        map[string]index[store.Event] // by workspace; "" has all
	once        expiring
	revoked     expiring // ids of tokens, with an empty space
	ring        store.Ring
	lists       map[listKey]store.ListEntry
	usage       map[usageKey][]store.Count
	sequence    uint64 // of the last notification
	watchers    map[chan store.Notification]struct{}
}

// workspace is the record of a workspace, with its number of keys, and its keys in order.
type workspace struct {
	store.Workspace
	orders
}

// read calls do with the lock shared.
func (db *database) read(ctx context.Context, operation string, do func() error) error {
	if err := ctx.Err(); err != nil {
		return fail(operation, err)
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	return fail(operation, do())
}

// change checks the one-time id and the preconditions of c, calls do, and then writes the
// events and the one-time id of c. If do returns an error it must have written nothing.
// The notification is sent unless it is a heartbeat.
func (db *database) change(ctx context.Context, operation string, c store.Change, n store.Notification, do func() error) error {
	if err := ctx.Err(); err != nil {
		return fail(operation, err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if c.Once != nil && db.once.has(c.Once.Space, c.Once.ID, c.Now) {
		return fail(operation, store.ErrExists)
	}
	for _, p := range c.Preconditions {
		if version, exists := db.version(p); !exists || version != p.Version {
			return fail(operation, store.ErrConflict)
		}
	}
	if err := do(); err != nil {
		return fail(operation, err)
	}
	for _, e := range c.Events {
		db.addEvent(e)
	}
	if c.Once != nil {
		db.once.put(*c.Once, c.Now)
	}
	if n.Kind != store.NotificationHeartbeat {
		db.send(n)
	}
	return nil
}

// write is a change without preconditions.
func (db *database) write(ctx context.Context, operation string, do func() error) error {
	return db.change(ctx, operation, store.Change{}, store.Notification{}, do)
}

// version returns the present version of the record that p names. There is none for a key
// that does not exist.
func (db *database) version(p store.Precondition) (version int64, exists bool) {
	switch {
	case p.Key != "":
		if k := db.keys[p.Key]; k != nil {
			return k.Version, true
		}
		return 0, false
	case p.Workspace != "":
		return db.record(p.Workspace).Version, true
	}
	return db.instance.Version, true
}

// record returns a workspace's record, or a zero record with its id.
func (db *database) record(workspace string) store.Workspace {
	if ws := db.workspaces[workspace]; ws != nil {
		return ws.Workspace
	}
	return store.Workspace{ID: workspace}
}

// addWorkspace returns a workspace, and adds it if it does not exist.
func (db *database) addWorkspace(id string) *workspace {
	ws := db.workspaces[id]
	if ws == nil {
		ws = &workspace{store.Workspace{ID: id}, newOrders()}
		db.workspaces[id] = ws
		db.listed.tree.ReplaceOrInsert(ws)
	}
	return ws
}

// nextEpoch returns the epoch after old. It uses the clock, so that an epoch is not used
// again after the process has restarted.
func (db *database) nextEpoch(old int64) int64 {
	now := db.start.Add(time.Since(db.start)) //nolint:forbidigo // the store's own clock
	return max(old+1, now.UnixMicro())
}

// toMicro returns t in UTC, truncated to the microsecond, as times are stored.
func toMicro(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }

// fail adds the operation to an error. It returns nil for nil.
func fail(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("memstore: %s: %w", operation, err)
}
