// Package memstore keeps everything in the memory of one process. It is the
// reference driver of package store: every field is there and every rule of
// the contract holds exactly. What it holds is lost when the process ends,
// and replicas do not share it.
//
// One lock protects everything: readers share it, and a change holds it alone, from
// its first check to its last step. Long lists give it up every few hundred records.
package memstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// New returns an empty store with every field set. Its signing keys are not
// durable, and its Limiter is NewLimiter(1 << 20). All parts are safe for
// concurrent use.
func New() store.Store {
	start := time.Now() //nolint:forbidigo // for what has elapsed since
	db := &database{
		start:      start,
		keys:       make(map[string]*store.Key),
		orders:     newOrders(),
		tombstones: make(map[string]time.Time),
		workspaces: make(map[string]*workspace),
		events:     make(map[string]bool),
		logs:       map[string]index[store.Event]{"": newLog()},
		once:       newExpiring(start),
		revoked:    newExpiring(start),
		lists:      make(map[listKey]store.ListEntry),
		usage:      make(map[user][]store.Count),
		watchers:   make(map[chan store.Notice]struct{}),
	}
	return store.Store{
		Records: store.Records{
			Keys:     &keyTable{db},
			Upkeep:   &upkeep{db},
			Settings: &settings{db},
			Events:   &eventLog{db},
			Epochs:   &epochs{db},
			OnceIDs:  &onceIDs{db},
			Lists:    &lists{db},
			Watch:    &watch{db},
		},
		SigningKeys: &signingKeys{db},
		Usage:       &usage{db},
		Limiter:     NewLimiter(1 << 20),
	}
}

// database is all that a store holds but its limiter. Nothing in it is shared with
// a caller: records are copied in and out.
type database struct {
	start time.Time // with a monotonic reading
	mu    sync.RWMutex

	instance   store.InstanceSettings
	workspaces map[string]*workspace
	keys       map[string]*store.Key
	orders     orders                        // of all keys
	tombstones map[string]time.Time          // ids of deleted keys, and when each was deleted
	events     map[string]bool               // their ids
	logs       map[string]index[store.Event] // by workspace; "" has all
	once       expiring
	revoked    expiring // ids of tokens, in no space
	ring       store.Ring
	lists      map[listKey]store.ListEntry
	usage      map[user][]store.Count
	sequence   uint64 // of the last notice
	watchers   map[chan store.Notice]struct{}
}

// workspace is a workspace's record, its number of keys included, and its keys.
type workspace struct {
	store.Workspace
	orders
}

// read reads under the lock.
func (db *database) read(ctx context.Context, operation string, do func() error) error {
	if err := ctx.Err(); err != nil {
		return fail(operation, err)
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	return fail(operation, do())
}

// change makes the checks that come first in every change, then do, which writes
// nothing if it returns an error, and then writes what comes with the change. The
// notice is sent unless it is a heartbeat.
func (db *database) change(ctx context.Context, operation string, c store.Change, n store.Notice, do func() error) error {
	if err := ctx.Err(); err != nil {
		return fail(operation, err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if c.Once != nil && db.once.has(c.Once.Space, c.Once.ID, c.Now) {
		return fail(operation, store.ErrExists)
	}
	for _, p := range c.If {
		if version, there := db.version(p); !there || version != p.Version {
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
	if n.Kind != store.NoticeHeartbeat {
		db.send(n)
	}
	return nil
}

// write is a change without preconditions.
func (db *database) write(ctx context.Context, operation string, do func() error) error {
	return db.change(ctx, operation, store.Change{}, store.Notice{}, do)
}

// version returns the present version of the record that p names. A key that does
// not exist has none.
func (db *database) version(p store.Precondition) (version int64, there bool) {
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

// record returns a workspace's record, zero but for its id if there is none.
func (db *database) record(workspace string) store.Workspace {
	if ws := db.workspaces[workspace]; ws != nil {
		return ws.Workspace
	}
	return store.Workspace{ID: workspace}
}

// space returns what is kept of a workspace, new if need be.
func (db *database) space(id string) *workspace {
	ws := db.workspaces[id]
	if ws == nil {
		ws = &workspace{store.Workspace{ID: id}, newOrders()}
		db.workspaces[id] = ws
	}
	return ws
}

// raised returns the epoch that follows old. It goes by the clock, so that a
// process that starts anew gives no epoch twice.
func (db *database) raised(old int64) int64 {
	now := db.start.Add(time.Since(db.start)) //nolint:forbidigo // the store's own clock
	return max(old+1, now.UnixMicro())
}

// kept is an instant as it is kept: in UTC, without what is finer than a microsecond.
func kept(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }

// fail names the operation that an error is about; nil stays nil.
func fail(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("memstore: %s: %w", operation, err)
}
