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
	workspace, e := "", c.found.find(id)
	if e != nil {
		workspace = e.value.Key.Workspace
	}
	at := c.foundStamp(generation, workspace, id)
	if e.holds(at, now, maxAge) {
		found := e.value
		found.Key = found.Key.Clone()
		return found, nil
	}
	// After the keys: a key that went with its workspace is in both.
	if c.missing.find(id).holds(c.missingStamp(generation, id), now, maxAge) {
		return store.Found{}, errUnknown
	}
	// A change of anything keeps the read from being shared: what the key stands under
	// comes with it.
	shared := stamp{generation, c.versions.changes.Load()}
	found, _, err := c.lookups.load(ctx, id, shared, now, func(ctx context.Context) (store.Found, error) {
		return c.lookUp(ctx, id, workspace, at, now)
	})
	found.Key = found.Key.Clone()
	return found, err
}

// foundStamp is what a key depends on, with the settings around it.
func (c *Cache) foundStamp(generation uint64, workspace, id string) stamp {
	v, space := &c.versions, c.hash(workspace)
	return stamp{generation, v.instance.Load(), v.workspaces.of(space), v.keys.of(c.hash(id)), v.counts.of(space)}
}

// missingStamp is what an unknown id depends on.
func (c *Cache) missingStamp(generation uint64, id string) stamp {
	return stamp{generation, c.versions.keys.of(c.hash(id))}
}

// lookUp reads a key and keeps it. workspace is the key's, if it is known already, and
// at what the key then depends on.
func (c *Cache) lookUp(ctx context.Context, id, workspace string, at stamp, now time.Time) (store.Found, error) {
	changes, missing := c.versions.changes.Load(), c.missingStamp(at[0], id)
	found, err := c.inner.Keys.Lookup(ctx, id)
	if errors.Is(err, store.ErrNotFound) && len(id) <= maxName {
		c.missing.put(strings.Clone(id), &entry[struct{}]{stamp: missing, read: now})
	}
	// A database may take "A" for "a"; notices are about the one that is there.
	if err != nil || found.Key.ID != id {
		return found, err
	}
	if found.Key.Workspace != workspace {
		at = c.foundStamp(at[0], found.Key.Workspace, id)
		if c.versions.changes.Load() != changes {
			return found, nil // one of them may not be from before the read
		}
	}
	c.found.put(found.Key.ID, &entry[store.Found]{stamp: at, read: now, value: found})
	return found, nil
}
