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
	generation, usable := c.feed.generation(now)
	if !usable {
		c.warnUnfollowed(ctx, now)
		return c.inner.Keys.Lookup(ctx, id)
	}
	workspace, e := "", c.found.find(id)
	if e != nil {
		workspace = e.value.Key.Workspace
	}
	at := c.foundStamp(generation, workspace, id)
	if e.valid(at, now, maxAge) {
		found := e.value
		found.Key = found.Key.Clone()
		return found, nil
	}
	// c.found comes first: a key that was deleted with its workspace can be in both.
	if c.missing.find(id).valid(c.missingStamp(generation, id), now, maxAge) {
		return store.Found{}, errUnknown
	}
	// Any change prevents sharing, since the read also returns the key's settings.
	shared := stamp{generation, c.versions.changes.Load()}
	found, _, err := c.lookups.load(ctx, id, shared, now, func(ctx context.Context) (store.Found, error) {
		return c.lookUp(ctx, id, workspace, at, now)
	})
	found.Key = found.Key.Clone()
	return found, err
}

// foundStamp returns what a key and its settings depend on.
func (c *Cache) foundStamp(generation uint64, workspace, id string) stamp {
	v, space := &c.versions, c.hash(workspace)
	return stamp{generation, v.instance.Load(), v.workspaces.get(space), v.keys.get(c.hash(id)), v.counts.get(space)}
}

// missingStamp returns what an unknown id depends on.
func (c *Cache) missingStamp(generation uint64, id string) stamp {
	return stamp{generation, c.versions.keys.get(c.hash(id))}
}

// lookUp reads a key and caches it. workspace is the key's workspace, if it is known, and
// at is what the key depends on in that case.
func (c *Cache) lookUp(ctx context.Context, id, workspace string, at stamp, now time.Time) (store.Found, error) {
	changes, missing := c.versions.changes.Load(), c.missingStamp(at[0], id)
	found, err := c.inner.Keys.Lookup(ctx, id)
	if errors.Is(err, store.ErrNotFound) && len(id) <= maxName {
		c.missing.put(strings.Clone(id), &entry[struct{}]{stamp: missing, read: now})
	}
	// A database may ignore case and return "a" for "A". Its notifications are about "a".
	if err != nil || found.Key.ID != id {
		return found, err
	}
	if found.Key.Workspace != workspace {
		at = c.foundStamp(at[0], found.Key.Workspace, id)
		if c.versions.changes.Load() != changes {
			return found, nil // the stamp may be of a change after the read
		}
	}
	c.found.put(found.Key.ID, &entry[store.Found]{stamp: at, read: now, value: found})
	return found, nil
}

// LookupSecret implements store.Reads. TEMPORARY STUB
func (c *Cache) LookupSecret(ctx context.Context, secretID string) (store.Found, error) {
	if err := ctx.Err(); err != nil {
		return store.Found{}, fail("look up key", err)
	}
	now := c.now()
	generation, usable := c.feed.generation(now)
	if usable {
		if e := stub.find(secretID); e != nil {
			if at := c.foundStamp(generation, e.value.Key.Workspace, e.value.Key.ID); e.valid(at, now, maxAge) {
				return e.value, nil
			}
		}
	}
	f, err := c.inner.Secrets.LookupSecret(ctx, secretID)
	if err == nil && usable {
		stub.put(secretID, &entry[store.Found]{stamp: c.foundStamp(generation, f.Key.Workspace, f.Key.ID), read: now, value: f})
	}
	return f, err
}

var stub = newTable[string, store.Found](1000)
