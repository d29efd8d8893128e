package cache

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// Lookup implements store.Reads.
func (c *Cache) Lookup(ctx context.Context, id string) (store.Found, error) {
	if err := ctx.Err(); err != nil {
		return store.Found{}, fail("look up key", err)
	}
	now := c.now()
	generation, vouched := c.feed.generation(now)
	if !vouched {
		c.unvouched(ctx, now)
		return c.inner.Keys.Lookup(ctx, id)
	}
	hash := c.hash(id)
	at := stamp{generation, c.versions.keys.of(hash)}
	workspace := ""
	if e := c.keys.find(hash, id, at, now, maxAge); e != nil {
		if found, held := c.surround(&e.value, generation, now); held {
			return found, nil
		}
		workspace = e.value.Workspace
	}
	// After the keys: a key that went with its workspace is in both.
	if c.missing.find(hash, id, at, now, c.cfg.MissFor) != nil {
		return store.Found{}, errUnknown
	}
	// A change of any settings keeps the read from being shared, too: what the
	// key stands under comes with it.
	shared := stamp{generation, at[1], c.versions.around.Load(), c.versions.instance.Load()}
	found, _, err := c.lookups.load(ctx, id, shared, now, func(ctx context.Context) (store.Found, error) {
		return c.lookUp(ctx, id, hash, workspace, at, now)
	})
	found.Key = found.Key.Clone()
	return found, err
}

// surround returns a copy of a key with the settings it stands under, if those
// are held too.
func (c *Cache) surround(k *store.Key, generation uint64, now time.Time) (found store.Found, held bool) {
	space := c.hash(k.Workspace)
	w := c.workspaces.find(space, k.Workspace, c.aroundKey(generation, space), now, maxAge)
	if w == nil {
		return store.Found{}, false
	}
	in := c.heldInstance(generation, now)
	if in == nil {
		return store.Found{}, false
	}
	return store.Found{Key: k.Clone(), Workspace: w.value, Instance: in.value}, true
}

// aroundKey is what a workspace's record depends on.
func (c *Cache) aroundKey(generation, space uint64) stamp {
	return stamp{generation, c.versions.workspaces.of(space), c.versions.counts.of(space)}
}

func (c *Cache) heldInstance(generation uint64, now time.Time) *entry[struct{}, store.Instance] {
	e := c.instance.Load()
	if e == nil || e.stamp != (stamp{generation, c.versions.instance.Load()}) || !within(e.read, now, maxAge) {
		return nil
	}
	return e
}

// lookUp reads a key and keeps what comes with it, each record by itself.
// workspace is the key's, if it is known already.
func (c *Cache) lookUp(ctx context.Context, id string, hash uint64, workspace string, at stamp, now time.Time) (store.Found, error) {
	generation, around := at[0], c.versions.around.Load()
	known := c.aroundKey(generation, c.hash(workspace))
	instance := stamp{generation, c.versions.instance.Load()}
	found, err := c.inner.Keys.Lookup(ctx, id)
	if errors.Is(err, store.ErrNotFound) && len(id) <= maxName && c.cfg.MissFor > 0 {
		c.missing.put(&entry[string, struct{}]{name: strings.Clone(id), hash: hash, stamp: at, read: now})
	}
	if err != nil {
		return found, err
	}
	name := found.Key.Workspace
	// A database may take "A" for "a"; notices are about the one that is there.
	c.keys.put(&entry[string, store.Key]{name: found.Key.ID, hash: hash, stamp: at, read: now, value: found.Key})
	space := c.hash(name)
	if name != workspace {
		// Its versions before the read are those of now, if no workspace's moved.
		known = c.aroundKey(generation, space)
	}
	if (name == workspace || c.versions.around.Load() == around) && found.Workspace.ID == name &&
		c.workspaces.find(space, name, known, now, maxAge) == nil {
		c.workspaces.put(&entry[string, store.Workspace]{name: name, hash: space, stamp: known, read: now, value: found.Workspace})
	}
	if c.heldInstance(generation, now) == nil {
		c.instance.Store(&entry[struct{}, store.Instance]{stamp: instance, read: now, value: found.Instance})
	}
	return found, nil
}
