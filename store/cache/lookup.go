package cache

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// query asks for a key by its id, or by the id of one of its credentials.
type query struct {
	id           string
	byCredential bool
}

// place is what is known about the key of a query: its id, and its workspace if it is
// cached.
type place struct{ workspace, key string }

// Lookup implements store.Reads. A read from the cache does not allocate.
func (c *Cache) Lookup(ctx context.Context, id string) (store.Found, error) {
	return c.lookUp(ctx, query{id: id})
}

// LookupSecret implements store.Reads. A read from the cache does not allocate.
func (c *Cache) LookupSecret(ctx context.Context, secretID string) (store.Found, error) {
	return c.lookUp(ctx, query{secretID, true})
}

func (c *Cache) lookUp(ctx context.Context, q query) (store.Found, error) {
	if err := ctx.Err(); err != nil {
		return store.Found{}, fail("look up key", err)
	}
	now := c.now()
	generation, usable := c.feed.generation(now)
	if !usable {
		c.warnUnfollowed(ctx, now)
		return c.load(ctx, q)
	}
	of := place{key: q.id}
	if q.byCredential {
		of.key = ""
		if hint := c.owners.find(q.id); hint != nil {
			of.key = hint.value
		}
	}
	e := c.found.find(of.key)
	if e != nil {
		of.workspace = e.value.Key.Workspace
	}
	at := c.foundStamp(generation, of)
	if e.valid(at, now, maxAge) && (!q.byCredential || e.value.Key.Credential(q.id) != nil) {
		return e.value, nil
	}
	// c.found comes first: a key that was deleted with its workspace can be in both.
	if !q.byCredential && c.missing.find(q.id).valid(c.missingStamp(generation, q.id), now, maxAge) {
		return store.Found{}, errUnknown
	}
	return c.loadOnce(ctx, q, of, at, now)
}

// foundStamp returns what a key and its settings depend on.
func (c *Cache) foundStamp(generation uint64, of place) stamp {
	v, space := &c.versions, c.hash(of.workspace)
	return stamp{generation, v.instance.Load(), v.workspaces.get(space), v.keys.get(c.hash(of.key)), v.counts.get(space)}
}

// missingStamp returns what an unknown id depends on.
func (c *Cache) missingStamp(generation uint64, id string) stamp {
	return stamp{generation, c.versions.keys.get(c.hash(id))}
}

func (c *Cache) load(ctx context.Context, q query) (store.Found, error) {
	if q.byCredential {
		return c.inner.Secrets.LookupSecret(ctx, q.id)
	}
	return c.inner.Keys.Lookup(ctx, q.id)
}

// loadOnce reads a key from the store and caches it, or that there is none. Callers share
// a read. at is what the key depends on if it is at the expected place.
func (c *Cache) loadOnce(ctx context.Context, q query, expected place, at stamp, now time.Time) (store.Found, error) {
	generation := at[0]
	// Any change prevents sharing, since the read also returns the key's settings.
	shared := stamp{generation, c.versions.changes.Load()}
	found, _, err := c.lookups.load(ctx, q, shared, now, func(ctx context.Context) (store.Found, error) {
		changes, missing := c.versions.changes.Load(), c.missingStamp(generation, q.id)
		found, err := c.load(ctx, q)
		switch {
		// Of a credential it is not cached: the notification of a key does not name the
		// credentials that it got.
		case errors.Is(err, store.ErrNotFound) && !q.byCredential && len(q.id) <= maxName:
			c.missing.put(strings.Clone(q.id), &entry[struct{}]{stamp: missing, read: now})
			return found, err
		case err != nil:
			return found, err
		case q.byCredential:
			c.owners.put(strings.Clone(q.id), &entry[string]{value: found.Key.ID})
		// A database may ignore case and return "a" for "A". Its notifications are about "a".
		case found.Key.ID != q.id:
			return found, nil
		}
		if read := (place{found.Key.Workspace, found.Key.ID}); read != expected {
			at = c.foundStamp(generation, read)
			if c.versions.changes.Load() != changes {
				return found, nil // the stamp may be of a change after the read
			}
		}
		c.found.put(found.Key.ID, &entry[store.Found]{stamp: at, read: now, value: found})
		return found, nil
	})
	return found, err
}
