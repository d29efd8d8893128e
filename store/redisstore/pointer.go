package redisstore

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/latchkey-go/latchkey/store"
)

// A pointer tells the workspace of a key's id: "state birth workspace", where
// birth is the request that made the key. It is pending until the key was
// made, and lasts from then on until the key's tombstone is purged.
const (
	pending = "?"
	lasting = "="
)

// reserveFor is how long a pointer stays pending if its writer dies: longer
// than watchers look after what the writer began.
const reserveFor = 2 * forgotten

func pointerValue(state, birth, workspace string) string {
	return state + " " + birth + " " + escape(workspace)
}

func splitPointer(value string) (state, workspace string) {
	state, rest := cut(value, ' ')
	_, rest = cut(rest, ' ') // its birth
	return state, unescape(rest)
}

// place finds the workspace of a key's id, and whether it comes from the
// process's memory. ErrNotFound if no key was ever made under the id.
func (db *database) place(ctx context.Context, id string, fresh bool) (workspace string, remembered bool, err error) {
	if !fresh {
		if workspace, ok := db.known.get(id); ok {
			return workspace, true, nil
		}
	}
	get := command("get", db.layout.pointer(id))
	if err := db.run(ctx, append([]*call{get}, db.masters(db.layout.pointer(id))...)...); err != nil {
		return "", false, err
	}
	if get.missing() {
		return "", false, store.ErrNotFound
	}
	state, workspace := splitPointer(get.text())
	if state == lasting {
		db.known.put(id, workspace)
		return workspace, false, nil
	}
	// Its writer is at work, or died: then what it made must not be lost
	// with the pointer.
	held := command("hget", db.layout.keys(spaceOf(workspace)), id)
	if err := db.run(ctx, held); err != nil {
		return "", false, err
	}
	if held.missing() {
		return "", false, store.ErrNotFound
	}
	return workspace, false, db.adopt(ctx, id, workspace, held.text())
}

// adopt makes the pointer to a key lasting that its writer left pending, or that
// ran out. One that another workspace has by now stays.
func (db *database) adopt(ctx context.Context, id, workspace, record string) error {
	_, rest := cut(record, '\n')
	birth, _ := cut(rest, ' ')
	return db.runDurably(ctx, evaluate(db.scripts.confirm, []string{db.layout.pointer(id)}, pointerValue(lasting, birth, workspace)))
}

// reserving takes the id for a workspace, also from the value that is free.
// Creations in one workspace do not wait for one another: one may have died.
func (db *database) reserving(id, request, workspace, free string) *call {
	return evaluate(db.scripts.reserve, []string{db.layout.pointer(id)},
		pointerValue(pending, request, workspace), reserveFor.Milliseconds(), free)
}

// reserve looks at what a first attempt was answered, and tries again where
// that may help. taken says that a key or a tombstone holds the id.
func (db *database) reserve(ctx context.Context, c *call, id, request, workspace string) (taken bool, err error) {
	free := ""
	for n := range patience {
		if n > 0 {
			c = db.reserving(id, request, workspace, free)
			if err := db.run(ctx, c); err != nil {
				return false, err
			}
		}
		found := c.text()
		if found == "ok" {
			return false, nil
		}
		state, owner := splitPointer(found)
		s := spaceOf(owner)
		key := command("hexists", db.layout.keys(s), id)
		tomb := command("hexists", db.layout.tombs(s), id)
		if err := db.run(ctx, key, tomb); err != nil {
			return false, err
		}
		switch {
		case key.int()+tomb.int() > 0:
			return true, nil
		case state == lasting:
			// A purge or a failover took what it pointed to.
			free = found
		default:
			if err := pause(ctx, n); err != nil {
				return false, outageOf(ctx, err)
			}
		}
	}
	return false, fmt.Errorf("another creation under this id is not finished: %w", store.ErrUnavailable)
}

// patience is how often a look is taken at what another is about to finish:
// about a second in all.
const patience = 20

// knownPlaces remembers lasting pointers, in two generations: when the younger
// is full it becomes the older, and what was not asked for since is gone.
type knownPlaces struct {
	mu         sync.RWMutex
	limit      int
	young, old map[string]string
}

func newKnownPlaces(limit int) *knownPlaces {
	return &knownPlaces{limit: limit, young: make(map[string]string)}
}

func (k *knownPlaces) get(id string) (string, bool) {
	k.mu.RLock()
	workspace, ok := k.young[id]
	if !ok {
		workspace, ok = k.old[id]
		k.mu.RUnlock()
		if ok {
			k.put(id, workspace)
		}
		return workspace, ok
	}
	k.mu.RUnlock()
	return workspace, ok
}

// put copies: an id may be a part of a much longer text.
func (k *knownPlaces) put(id, workspace string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.young) >= k.limit {
		k.old, k.young = k.young, make(map[string]string)
	}
	k.young[strings.Clone(id)] = strings.Clone(workspace)
}

func (k *knownPlaces) drop(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.young, id)
	delete(k.old, id)
}
